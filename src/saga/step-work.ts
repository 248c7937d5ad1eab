import type { Backoff } from '../core/backoff.ts';
import { type Clock, sleep } from '../core/clock.ts';
import type { Emitter } from '../core/emitter.ts';
import { messageOf } from '../core/holdfast-error.ts';
import type { JsonValue } from '../core/json.ts';
import type { CallContext } from '../core/policy.ts';
import type { SagaRecord } from '../ports/saga-store.ts';
import { Attempts, type RoundResult } from './attempts.ts';
import type { Halt } from './halt.ts';
import { type JournalEntry, recordOf } from './journal.ts';
import { type Failure, judgeStep, judgeUndo, type Verdict } from './judge.ts';
import type { PlannedStep } from './plan.ts';
import { stateAt } from './results.ts';
import type { SagaEvents } from './saga-events.ts';
import type { SagaDefinition, StepContext } from './saga-types.ts';
import type { Slots } from './slots.ts';

/** What all work of one runner shares. */
export interface WorkSurroundings {
  readonly clock: Clock;
  readonly random: () => number;
  readonly emitter: Emitter<SagaEvents>;
  readonly slots: Slots;
  /** How often a pivot in doubt, a step after it and an undo are tried before the saga is parked. */
  readonly maxRounds: number;
  readonly backoff: Backoff;
  /** The longest that one attempt may take unless its step says otherwise, in milliseconds. */
  readonly attemptTimeout: number;
  /** How long an aborted attempt may take to end, in milliseconds. */
  readonly settleTimeout: number;
  /** The most bytes that a result may have, as JSON. */
  readonly maxPayload: number;
}

/** One step to do or to undo. */
export interface Task {
  readonly operation: 'do' | 'undo';
  readonly step: PlannedStep;
  readonly definition: SagaDefinition;
  readonly record: SagaRecord;
  /** Whether whoever held the saga before may have attempted it. */
  readonly inherited: boolean;
  /** Ends it: finish the attempt under way and begin no other, or give that up, too. */
  readonly halt: Halt;
  /** The step turns the saga back: told before others can take its slot. */
  readonly onTurn?: ((error: unknown) => void) | undefined;
  /** Write down that the step will be attempted; false when that cannot be. Asked of steps that are done once. */
  readonly intend: () => Promise<boolean>;
}

/** What came of a task, to be written down. */
export interface TaskOutcome {
  readonly entry: JournalEntry;
  /** What made it fail. */
  readonly cause?: unknown;
}

/** Work on a task until there is something to write down; undefined when it was time to leave. Never rejects. */
export async function work(task: Task, shared: WorkSurroundings): Promise<TaskOutcome | undefined> {
  const attempts = attemptsAt(task, shared);
  for (let rounds = 1; ; rounds += 1) {
    const round = await inSlot(task, shared, async () =>
      judged(task, shared, await attempts.round(), rounds),
    );
    if (round === undefined || 'entry' in round) return round;
    if (!(await pause(task, shared, round))) return undefined;
  }
}

/** What came of a round, or why there is to be another. */
function judged(
  task: Task,
  { maxRounds }: WorkSurroundings,
  result: RoundResult,
  rounds: number,
): TaskOutcome | Failure {
  if (result.done) return { entry: doneEntry(task, result.output) };
  const failure = { ...result, rounds, outrun: task.inherited && task.definition.plan.lazy };
  const { operation, step } = task;
  const verdict = operation === 'undo' ? judgeUndo(failure, maxRounds) : judgeStep(step, failure, maxRounds);
  return verdict === 'retry' ? failure : failedOutcome(task, verdict, failure);
}

/** Do something in a slot; undefined when it was time to leave before one was free. */
export async function inSlot<T>(
  { halt, definition }: Task,
  { slots }: WorkSurroundings,
  work: () => Promise<T>,
): Promise<T | undefined> {
  if (halt.leaving) return undefined;
  if (!slots.tryAcquire() && !(await slots.acquire(definition.plan.hash, halt.leaveSignal))) return undefined;
  try {
    return await work();
  } finally {
    slots.release();
  }
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
  const skippable = operation === 'undo' || kind === 'retriable';
  const place = { step: name, operation, skippable } as const;
  const reason =
    operation === 'do'
      ? `${name} (${kind}) was tried ${times}: ${message}`
      : `the undo of ${name} was tried ${times}: ${message} · it was to be undone because ${record.reason}`;
  return { entry: { type: 'parked', reason, place }, cause: error };
}

/** No two pieces of work share a key: a step's name has no slash, so a key splits in one way only. */
function keyOf({ record, step }: Task, operation: 'do' | 'undo'): string {
  return `${record.id}/${step.name}/${operation}`;
}

/** All attempts at a task. */
export function attemptsAt(task: Task, shared: WorkSurroundings): Attempts {
  const { operation, step, definition, record, inherited, halt } = task;
  const { run, undo, policy } = definition.functions.get(step.name)!;
  const { clock, settleTimeout, maxPayload } = shared;
  const options = { clock, settleTimeout, maxPayload, halt, timeout: timeoutOf(task, shared) };
  if (operation === 'do') {
    const perform = (call: CallContext, attempt: number): unknown => run!(contextOf(task, call, attempt));
    const doubtful = inherited && !step.once;
    return new Attempts(perform, { ...options, policy, doubtful, once: step.once });
  }
  const more = {
    result: recordOf(record, step.name)?.output,
    error: record.reason ?? '',
    forwardKey: keyOf(task, 'do'),
  };
  const perform = async (call: CallContext, attempt: number): Promise<void> => {
    await undo?.(Object.assign(contextOf(task, call, attempt), more));
  };
  return new Attempts(perform, { ...options, policy: undefined, doubtful: true });
}

/** A step before the pivot has no more time than its saga; an undo has as much as it needs. */
function timeoutOf({ operation, step, definition, record }: Task, shared: WorkSurroundings): number {
  const { timeout = shared.attemptTimeout } = definition.functions.get(step.name)!;
  if (record.deadline === undefined || operation === 'undo' || step.kind !== 'compensatable') return timeout;
  return Math.min(timeout, Math.max(0, record.deadline - shared.clock.wallTime()));
}

/** What the functions of a step get. */
export function contextOf(task: Task, call: CallContext, attempt: number): StepContext<unknown, unknown> {
  const { record, operation, definition, step } = task;
  const { input, results } = stateAt(definition.plan, record, step);
  return {
    input,
    results,
    sagaId: record.id,
    key: keyOf(task, operation),
    attempt,
    deadline: call.deadline,
    // Lazy, since most steps never read it and a signal costs more than all the rest.
    get signal(): AbortSignal {
      return call.signal;
    },
  };
}

/** A round of asking whether a step happened. */
export function queryRound(task: Task, shared: WorkSurroundings): Promise<RoundResult> {
  const { definition, step, halt } = task;
  const { query } = definition.functions.get(step.name)!;
  const { clock, settleTimeout, maxPayload, attemptTimeout: timeout } = shared;
  const perform = (call: CallContext, attempt: number): unknown => query!(contextOf(task, call, attempt));
  const options = { clock, settleTimeout, maxPayload, halt, timeout, policy: undefined, doubtful: true };
  return new Attempts(perform, options).round();
}
