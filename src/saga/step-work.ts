import type { Backoff } from '../core/backoff.ts';
import { type Clock, sleep } from '../core/clock.ts';
import type { Emitter } from '../core/emitter.ts';
import { messageOf } from '../core/holdfast-error.ts';
import type { JsonValue } from '../core/json.ts';
import type { CallContext } from '../core/policy.ts';
import type { SagaRecord } from '../ports/saga-store.ts';
import { Attempts, type RoundResult } from './attempts.ts';
import { type Failure, judgeStep, judgeUndo, type Verdict } from './decide.ts';
import { type JournalEntry, recordOf, resultsOf } from './journal.ts';
import type { PlannedStep } from './plan.ts';
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
}

/** One step to do or to undo. */
export interface Task {
  readonly operation: 'do' | 'undo';
  readonly step: PlannedStep;
  readonly definition: SagaDefinition;
  readonly record: SagaRecord;
  /** Whether whoever held the saga before may have attempted it. */
  readonly inherited: boolean;
  /** Aborts when the saga is lost. */
  readonly lost: AbortSignal;
  /** Aborts when it is lost or time to leave: finish the attempt under way, begin no other. */
  readonly leave: AbortSignal;
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
    const result = await round(attempts, task, shared);
    if (result === undefined) return undefined;
    if (result.done) return { entry: doneEntry(task, result.output) };
    const failure = { ...result, rounds };
    const verdict = judge(task, failure, shared.maxRounds);
    if (verdict !== 'retry') return { entry: failedEntry(task, verdict, failure), cause: result.error };
    if (!(await pause(task, shared, failure))) return undefined;
  }
}

async function round(
  attempts: Attempts,
  task: Task,
  { slots }: WorkSurroundings,
): Promise<RoundResult | undefined> {
  if (!(await slots.acquire(task.leave))) return undefined;
  const result = await attempts.round();
  slots.release();
  return task.lost.aborted ? undefined : result;
}

async function pause(task: Task, shared: WorkSurroundings, failure: Failure): Promise<boolean> {
  const { clock, backoff, random, emitter } = shared;
  const { error, rounds: round } = failure;
  const delay = backoff(round, random);
  const { id, saga } = task.record;
  if (emitter.wants('stepRetried')) {
    const undo = task.operation === 'undo';
    emitter.emit('stepRetried', { id, saga, step: task.step.name, undo, round, delay, error });
  }
  return sleep(clock, delay, task.leave).then(
    () => true,
    () => false,
  );
}

function judge(task: Task, failure: Failure, maxRounds: number): Verdict {
  return task.operation === 'undo' ? judgeUndo(failure, maxRounds) : judgeStep(task.step, failure, maxRounds);
}

function doneEntry({ operation, step }: Task, output: JsonValue | undefined): JournalEntry {
  return operation === 'undo'
    ? { type: 'undone', step: step.name }
    : { type: 'done', step: step.name, output };
}

function failedEntry(
  task: Task,
  verdict: Exclude<Verdict, 'retry'>,
  { error, rounds }: Failure,
): JournalEntry {
  const { step, operation, record } = task;
  const message = messageOf(error);
  if (verdict !== 'park') return { type: verdict, step: step.name, error: message };
  const times = rounds === 1 ? 'once' : `${rounds} times`;
  if (operation === 'do') {
    return { type: 'parked', reason: `${step.name} (${step.kind}) was tried ${times}: ${message}` };
  }
  return {
    type: 'parked',
    reason: `the undo of ${step.name} was tried ${times}: ${message} · it was to be undone because ${record.reason}`,
  };
}

/** No two pieces of work share a key: a step's name has no slash, so a key splits in one way only. */
function keyOf({ record, step }: Task, operation: 'do' | 'undo'): string {
  return `${record.id}/${step.name}/${operation}`;
}

function attemptsAt(task: Task, shared: WorkSurroundings): Attempts {
  const { operation, step, definition, record, inherited, lost } = task;
  const { run, undo, policy, timeout = shared.attemptTimeout } = definition.functions.get(step.name)!;
  const options = { clock: shared.clock, timeout, settleTimeout: shared.settleTimeout, signal: lost };
  if (operation === 'do') {
    const perform = (call: CallContext, attempt: number): unknown => run(contextOf(task, call, attempt));
    return new Attempts(perform, { ...options, policy, doubtful: inherited });
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

function contextOf(task: Task, call: CallContext, attempt: number): StepContext<unknown, unknown> {
  const { record, operation } = task;
  return {
    input: record.input,
    results: resultsOf(record),
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
