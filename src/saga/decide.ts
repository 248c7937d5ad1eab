/**
 * The decisions of a saga, pure: what to do next, and what a failed attempt means. Everything that a crash must not
 * change is decided here, from the record alone.
 *
 * Invariant: once a step is recorded as refused or failed the saga goes backward for good; once the pivot is recorded
 * as done it goes forward for good.
 */
import { RefusedError } from '../core/errors.ts';
import type { SagaRecord, StepRecord } from '../ports/saga-store.ts';
import type { PlannedStep, SagaPlan } from './plan.ts';

/** What to do next with a saga. */
export type Action =
  | { readonly type: 'do'; readonly step: PlannedStep }
  | { readonly type: 'undo'; readonly step: PlannedStep }
  | { readonly type: 'finish'; readonly status: 'completed' | 'compensated' }
  | { readonly type: 'park'; readonly reason: string }
  | { readonly type: 'rest' };

/** The next action on a record. A record that does not fit its plan is parked, never guessed at. */
export function decide(plan: SagaPlan, record: SagaRecord): Action {
  if (record.status === 'running') return decideForward(plan, record.steps);
  if (record.status === 'compensating') return decideBackward(plan, record.steps);
  return { type: 'rest' };
}

function decideForward(plan: SagaPlan, steps: readonly StepRecord[]): Action {
  const misfit = steps.find((s, index) => s.name !== plan.steps[index]?.name || s.status !== 'done');
  if (misfit !== undefined) return misfitAction(misfit);
  const step = plan.steps[steps.length];
  return step === undefined ? { type: 'finish', status: 'completed' } : { type: 'do', step };
}

/** Undo what was done and what is in doubt, in the reverse of the order in which it was begun. */
function decideBackward(plan: SagaPlan, steps: readonly StepRecord[]): Action {
  for (const [index, record] of [...steps.entries()].reverse()) {
    const step = plan.steps[index];
    if (step === undefined || step.name !== record.name) return misfitAction(record);
    const happened = record.status === 'done' || record.status === 'failed';
    if (happened && step.kind !== 'compensatable') return misfitAction(record);
    if (happened && step.undoable) return { type: 'undo', step };
  }
  return { type: 'finish', status: 'compensated' };
}

function misfitAction(step: StepRecord): Action {
  return {
    type: 'park',
    reason: `the record of step ${step.name} (${step.status}) does not fit the definition at this place`,
  };
}

/** What is known when a step, after its policy, was not done. */
export interface Failure {
  readonly error: unknown;
  /** Whether some attempt, this one or an earlier one, may have had an effect. */
  readonly doubtful: boolean;
  /**
   * Why asking again cannot help: the step was done, but its result cannot be stored; or an attempt does not end, so
   * that nothing can safely follow on it.
   */
  readonly obstacle?: 'unstorable' | 'unending' | undefined;
  /** How many rounds were made, this one included. */
  readonly rounds: number;
}

/**
 * What follows from a failed step: it is recorded as `refused` (certainly no effect) or `failed` (in doubt), tried
 * again with the same key (`retry`), or left to a person (`park`).
 */
export type Verdict = 'refused' | 'failed' | 'retry' | 'park';

/**
 * Judge a failed step by its place. Before the pivot it ends the way forward. The pivot in doubt is neither undone nor
 * passed. After the pivot the only way is forward.
 */
export function judgeStep(step: PlannedStep, failure: Failure, maxRounds: number): Verdict {
  if (failure.obstacle === 'unending') return 'park';
  if (step.kind !== 'retriable' && isCertain(failure)) return 'refused';
  if (step.kind === 'compensatable') return 'failed';
  const refusedForGood = step.kind === 'retriable' && failure.error instanceof RefusedError;
  return refusedForGood ? 'park' : judgeRetry(failure, maxRounds);
}

/** Judge a failed undo: again, with a limit. An undo that is refused will not happen by asking again. */
export function judgeUndo(failure: Failure, maxRounds: number): 'retry' | 'park' {
  return failure.error instanceof RefusedError ? 'park' : judgeRetry(failure, maxRounds);
}

/**
 * Whether it is certain that nothing happened: every attempt said so, or none was made (an open breaker), or a
 * participant that remembers keys says so for all of them.
 */
function isCertain({ error, doubtful }: Failure): boolean {
  return !doubtful || (error instanceof RefusedError && error.conclusive);
}

function judgeRetry({ obstacle, rounds }: Failure, maxRounds: number): 'retry' | 'park' {
  return obstacle === undefined && rounds < maxRounds ? 'retry' : 'park';
}
