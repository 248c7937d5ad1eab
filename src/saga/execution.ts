import type { SagaRecord } from '../ports/saga-store.ts';
import { type Action, decide } from './decide.ts';
import { GroupWork } from './group-work.ts';
import { Halt } from './halt.ts';
import { isSettled, type JournalEntry, recordOf } from './journal.ts';
import { workOnce } from './once-work.ts';
import type { PlannedStep } from './plan.ts';
import { type ExecutionOptions, type ExecutionSurroundings, RecordWriter } from './record-writer.ts';
import type { SagaDefinition } from './saga-types.ts';
import { work } from './step-work.ts';
import type { Task, TaskOutcome } from './task.ts';
import { turnAt } from './turning.ts';

/** How an execution ended. */
export interface Ending {
  /** Settled or waiting; undefined when the saga was left to others. */
  readonly record: SagaRecord | undefined;
  /** What made the saga turn back or park, when this process saw it. */
  readonly cause: unknown;
  /** Whether it waits and can be claimed at once, since a request came meanwhile. */
  readonly due?: boolean | undefined;
}

const left: Ending = { record: undefined, cause: undefined };

/** Drives one saga that this worker holds until it ends or waits: decide, act, write down, and again. */
export class Execution {
  readonly #definition: SagaDefinition;
  readonly #shared: ExecutionSurroundings;
  readonly #halt: Halt = new Halt();
  readonly #writer: RecordWriter;
  /** Members of a group come to their ends at any time; the saga is written one change after the other. */
  #writing: Promise<boolean> = Promise.resolve(true);

  constructor(options: ExecutionOptions) {
    this.#definition = options.definition;
    this.#shared = options.shared;
    this.#writer = new RecordWriter(options, this.#halt);
  }

  /** Finish the attempt under way, write it down, and leave the rest to others. */
  leave(): void {
    this.#halt.leave();
  }

  /** The saga may be somebody else's now: abort what is under way and write nothing more. */
  lose(reason: unknown): void {
    this.#halt.abort(reason);
  }

  /** Somebody has asked something of the saga. */
  nudge(): void {
    this.#writer.nudge();
  }

  /** Run to the end, or until it waits. Never rejects. */
  async run(): Promise<Ending> {
    const writer = this.#writer;
    while (!isSettled(writer.record.status)) {
      if (this.#halt.leaving || !(await this.#act())) return this.#left();
      // Written as waiting, it is held by nobody.
      if (writer.record.status === 'waiting') return { ...this.#ending(), due: writer.hasNews };
    }
    return this.#ending();
  }

  #ending(): Ending {
    return { record: this.#writer.record, cause: this.#writer.cause };
  }

  async #left(): Promise<Ending> {
    const { id, saga } = this.#writer.record;
    await this.#writer.flush();
    if (this.#halt.aborted) this.#shared.emitter.emit('lost', { id, saga });
    return left;
  }

  /** Do what comes next; false when it is time to leave, or the saga is not ours any more. */
  #act(): Promise<boolean> {
    const writer = this.#writer;
    if (writer.hasNews) return writer.readRequests().then(() => this.#actOn());
    return this.#actOn();
  }

  #actOn(): Promise<boolean> {
    const writer = this.#writer;
    const action = decide(this.#definition.plan, writer.record);
    switch (action.type) {
      case 'do':
        if (writer.record.status === 'waiting' || this.#turns(action)) return writer.go();
        return this.#perform('do', action.steps);
      case 'open':
      case 'wait':
        return writer.go();
      case 'undo':
        return this.#perform('undo', action.steps);
      case 'settle':
        return writer.commit([settled(action.steps)]);
      case 'finish':
        return writer.commit([{ type: 'finished', status: action.status }]);
      case 'park':
        return writer.commit([{ type: 'parked', reason: action.reason }]);
      case 'rest':
        return Promise.resolve(false);
    }
  }

  #turns(action: Action): boolean {
    const { record, inherited, now } = this.#writer;
    if (record.deadline === undefined && record.requests === undefined) return false;
    return turnAt(this.#definition.plan, record, action, { now, inherited }) !== undefined;
  }

  #perform(operation: Task['operation'], steps: readonly PlannedStep[]): Promise<boolean> {
    const [first] = steps as [PlannedStep];
    if (first.group !== undefined) return this.#performGroup(operation, steps);
    return this.#work(operation, first, this.#halt, undefined).then(
      (outcome) => outcome !== undefined && this.#writer.commit([outcome.entry], outcome.cause),
    );
  }

  #performGroup(operation: Task['operation'], steps: readonly PlannedStep[]): Promise<boolean> {
    const writer = this.#writer;
    const { inherited } = writer;
    writer.group = steps[0]?.group;
    const group = new GroupWork({
      steps,
      halt: this.#halt,
      mayHaveBegun: ({ name, once }) =>
        once ? recordOf(writer.record, name)?.status === 'begun' : inherited,
      work: (step, halt, onTurn) => this.#work(operation, step, halt, onTurn),
      commit: (entries, cause) => this.#serially(() => writer.commit(entries, cause)),
      end: () => {
        writer.group = undefined;
      },
    });
    return group.run();
  }

  #work(
    operation: Task['operation'],
    step: PlannedStep,
    halt: Halt,
    onTurn: Task['onTurn'],
  ): Promise<TaskOutcome | undefined> {
    const { record, inherited } = this.#writer;
    const definition = this.#definition;
    const intend = this.#intend;
    const task: Task = { operation, step, definition, record, inherited, halt, onTurn, intend };
    return step.once && operation === 'do' ? workOnce(task, this.#shared) : work(task, this.#shared);
  }

  readonly #intend = (step: string): Promise<boolean> =>
    this.#serially(async () => {
      if (recordOf(this.#writer.record, step)?.status === 'begun') return true;
      return this.#writer.commit([{ type: 'begun', step }]);
    });

  #serially(change: () => Promise<boolean>): Promise<boolean> {
    this.#writing = this.#writing.then((isOurs) => isOurs && change());
    return this.#writing;
  }
}

/** Members of a group that turned back, of which nobody lived to write down what became of them. */
function settled(steps: readonly PlannedStep[]): JournalEntry {
  const error = 'interrupted: whether it was done was not written down';
  return {
    type: 'turned',
    steps: steps.map(({ name, type }) => ({ name, status: type === 'call' ? 'failed' : 'refused', error })),
  };
}
