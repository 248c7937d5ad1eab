/** What the steps of a saga returned, as its functions and its callers see it. */
import type { JsonValue } from '../core/json.ts';
import type { SagaRecord } from '../ports/saga-store.ts';
import type { PlannedStep, SagaPlan } from './plan.ts';
import type { SagaState } from './saga-types.ts';

/** Results by name; those of a nested saga are an object in it. */
export interface Results {
  [name: string]: JsonValue | undefined | Results;
}

/** The results of all steps that are done, by name; those of a nested saga by theirs. */
export function resultsOf(plan: SagaPlan, record: SagaRecord): Results {
  return resultsIn(plan, record, undefined, undefined);
}

/** What a step sees: its input and the results of its own saga, without those of its own parallel group. */
export function stateAt(plan: SagaPlan, record: SagaRecord, step: PlannedStep): SagaState<unknown, Results> {
  const { scope, group } = step;
  const scoped = scope === undefined ? undefined : record.steps.find((s) => s.name === scope);
  return {
    input: scope === undefined ? record.input : scoped?.output,
    results: resultsIn(plan, record, scope, group),
  };
}

function resultsIn(
  plan: SagaPlan,
  record: SagaRecord,
  scope: string | undefined,
  besides: string | undefined,
): Results {
  const results: Results = {};
  for (const { name, status, output } of record.steps) {
    if (status !== 'done' && status !== 'omitted') continue;
    const step = plan.steps[plan.positions.get(name) ?? -1];
    if (step?.scope !== scope || (besides !== undefined && step?.group === besides)) continue;
    const local = scope === undefined ? name : name.slice(scope.length + 1);
    results[local] =
      step?.type === 'scope' && status === 'done' ? resultsIn(plan, record, name, undefined) : output;
  }
  return results;
}
