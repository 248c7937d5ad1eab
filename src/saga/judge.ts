/** What a failed attempt means, pure: whether it is recorded, repeated, or left to a person. */
import { RefusedError } from '../core/errors.ts';
import type { PlannedStep } from './plan.ts';

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
  /** Whether the participant, asked after a doubt, said that it had not happened. */
  readonly denied?: boolean | undefined;
  /** Whether steps behind this one may have happened, too: a lazy saga that was taken over. */
  readonly outrun?: boolean | undefined;
}

/**
 * What follows from a failed step: it is recorded as `refused` (certainly no effect) or `failed` (in doubt), tried
 * again with the same key (`retry`), or left to a person (`park`).
 */
export type Verdict = 'refused' | 'failed' | 'retry' | 'park';

/**
 * Judge a failed step by its place. Before the pivot it ends the way forward. The pivot in doubt is neither undone nor
 * passed. After the pivot the only way is forward. A step that may be tried once only is not tried again in doubt.
 */
export function judgeStep(step: PlannedStep, failure: Failure, maxRounds: number): Verdict {
  if (failure.obstacle === 'unending') return 'park';
  const refusedForGood = step.kind === 'retriable' && failure.error instanceof RefusedError;
  if (refusedForGood) return 'park';
  if (step.kind === 'pivot' && failure.denied) return failure.rounds < maxRounds ? 'retry' : 'refused';
  if (step.kind !== 'retriable' && isCertain(failure)) return 'refused';
  if (step.kind === 'compensatable' && !failure.outrun) return 'failed';
  if (step.once && failure.doubtful) return 'park';
  return judgeRetry(failure, maxRounds);
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
  return !doubtful || isConclusive(error);
}

/** What cannot be read says nothing. */
function isConclusive(error: unknown): boolean {
  try {
    return error instanceof RefusedError && error.conclusive;
  } catch {
    return false;
  }
}

function judgeRetry({ obstacle, rounds }: Failure, maxRounds: number): 'retry' | 'park' {
  return obstacle === undefined && rounds < maxRounds ? 'retry' : 'park';
}
