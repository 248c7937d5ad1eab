/** One step to do or to undo, and what its functions get of it. */
import type { Backoff } from '../core/backoff.ts';
import type { Clock } from '../core/clock.ts';
import type { Emitter } from '../core/emitter.ts';
import type { CallContext } from '../core/policy.ts';
import type { SagaRecord } from '../ports/saga-store.ts';
import type { Halt } from './halt.ts';
import { type JournalEntry, recordOf } from './journal.ts';
import type { PlannedStep } from './plan.ts';
import { stateAt } from './results.ts';
import type { SagaEvents } from './saga-events.ts';
import type { SagaDefinition, StepContext, UndoContext } from './saga-types.ts';
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
  readonly onTurn: ((error: unknown) => void) | undefined;
  /** Write down that the step will be attempted; false when that cannot be. Asked of steps that are done once. */
  readonly intend: (step: string) => Promise<boolean>;
}

/** What came of a task, to be written down. */
export interface TaskOutcome {
  readonly entry: JournalEntry;
  /** What made it fail. */
  readonly cause: unknown;
}

/** No two pieces of work share a key: a step's name has no slash, so a key splits in one way only. */
function keyOf({ record, step }: Task, operation: 'do' | 'undo'): string {
  return `${record.id}/${step.name}/${operation}`;
}

/** What the function of a step gets. A class, since an object with a getter of its own costs more than all the rest. */
class AttemptContext implements StepContext<unknown, unknown> {
  readonly input: unknown;
  readonly results: unknown;
  readonly sagaId: string;
  readonly key: string;
  readonly attempt: number;
  readonly deadline: number | undefined;
  readonly #call: CallContext;

  constructor(task: Task, call: CallContext, attempt: number) {
    const { record, operation, definition, step } = task;
    const { input, results } = stateAt(definition.plan, record, step);
    this.input = input;
    this.results = results;
    this.sagaId = record.id;
    this.key = keyOf(task, operation);
    this.attempt = attempt;
    this.deadline = call.deadline;
    this.#call = call;
  }

  /** Made when it is read: most steps never do, and a signal is dear. */
  get signal(): AbortSignal {
    return this.#call.signal;
  }
}

/** What the undo of a step gets. */
class UndoAttemptContext extends AttemptContext implements UndoContext<unknown, unknown, unknown> {
  readonly result: unknown;
  readonly error: string;
  readonly forwardKey: string;

  constructor(task: Task, call: CallContext, attempt: number) {
    super(task, call, attempt);
    this.result = recordOf(task.record, task.step.name)?.output;
    this.error = task.record.reason ?? '';
    this.forwardKey = keyOf(task, 'do');
  }
}

/** What the function of a step gets. */
export function contextOf(task: Task, call: CallContext, attempt: number): StepContext<unknown, unknown> {
  return new AttemptContext(task, call, attempt);
}

/** What the undo of a step gets. */
export function undoContextOf(
  task: Task,
  call: CallContext,
  attempt: number,
): UndoContext<unknown, unknown, unknown> {
  return new UndoAttemptContext(task, call, attempt);
}
