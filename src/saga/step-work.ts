import { sleep } from '../core/clock.ts';
import { messageOf } from '../core/holdfast-error.ts';
import type { JsonValue } from '../core/json.ts';
import { Attempts, type RoundResult } from './attempts.ts';
import { doingPlace, type JournalEntry } from './journal.ts';
import { type Failure, judgeStep, judgeUndo, type Verdict } from './judge.ts';
import type { Task, TaskOutcome, WorkSurroundings } from './task.ts';

/** Work on a task until there is something to write down; undefined when it was time to leave. Never rejects. */
export function work(task: Task, shared: WorkSurroundings): Promise<TaskOutcome | undefined> {
  const attempts = new Attempts(task, shared, task.operation);
  if (!takeSlot(task, shared)) return workOn(task, shared, attempts, 1);
  // Nearly every step is done at once, and so without what it takes to come back to it.
  return attempts.round().then((result) => {
    const next = released(task, shared, result, 1);
    if ('entry' in next) return next;
    return pause(task, shared, next).then((goesOn) =>
      goesOn ? workOn(task, shared, attempts, 2) : undefined,
    );
  });
}

/** Go on from a round, its slot not yet taken. */
async function workOn(
  task: Task,
  shared: WorkSurroundings,
  attempts: Attempts,
  from: number,
): Promise<TaskOutcome | undefined> {
  for (let rounds = from; ; rounds += 1) {
    if (!takeSlot(task, shared) && !(await waitForSlot(task, shared))) return undefined;
    const next = released(task, shared, await attempts.round(), rounds);
    if ('entry' in next) return next;
    if (!(await pause(task, shared, next))) return undefined;
  }
}

/** Whether a slot is free and taken; to be released. */
function takeSlot({ halt }: Task, { slots }: WorkSurroundings): boolean {
  return !halt.leaving && slots.tryAcquire();
}

/** Resolves to false when it was time to leave before one was free. */
function waitForSlot({ halt, definition }: Task, { slots }: WorkSurroundings): Promise<boolean> {
  return halt.leaving ? Promise.resolve(false) : slots.acquire(definition.plan.hash, halt.leaveSignal);
}

/** Do something in a slot; undefined when it was time to leave before one was free. */
export async function inSlot<T>(
  task: Task,
  shared: WorkSurroundings,
  work: () => Promise<T>,
): Promise<T | undefined> {
  if (!takeSlot(task, shared) && !(await waitForSlot(task, shared))) return undefined;
  try {
    return await work();
  } finally {
    shared.slots.release();
  }
}

/** What came of a round; the slot is given back only when whoever must know of it does. */
function released(
  task: Task,
  shared: WorkSurroundings,
  result: RoundResult,
  rounds: number,
): TaskOutcome | Failure {
  try {
    return judged(task, shared, result, rounds);
  } finally {
    shared.slots.release();
  }
}

/** What came of a round, or why there is to be another. */
function judged(
  task: Task,
  { maxRounds }: WorkSurroundings,
  result: RoundResult,
  rounds: number,
): TaskOutcome | Failure {
  if (result.done) return { entry: doneEntry(task, result.output), cause: undefined };
  const failure = { ...result, rounds, outrun: task.inherited && task.definition.plan.lazy };
  const { operation, step } = task;
  const verdict = operation === 'undo' ? judgeUndo(failure, maxRounds) : judgeStep(step, failure, maxRounds);
  return verdict === 'retry' ? failure : failedOutcome(task, verdict, failure);
}

/** Wait before the next round; false when it is time to leave. */
export async function pause(task: Task, shared: WorkSurroundings, failure: Failure): Promise<boolean> {
  const { clock, backoff, random, emitter } = shared;
  const { error, rounds: round } = failure;
  const delay = backoff(round, random);
  const { id, saga } = task.record;
  if (emitter.wants('stepRetried')) {
    const undo = task.operation === 'undo';
    emitter.emit('stepRetried', { id, saga, step: task.step.name, undo, round, delay, error });
  }
  return sleep(clock, delay, task.halt.leaveSignal).then(
    () => true,
    () => false,
  );
}

/** That a step was done, or undone. */
export function doneEntry({ operation, step }: Task, output: JsonValue | undefined): JournalEntry {
  return operation === 'undo'
    ? { type: 'undone', step: step.name }
    : { type: 'done', step: step.name, output };
}

/** What an error says; a store need not keep more of it. */
function textOf(error: unknown): string {
  const message = messageOf(error);
  return message.length > 4_000 ? `${message.slice(0, 4_000)}…` : message;
}

/** That a step was not done, or not undone, by the verdict on it. */
export function failedOutcome(
  task: Task,
  verdict: Exclude<Verdict, 'retry'>,
  { error, rounds }: Failure,
): TaskOutcome {
  const { step, operation, record } = task;
  const { name, kind } = step;
  const message = textOf(error);
  if (verdict !== 'park') {
    task.onTurn?.(error);
    return { entry: { type: verdict, step: name, error: message }, cause: error };
  }
  const times = rounds === 1 ? 'once' : `${rounds} times`;
  const place = operation === 'do' ? doingPlace(step) : { step: name, operation, skippable: true };
  const reason =
    operation === 'do'
      ? `${name} (${kind}) was tried ${times}: ${message}`
      : `the undo of ${name} was tried ${times}: ${message} · it was to be undone because ${record.reason}`;
  return { entry: { type: 'parked', reason, place }, cause: error };
}
