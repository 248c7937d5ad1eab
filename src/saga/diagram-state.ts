/** What one instance's record says of each step, for drawing it. Pure. */
import type { SagaRecord, StepRecord } from '../ports/saga-store.ts';
import type { DrawnStep } from './diagram-units.ts';

/** How a step is drawn. */
export type DrawnState =
  | 'done'
  | 'undone'
  | 'refused'
  | 'failed'
  | 'waiting'
  | 'parked'
  | 'omitted'
  | 'skipped'
  | 'begun';

/** The state of every step that has one, by name. */
export function drawnStates(record: SagaRecord): ReadonlyMap<string, DrawnState> {
  const states = new Map<string, DrawnState>();
  for (const step of record.steps) {
    const state = stateOf(step);
    if (state !== undefined) states.set(step.name, state);
  }
  if (record.status === 'parked' && record.parkedAt?.step !== undefined)
    states.set(record.parkedAt.step, 'parked');
  return states;
}

function stateOf({ status, until, skipped }: StepRecord): DrawnState | undefined {
  if (status !== 'open') return skipped === true ? 'skipped' : status;
  return until === undefined ? undefined : 'waiting';
}

/** Names of the steps that are at work, or will be next. */
export function currentSteps(steps: readonly DrawnStep[], record: SagaRecord): ReadonlySet<string> {
  const { status, parkedAt } = record;
  if (status === 'parked') return new Set(parkedAt?.step === undefined ? [] : [parkedAt.step]);
  if (status === 'running' || status === 'waiting') return frontier(steps, record);
  return status === 'compensating' ? nextUndo(steps, record) : new Set();
}

function frontier(steps: readonly DrawnStep[], record: SagaRecord): ReadonlySet<string> {
  const statuses = new Map(record.steps.map(({ name, status }) => [name, status]));
  const isOpen = ({ name }: DrawnStep): boolean => {
    const status = statuses.get(name);
    return status !== 'done' && status !== 'omitted';
  };
  const first = steps.find(isOpen);
  if (first === undefined) return new Set();
  const together = first.group === undefined ? [first] : steps.filter((s) => s.group === first.group);
  return new Set(together.filter(isOpen).map(({ name }) => name));
}

/** In reverse order of the plan, of those that were done or may have been. */
function nextUndo(steps: readonly DrawnStep[], record: SagaRecord): ReadonlySet<string> {
  const happened = new Set(
    record.steps.filter(({ status }) => status === 'done' || status === 'failed').map(({ name }) => name),
  );
  const next = steps.findLast(({ name, undoable }) => undoable && happened.has(name));
  return new Set(next === undefined ? [] : [next.name]);
}
