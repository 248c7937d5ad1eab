import { sleep } from '../core/clock.ts';
import { InvalidPayloadError } from '../core/errors.ts';
import { messageOf } from '../core/holdfast-error.ts';
import type { SagaRecord, SagaRequest } from '../ports/saga-store.ts';
import { announce } from './announce.ts';
import { type Action, decide } from './decide.ts';
import { GroupWork } from './group-work.ts';
import { Halt } from './halt.ts';
import { fold, isSettled, type JournalEntry, recordOf, withoutUnstorable } from './journal.ts';
import { workOnce } from './once-work.ts';
import { type Advance, advance } from './opening.ts';
import type { PlannedStep } from './plan.ts';
import type { SagaDefinition } from './saga-types.ts';
import { type Task, type TaskOutcome, type WorkSurroundings, work } from './step-work.ts';
import type { StoreCalls } from './store-calls.ts';
import { turnAt } from './turning.ts';

/** What the executions of one runner share. */
export interface ExecutionSurroundings extends WorkSurroundings {
  readonly store: StoreCalls;
  /** Told of each durable change of a saga. */
  readonly onChange: (record: SagaRecord) => void;
}

/** How an execution ended. */
export interface Ending {
  /** Settled or waiting; undefined when the saga was left to others. */
  readonly record: SagaRecord | undefined;
  /** What made the saga turn back or park, when this process saw it. */
  readonly cause: unknown;
  /** Whether it waits and can be claimed at once, since a request came meanwhile. */
  readonly due?: boolean | undefined;
}

/** A saga to execute. */
export interface ExecutionOptions {
  readonly definition: SagaDefinition;
  readonly record: SagaRecord;
  /** Whether it was claimed, and not just begun: then its next step is in doubt from the start. */
  readonly inherited: boolean;
  readonly shared: ExecutionSurroundings;
}

/** What is to be written down. */
interface Change extends Advance {
  /** What became known; the other entries follow from it. */
  readonly own: readonly JournalEntry[];
  readonly cause?: unknown;
}

const left: Ending = { record: undefined, cause: undefined };

/** Drives one saga that this worker holds until it ends or waits: decide, act, write down, and again. */
export class Execution {
  readonly #definition: SagaDefinition;
  readonly #shared: ExecutionSurroundings;
  readonly #halt: Halt = new Halt();
  #record: SagaRecord;
  /** Whether whoever held it before may have begun what comes next; in a lazy saga, anything that comes. */
  #inherited: boolean;
  #cause: unknown;
  /** Whether the store has requests that are not in the record. */
  #hasNews = false;
  /** What a lazy saga did and did not write down, and what is written. */
  #unwritten: JournalEntry[] = [];
  #durable: SagaRecord;
  /** The parallel group whose members are under way. */
  #group: string | undefined;
  #writing: Promise<boolean> = Promise.resolve(true);

  constructor({ definition, record, inherited, shared }: ExecutionOptions) {
    this.#definition = definition;
    this.#record = record;
    this.#durable = record;
    // While it waits nobody begins anything.
    this.#inherited = inherited && record.status !== 'waiting';
    this.#shared = shared;
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
    this.#hasNews = true;
  }

  /** Run to the end, or until it waits. Never rejects. */
  async run(): Promise<Ending> {
    while (!isSettled(this.#record.status)) {
      if (this.#halt.leaving || !(await this.#act())) return this.#left();
      // Written as waiting, it is held by nobody.
      if (this.#record.status === 'waiting') return { ...this.#ending(), due: this.#hasNews };
    }
    return this.#ending();
  }

  #ending(): Ending {
    return { record: this.#record, cause: this.#cause };
  }

  async #left(): Promise<Ending> {
    const { id, saga } = this.#record;
    if (!this.#halt.aborted && this.#unwritten.length > 0) await this.#flush();
    if (this.#halt.aborted) this.#shared.emitter.emit('lost', { id, saga });
    return left;
  }

  /** Do what comes next; false when it is time to leave, or the saga is not ours any more. */
  async #act(): Promise<boolean> {
    if (this.#hasNews) await this.#readRequests();
    const { plan } = this.#definition;
    const action = decide(plan, this.#record);
    switch (action.type) {
      case 'do':
        if (this.#record.status !== 'waiting' && !this.#turns(action))
          return this.#perform('do', action.steps);
        return this.#go();
      case 'open':
      case 'wait':
        return this.#go();
      case 'undo':
        return this.#perform('undo', action.steps);
      case 'settle':
        return this.#commit([settled(action.steps)]);
      case 'finish':
        return this.#commit([{ type: 'finished', status: action.status }]);
      case 'park':
        return this.#commit([{ type: 'parked', reason: action.reason }]);
      case 'rest':
        return false;
    }
  }

  #turns(action: Action): boolean {
    const { deadline, requests } = this.#record;
    if (deadline === undefined && requests === undefined) return false;
    const now = this.#shared.clock.wallTime();
    return (
      turnAt(this.#definition.plan, this.#record, action, { now, inherited: this.#inherited }) !== undefined
    );
  }

  /** Go as far as it goes without calling anybody. */
  async #go(): Promise<boolean> {
    return this.#write({ ...(await this.#advance(this.#record)), own: [] });
  }

  #advance(record: SagaRecord, inherited: boolean = this.#inherited): Promise<Advance> {
    const { maxPayload, clock, emitter } = this.#shared;
    const { id, saga } = record;
    const onMisfit = (signal: string, request: SagaRequest, error: string): void =>
      emitter.emit('signalIgnored', { id, saga, signal, request: request.id, error });
    const now = clock.wallTime();
    return advance(this.#definition, record, { now, inherited, maxPayload, onMisfit });
  }

  /** What somebody outside asked of the saga. When the store cannot tell, which is told, it is asked again later. */
  async #readRequests(): Promise<void> {
    const { id, epoch } = this.#record;
    const found = await this.#shared.store.call('get', (store) => store.get(id)).catch(() => undefined);
    if (found === undefined || found.epoch !== epoch) return;
    this.#hasNews = false;
    if (found.requests !== undefined) this.#record = { ...this.#record, requests: found.requests };
  }

  async #perform(operation: Task['operation'], steps: readonly PlannedStep[]): Promise<boolean> {
    const [first] = steps as [PlannedStep];
    if (first.group !== undefined) return this.#performGroup(operation, steps);
    const outcome = await this.#work(operation, first, this.#halt);
    return outcome !== undefined && this.#commit([outcome.entry], outcome.cause);
  }

  async #performGroup(operation: Task['operation'], steps: readonly PlannedStep[]): Promise<boolean> {
    const inherited = this.#inherited;
    this.#group = steps[0]?.group;
    const group = new GroupWork({
      steps,
      halt: this.#halt,
      mayHaveBegun: ({ name, once }) => (once ? recordOf(this.#record, name)?.status === 'begun' : inherited),
      work: (step, halt) => this.#work(operation, step, halt),
      commit: (entries, cause) => this.#serially(() => this.#commit(entries, cause)),
      end: () => {
        this.#group = undefined;
      },
    });
    return group.run();
  }

  #work(operation: Task['operation'], step: PlannedStep, halt: Halt): Promise<TaskOutcome | undefined> {
    const { name } = step;
    const intend = (): Promise<boolean> => this.#serially(() => this.#intend(name));
    const [definition, record, inherited] = [this.#definition, this.#record, this.#inherited];
    const task: Task = { operation, step, definition, record, inherited, halt, intend };
    return step.once && operation === 'do' ? workOnce(task, this.#shared) : work(task, this.#shared);
  }

  async #intend(step: string): Promise<boolean> {
    if (recordOf(this.#record, step)?.status === 'begun') return true;
    return this.#commit([{ type: 'begun', step }]);
  }

  /** Members of a group come to their ends at any time; the saga is written one change after the other. */
  #serially(change: () => Promise<boolean>): Promise<boolean> {
    this.#writing = this.#writing.then((isOurs) => isOurs && change());
    return this.#writing;
  }

  async #commit(own: readonly JournalEntry[], cause?: unknown): Promise<boolean> {
    return this.#write(await this.#changeBy(this.#record, own, cause));
  }

  /** What the entries come to, and whatever follows from them without calling anybody: one write. */
  async #changeBy(from: SagaRecord, own: readonly JournalEntry[], cause: unknown): Promise<Change> {
    const { plan } = this.#definition;
    const now = this.#shared.clock.wallTime();
    const record = own.reduce((current, entry) => fold(plan, current, entry, now), from);
    const { status, deadline, requests } = record;
    const goesOn = plan.hasOpenings || deadline !== undefined || requests !== undefined;
    // While members of a group are under way, nothing goes on and nothing turns back.
    if (status !== 'running' || !goesOn || this.#group !== undefined || own.some((e) => e.type === 'begun')) {
      return { record, entries: own, own, cause };
    }
    const advanced = await this.#advance(record, plan.lazy && this.#inherited);
    return { record: advanced.record, entries: [...own, ...advanced.entries], own, cause };
  }

  /** Write until the store answers; false when the saga is not ours any more. */
  async #write(change: Change): Promise<boolean> {
    const { clock, random, backoff } = this.#shared;
    if (this.#defers(change)) return true;
    let now = change;
    for (let tries = 1; !this.#halt.aborted; tries += 1) {
      try {
        return await this.#tryWrite(now, tries);
      } catch (error) {
        if (error instanceof InvalidPayloadError) {
          now = await this.#without(now, error);
          // What is less may be taken at once; but not even that may be.
          if (tries <= 2) continue;
        }
        await sleep(clock, backoff(tries, random), this.#halt.abortSignal).catch(() => {});
      }
    }
    return false;
  }

  /** Keep in memory what a lazy saga need not write down at once: after a crash it is done again. */
  #defers({ record, entries }: Change): boolean {
    const defers = this.#definition.plan.lazy && record.status === 'running';
    if (!defers || !entries.every(({ type }) => type === 'done')) return false;
    this.#record = record;
    this.#unwritten.push(...entries);
    return true;
  }

  async #tryWrite(change: Change, tries: number): Promise<boolean> {
    const { record } = change;
    const written = await this.#shared.store.call('update', (store) => store.update(record));
    if (written === undefined && (tries === 1 || !(await this.#wroteBefore(record)))) {
      this.lose(new Error(`another worker took over saga ${record.id}`));
      return false;
    }
    // When the answer was lost, whether there are requests is not known.
    this.#advanceTo(change, written === undefined || written.requests > (record.requests?.length ?? 0));
    return true;
  }

  /** What to write down in place of something that the store will never take. */
  #without({ own, entries, cause = undefined }: Change, error: InvalidPayloadError): Promise<Change> {
    const why = messageOf(error);
    if (this.#unwritten.length > 0) {
      const reason = `the store does not take what its steps returned: ${why}`;
      return this.#changeBy(this.#durable, [{ type: 'parked', reason }], cause ?? error);
    }
    const refused = own.length > 0 ? own : entries.slice(0, 1);
    const less = refused.map((entry) => withoutUnstorable(this.#definition.plan, entry, why));
    return this.#changeBy(this.#record, less, cause ?? error);
  }

  #flush(): Promise<boolean> {
    const { plan } = this.#definition;
    const own: JournalEntry[] = [{ type: 'flushed' }];
    return this.#write({
      record: fold(plan, this.#record, own[0]!, this.#shared.clock.wallTime()),
      entries: own,
      own,
    });
  }

  #advanceTo({ record, entries, cause }: Change, hasNews: boolean): void {
    const { emitter, onChange } = this.#shared;
    const before = this.#durable;
    const after = { ...record, version: record.version + 1, claims: 0 };
    this.#record = after;
    this.#durable = after;
    if (!this.#definition.plan.lazy) this.#inherited = false;
    if (hasNews) this.#hasNews = true;
    this.#cause ??= cause;
    announce(emitter, [...this.#unwritten, ...entries], { before, after, cause });
    this.#unwritten = [];
    onChange(after);
  }

  /** Whether an earlier try did write, though it seemed to fail: nobody else writes at our epoch. */
  async #wroteBefore(next: SagaRecord): Promise<boolean> {
    const now = await this.#shared.store.call('get', (store) => store.get(next.id));
    return now?.epoch === next.epoch && now.version === next.version + 1;
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
