/** A saga in a saga: its steps, renamed, behind a step that holds its input. */
import { InvalidSagaError } from '../core/errors.ts';
import { isCommitted, type PlannedStep, type SagaPlan } from './plan.ts';
import type { Condition, SagaDefinition, SagaState, StepFunctions } from './saga-types.ts';

/** How a saga is nested. */
export interface Nesting {
  readonly input: (state: SagaState<unknown, unknown>) => unknown;
  readonly when?: Condition<unknown, unknown> | undefined;
}

/**
 * The steps of a nested saga as steps of its parent.
 *
 * @throws InvalidSagaError when it may not stand there.
 */
export function nest(
  parent: SagaPlan,
  name: string,
  child: SagaDefinition,
  { input, when }: Nesting,
): readonly (readonly [PlannedStep, StepFunctions])[] {
  const { plan } = child;
  const committed = isCommitted(parent);
  assertNestable(parent, name, child, when !== undefined);
  const scope: PlannedStep = {
    name,
    kind: committed ? 'retriable' : 'compensatable',
    type: 'scope',
    undoable: false,
    ...(when !== undefined && { conditional: true as const }),
  };
  const own = { input, schema: child.schema, ...(when !== undefined && { conditions: [when] }) };
  const behind = plan.steps.map((step) => {
    const functions = child.functions.get(step.name)!;
    return [within(name, step, committed), committed ? committedFunctions(functions) : functions] as const;
  });
  return [[scope, own], ...behind];
}

function within(name: string, step: PlannedStep, committed: boolean): PlannedStep {
  return {
    ...step,
    name: `${name}.${step.name}`,
    scope: step.scope === undefined ? name : `${name}.${step.scope}`,
    ...(step.group !== undefined && { group: `${name}.${step.group}` }),
    ...(committed && { kind: 'retriable' as const }),
  };
}

/** Where nothing turns back, a signal that does not come cannot turn the saga back either. */
function committedFunctions(functions: StepFunctions): StepFunctions {
  return functions.onTimeout === 'turn-back' ? { ...functions, onTimeout: 'park' } : functions;
}

function assertNestable(parent: SagaPlan, name: string, child: SagaDefinition, conditional: boolean): void {
  const { plan, deadline } = child;
  const refuse = (why: string): never => {
    throw new InvalidSagaError(parent.name, `the nested saga ${name} ${why}`);
  };
  if (plan.steps.length === 0) refuse('has no steps');
  if (deadline !== undefined) refuse('has a deadline, which only a whole saga can have: give it to this one');
  const undoable = plan.steps.find((step) => step.undoable);
  if (isCommitted(parent) && undoable !== undefined) {
    refuse(`comes after the pivot, where nothing is undone: ${undoable.name} has an undo`);
  }
  if (isCommitted(plan) && conditional) {
    refuse('has the pivot, which a saga has or has not: leave out its condition');
  }
}
