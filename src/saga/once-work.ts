import { isPlainObject, type JsonValue } from '../core/json.ts';
import { Attempts, type RoundResult } from './attempts.ts';
import { recordOf } from './journal.ts';
import { type Failure, judgeStep, type Verdict } from './judge.ts';
import { doneEntry, failedOutcome, inSlot, pause } from './step-work.ts';
import type { Task, TaskOutcome, WorkSurroundings } from './task.ts';

/** A step that was begun by somebody who did not live to write its outcome down. */
const interrupted: Failure = {
  error: new Error('it was begun, and whether it happened was not written down'),
  doubtful: true,
  rounds: 1,
};

/** What a participant said. */
type Answer =
  | { readonly happened: true; readonly output: JsonValue | undefined }
  | { readonly happened: false }
  /** It did not answer. */
  | { readonly failure: Omit<Failure, 'rounds'> };

/**
 * Work on a step that must not be attempted again once an attempt may have had an effect: that it is begun is written
 * down first, and what is in doubt is asked, and not tried. Undefined when it was time to leave. Never rejects.
 */
export async function workOnce(task: Task, shared: WorkSurroundings): Promise<TaskOutcome | undefined> {
  const { maxRounds } = shared;
  let doubt: Failure | undefined =
    recordOf(task.record, task.step.name)?.status === 'begun' ? interrupted : undefined;
  for (let rounds = 1; ; rounds += 1) {
    const isOurs = doubt !== interrupted;
    if (doubt === undefined) {
      const result = await inSlot(task, shared, () => attempt(task, shared));
      if (result === undefined) return undefined;
      if (result.done) return { entry: doneEntry(task, result.output), cause: undefined };
      doubt = { ...result, rounds };
    }
    const asked = await resolveDoubt(task, shared, { ...doubt, rounds });
    if (asked === undefined) return undefined;
    if ('entry' in asked) return asked;
    // What another process began and did not do may be begun again.
    const retries = asked.denied && !isOurs;
    const verdict: Verdict = retries ? 'retry' : judgeOnce(task, asked, maxRounds);
    if (verdict !== 'retry') return failedOutcome(task, verdict, asked);
    if (!asked.doubtful) doubt = undefined;
    if (!retries && !(await pause(task, shared, asked))) return undefined;
  }
}

/** A participant that can be asked is asked until it answers; so nothing is recorded in doubt before. */
function judgeOnce({ definition, step }: Task, failure: Failure, maxRounds: number): Verdict {
  const canAsk = definition.functions.get(step.name)?.query !== undefined;
  const asksAgain = canAsk && failure.doubtful && failure.obstacle === undefined;
  return asksAgain && failure.rounds < maxRounds ? 'retry' : judgeStep(step, failure, maxRounds);
}

async function attempt(task: Task, shared: WorkSurroundings): Promise<RoundResult> {
  const isIntended = await task.intend(task.step.name);
  if (!isIntended) return { done: false, error: task.halt.reason, doubtful: true };
  return new Attempts(task, shared, 'do').round();
}

/** What is known of a doubt after asking, or the step's outcome; undefined when it was time to leave. */
async function resolveDoubt(
  task: Task,
  shared: WorkSurroundings,
  doubt: Failure,
): Promise<Failure | TaskOutcome | undefined> {
  const { query } = task.definition.functions.get(task.step.name)!;
  if (!doubt.doubtful || doubt.obstacle !== undefined || query === undefined) return doubt;
  const answer = await inSlot(task, shared, () => ask(task, shared));
  if (answer === undefined) return undefined;
  if ('failure' in answer) return { ...doubt, ...answer.failure };
  if (answer.happened) return { entry: doneEntry(task, answer.output), cause: undefined };
  return { ...doubt, doubtful: false, denied: true };
}

async function ask(task: Task, shared: WorkSurroundings): Promise<Answer> {
  const result = await new Attempts(task, shared, 'query').round();
  if (!result.done) return { failure: { ...result, doubtful: true } };
  const { output } = result;
  if (isPlainObject(output) && output.happened === true) {
    return { happened: true, output: output.result as JsonValue | undefined };
  }
  if (isPlainObject(output) && output.happened === false) return { happened: false };
  const error = new TypeError('its query must answer { happened: true, result } or { happened: false }');
  return { failure: { error, doubtful: true } };
}
