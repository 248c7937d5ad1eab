import { sleep } from '../core/clock.ts';
import { InvalidPayloadError } from '../core/errors.ts';
import { messageOf } from '../core/holdfast-error.ts';
import type { ClaimedSaga, SagaRecord, SagaRequest } from '../ports/saga-store.ts';
import { announce } from './announce.ts';
import { decide } from './decide.ts';
import type { Halt } from './halt.ts';
import { fold, type JournalEntry, withoutUnstorable } from './journal.ts';
import { type Advance, advance } from './opening.ts';
import type { SagaDefinition } from './saga-types.ts';
import type { StoreCalls } from './store-calls.ts';
import type { WorkSurroundings } from './task.ts';

/** What the executions of one runner share. */
export interface ExecutionSurroundings extends WorkSurroundings {
  readonly store: StoreCalls;
  /** Told of each durable change of a saga. */
  readonly onChange: (record: SagaRecord) => void;
}

/** A saga to execute. */
export interface ExecutionOptions {
  readonly definition: SagaDefinition;
  readonly record: SagaRecord | ClaimedSaga;
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

type Mutable = { -readonly [K in keyof SagaRecord]: SagaRecord[K] };

/** A claimed record as it was written. */
function unclaimed({ claimedAt: _, ...record }: ClaimedSaga): SagaRecord {
  return record;
}

const isOurs = Promise.resolve(true);
const isLost = Promise.resolve(false);

/**
 * One saga's record in the hands of its worker: what is known of it, and the only way to change that. Each change is one
 * conditional write, together with everything that follows from it without calling anybody.
 */
export class RecordWriter {
  readonly #definition: SagaDefinition;
  readonly #shared: ExecutionSurroundings;
  readonly #halt: Halt;
  #record: SagaRecord;
  /** What the store has; in a lazy saga the record may be ahead of it by these entries. */
  #durable: SagaRecord;
  #unwritten: JournalEntry[] = [];
  #inherited: boolean;
  #hasNews = false;
  #cause: unknown;
  /** The latest time by the store's clock that is known here: what is due by it is due, though this clock may lag. */
  readonly #storeTime: number;
  /** The group whose members are under way: until all have ended nothing goes on, and nothing turns back. */
  group: string | undefined;

  constructor({ definition, record, inherited, shared }: ExecutionOptions, halt: Halt) {
    this.#definition = definition;
    const known = 'claimedAt' in record ? unclaimed(record) : record;
    this.#storeTime = 'claimedAt' in record ? record.claimedAt : 0;
    this.#record = known;
    this.#durable = known;
    // While it waits nobody begins anything.
    this.#inherited = inherited && record.status !== 'waiting';
    this.#shared = shared;
    this.#halt = halt;
  }

  /** Wall time, in milliseconds. */
  get now(): number {
    return Math.max(this.#shared.clock.wallTime(), this.#storeTime);
  }

  get record(): SagaRecord {
    return this.#record;
  }

  /** Whether whoever held it before may have begun what comes next; in a lazy saga, anything that comes. */
  get inherited(): boolean {
    return this.#inherited;
  }

  /** Whether the store has requests that are not in the record. */
  get hasNews(): boolean {
    return this.#hasNews;
  }

  /** What made it turn back or park, when this process saw it. */
  get cause(): unknown {
    return this.#cause;
  }

  /** Somebody has asked something of the saga. */
  nudge(): void {
    this.#hasNews = true;
  }

  /** What somebody outside asked of the saga. When the store cannot tell, which is told, it is asked again later. */
  async readRequests(): Promise<void> {
    const { id, epoch } = this.#record;
    const found = await this.#shared.store.call('get', (store) => store.get(id)).catch(() => undefined);
    if (found === undefined || found.epoch !== epoch) return;
    this.#hasNews = false;
    if (found.requests !== undefined) this.#record = { ...this.#record, requests: found.requests };
  }

  /** Go as far as it goes without calling anybody. False when the saga is not ours any more. */
  async go(): Promise<boolean> {
    return this.#write({ ...(await this.#advance(this.#record, this.#inherited)), own: [] });
  }

  /** Write down what became known. False when the saga is not ours any more. */
  commit(own: readonly JournalEntry[], cause?: unknown): Promise<boolean> {
    const change = this.#changeBy(this.#record, own, cause);
    return change instanceof Promise ? change.then((ready) => this.#write(ready)) : this.#write(change);
  }

  /** Write down what a lazy saga has not. */
  async flush(): Promise<void> {
    if (this.#halt.aborted || this.#unwritten.length === 0) return;
    const own = [{ type: 'flushed' } as const];
    const record = fold(this.#definition.plan, this.#record, own[0]!, this.now);
    await this.#write({ record, entries: own, own });
  }

  #advance(record: SagaRecord, inherited: boolean): Promise<Advance> {
    const { maxPayload, emitter } = this.#shared;
    const { id, saga } = record;
    const onMisfit = (signal: string, request: SagaRequest, error: string): void =>
      emitter.emit('signalIgnored', { id, saga, signal, request: request.id, error });
    return advance(this.#definition, record, { now: this.now, inherited, maxPayload, onMisfit });
  }

  #changeBy(from: SagaRecord, own: readonly JournalEntry[], cause: unknown): Change | Promise<Change> {
    const { plan } = this.#definition;
    const { now } = this;
    let record = from;
    for (const entry of own) record = fold(plan, record, entry, now);
    const { status, deadline, requests } = record;
    const goesOn = plan.hasOpenings || deadline !== undefined || requests !== undefined;
    if (status !== 'running' || !goesOn || own[0]?.type === 'begun' || this.#isUnderWay(record)) {
      return { record, entries: own, own, cause };
    }
    return this.#advance(record, plan.lazy && this.#inherited).then((advanced) => ({
      record: advanced.record,
      entries: advanced.entries.length === 0 ? own : [...own, ...advanced.entries],
      own,
      cause,
    }));
  }

  #isUnderWay(record: SagaRecord): boolean {
    if (this.group === undefined) return false;
    const action = decide(this.#definition.plan, record);
    return action.type === 'do' && action.steps[0]?.group === this.group;
  }

  #write(change: Change): Promise<boolean> {
    if (this.#defers(change)) return isOurs;
    if (this.#halt.aborted) return isLost;
    const { record } = change;
    return this.#shared.store
      .call('update', (store) => store.update(record))
      .then(
        (written) => (written === undefined ? this.#lose() : this.#advanceTo(change, written.requests)),
        (error) => this.#writeAgain(change, error),
      );
  }

  /** Write until the store answers. */
  async #writeAgain(failed: Change, failure: unknown): Promise<boolean> {
    const { clock, random, backoff, store } = this.#shared;
    let [change, error] = [failed, failure];
    for (let tries = 1; ; tries += 1) {
      const isRefused = error instanceof InvalidPayloadError;
      if (isRefused) change = await this.#without(change, error as InvalidPayloadError);
      // What is less may be taken at once; but not even that may be.
      if (!isRefused || tries > 2)
        await sleep(clock, backoff(tries, random), this.#halt.abortSignal).catch(() => {});
      if (this.#halt.aborted) return false;
      try {
        const { record } = change;
        const written = await store.call('update', (s) => s.update(record));
        // A copy: a try before this one may still be under way, and must not find its record raised.
        const copy = { ...change, record: { ...record } };
        if (written !== undefined) return this.#advanceTo(copy, written.requests);
        // When the answer was lost, how many requests there are is not known.
        return (await this.#wroteBefore(record)) ? this.#advanceTo(copy, Infinity) : this.#lose();
      } catch (next) {
        error = next;
      }
    }
  }

  #lose(): boolean {
    this.#halt.abort(new Error(`another worker took over saga ${this.#record.id}`));
    return false;
  }

  /** Keep in memory what a lazy saga need not write down at once: after a crash it is done again. */
  #defers({ record, entries }: Change): boolean {
    const { lazy, steps, positions } = this.#definition.plan;
    // That a wait is over is a change of status: whoever finds it waiting knows that nothing behind it was begun.
    const defers = lazy && record.status === 'running' && this.#durable.status === 'running';
    // After a repair it is none; but what ended a wait must be the same when it is done again, whatever comes meanwhile.
    const isCall = (step: string): boolean => steps[positions.get(step) ?? -1]?.type === 'call';
    if (!defers || !entries.every((entry) => entry.type === 'done' && isCall(entry.step))) return false;
    this.#record = record;
    this.#unwritten.push(...entries);
    return true;
  }

  /** What to write down in place of something that the store will never take. */
  #without({ own, entries, cause }: Change, error: InvalidPayloadError): Change | Promise<Change> {
    const why = messageOf(error);
    if (this.#unwritten.length > 0) {
      const reason = `the store does not take what its steps returned: ${why}`;
      return this.#changeBy(this.#durable, [{ type: 'parked', reason }], cause ?? error);
    }
    const refused = own.length > 0 ? own : entries.slice(0, 1);
    const less = refused.map((entry) => withoutUnstorable(this.#definition.plan, entry, why));
    return this.#changeBy(this.#record, less, cause ?? error);
  }

  #advanceTo({ record, entries, cause }: Change, requests: number): boolean {
    const { emitter, onChange } = this.#shared;
    const before = this.#durable;
    // Nobody else has it, and a record that the store took is not looked at again.
    const after = Object.assign(record as Mutable, { version: record.version + 1, claims: 0 });
    this.#record = after;
    this.#durable = after;
    if (!this.#definition.plan.lazy) this.#inherited = false;
    if (requests > (record.requests?.length ?? 0)) this.#hasNews = true;
    this.#cause ??= cause;
    if (emitter.isHeard) announce(emitter, [...this.#unwritten, ...entries], { before, after, cause });
    if (this.#unwritten.length > 0) this.#unwritten = [];
    onChange(after);
    return true;
  }

  /** Whether an earlier try did write, though it seemed to fail: nobody else writes at our epoch. */
  async #wroteBefore(next: SagaRecord): Promise<boolean> {
    const now = await this.#shared.store.call('get', (store) => store.get(next.id));
    return now?.epoch === next.epoch && now.version === next.version + 1;
  }
}
