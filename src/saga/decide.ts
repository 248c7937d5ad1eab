/**
 * The decision of a saga, pure: what to do next. Everything that a crash must not change is decided here, from the
 * record alone.
 *
 * Invariant: once a step is recorded as refused or failed the saga goes backward for good; once the pivot is recorded
 * as done it goes forward for good.
 */
import type { SagaRecord, StepRecord } from '../ports/saga-store.ts';
import { needsOpening, type PlannedStep, type SagaPlan } from './plan.ts';

/** What to do next with a saga. */
export type Action =
  /** Do one step, or those of a parallel group that are not done yet. */
  | { readonly type: 'do'; readonly steps: readonly PlannedStep[] }
  /** Fix what must not change on a re-run of these steps, and write it down. */
  | { readonly type: 'open'; readonly steps: readonly PlannedStep[] }
  /** Nothing, before its time or its signal comes. */
  | { readonly type: 'wait'; readonly steps: readonly [PlannedStep]; readonly record: StepRecord }
  /** Undo one step, or those of a parallel group that may be undone at once. */
  | { readonly type: 'undo'; readonly steps: readonly PlannedStep[] }
  /** Write down what became of the members of a group that turned back, before any of it is undone. */
  | { readonly type: 'settle'; readonly steps: readonly PlannedStep[] }
  | { readonly type: 'finish'; readonly status: 'completed' | 'compensated' }
  | { readonly type: 'park'; readonly reason: string }
  | { readonly type: 'rest' };

type Records = readonly (StepRecord | undefined)[];

const rest: Action = { type: 'rest' };
const completed: Action = { type: 'finish', status: 'completed' };
const compensated: Action = { type: 'finish', status: 'compensated' };

/** The next action on a record. A record that does not fit its plan is parked, never guessed at. */
export function decide(plan: SagaPlan, record: SagaRecord): Action {
  const { status, steps } = record;
  const isForward = status === 'running' || status === 'waiting';
  if (!isForward && status !== 'compensating') return rest;
  const records = byPosition(plan, steps);
  if (!Array.isArray(records)) return misfitAction(records as StepRecord);
  return isForward ? decideForward(plan, records) : decideBackward(plan, records);
}

/** Whether nothing more can become of a step on the way forward. */
function isOver(record: StepRecord | undefined): boolean {
  return record !== undefined && (record.status === 'done' || record.status === 'omitted');
}

/** Whether a step was come to, but its outcome is not known. */
function isUnderWay(record: StepRecord | undefined): boolean {
  return record === undefined || record.status === 'open' || record.status === 'begun';
}

/** The records in the order of the plan, or the first one that has no place in it. */
function byPosition(plan: SagaPlan, steps: readonly StepRecord[]): Records | StepRecord {
  if (isInOrder(plan, steps)) return steps;
  const records: (StepRecord | undefined)[] = new Array(plan.steps.length).fill(undefined);
  for (const record of steps) {
    const position = plan.positions.get(record.name);
    if (position === undefined || records[position] !== undefined) return record;
    records[position] = record;
  }
  return records;
}

function isInOrder(plan: SagaPlan, steps: readonly StepRecord[]): boolean {
  for (let index = 0; index < steps.length; index += 1) {
    if (steps[index]!.name !== plan.steps[index]?.name) return false;
  }
  return true;
}

function decideForward(plan: SagaPlan, records: Records): Action {
  let position = 0;
  for (const unit of plan.units) {
    const end = position + unit.length;
    let isFrontier = false;
    for (let index = position; index < end; index += 1) {
      const record = records[index];
      if (isOver(record)) continue;
      if (!isUnderWay(record)) return misfitAction(record!);
      isFrontier = true;
    }
    if (isFrontier) {
      const beyond = records.length > end ? records.slice(end).find((r) => r !== undefined) : undefined;
      return beyond === undefined ? doUnit(unit, records, position) : misfitAction(beyond);
    }
    position = end;
  }
  return completed;
}

function doUnit(unit: readonly PlannedStep[], records: Records, position: number): Action {
  if (unit.length === 1 && !needsOpening(unit[0]!)) return { type: 'do', steps: unit };
  const steps = unit.filter((_, index) => !isOver(records[position + index]));
  const isOpen = unit.every((step, index) => records[position + index] !== undefined || !needsOpening(step));
  if (!isOpen) return { type: 'open', steps };
  const [first] = steps as [PlannedStep];
  if (first.type === 'call') return { type: 'do', steps };
  return { type: 'wait', steps: [first], record: records[position]! };
}

/** Undo what was done and what is in doubt, in the reverse of the order in which it was begun. */
function decideBackward(plan: SagaPlan, records: Records): Action {
  let end = plan.steps.length;
  for (let index = plan.units.length - 1; index >= 0; index -= 1) {
    const unit = plan.units[index]!;
    const position = end - unit.length;
    const action = undoUnit(unit, records.slice(position, end));
    if (action !== undefined) return action;
    end = position;
  }
  return compensated;
}

function undoUnit(unit: readonly PlannedStep[], records: Records): Action | undefined {
  if (records.every((record) => record === undefined)) return undefined;
  const unsettled = unit.filter((_, index) => isUnderWay(records[index]));
  if (unsettled.length > 0) return { type: 'settle', steps: unsettled };
  const happened = unit.filter((_, index) => {
    const status = records[index]?.status;
    return status === 'done' || status === 'failed';
  });
  const decided = happened.find((step) => step.kind !== 'compensatable');
  if (decided !== undefined) return misfitAction(records[unit.indexOf(decided)]!);
  const undoable = happened.filter((step) => step.undoable).reverse();
  const [first] = undoable;
  if (first === undefined) return undefined;
  return { type: 'undo', steps: first.undoneTogether ? undoable : [first] };
}

function misfitAction(step: StepRecord): Action {
  return {
    type: 'park',
    reason: `the record of step ${step.name} (${step.status}) does not fit the definition at this place`,
  };
}
