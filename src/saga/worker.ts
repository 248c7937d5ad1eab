import { exponential } from '../core/backoff.ts';
import type { Timer } from '../core/clock.ts';
import type { Emitter } from '../core/emitter.ts';
import { SagaRepairError, UnknownSagaError } from '../core/errors.ts';
import { InFlight } from '../core/lifecycle.ts';
import { warnOf } from '../core/log.ts';
import type { Runtime } from '../core/runtime.ts';
import type { Lease, NewSaga, SagaRecord } from '../ports/saga-store.ts';
import { announce } from './announce.ts';
import { type Ending, Execution, type ExecutionSurroundings } from './execution.ts';
import { fold, isSettled } from './journal.ts';
import { LeaseKeeper } from './lease-keeper.ts';
import { emptyPlan } from './plan.ts';
import { assertParked, type RepairRequest, repairEntry } from './repair.ts';
import type { SagaRunnerSettings } from './runner-options.ts';
import type { SagaEvents } from './saga-events.ts';
import type { SagaDefinition } from './saga-types.ts';
import { Slots } from './slots.ts';
import { StoreCalls } from './store-calls.ts';

interface Held {
  readonly execution: Execution;
  readonly ended: Promise<Ending>;
}

/** An id that calls under way may bring. */
interface Entering {
  calls: number;
  /** The newest epoch that a claim brought meanwhile: what the calls bring of an earlier one is out of date. */
  claimed: number;
}

/** The name under which a definition is looked up: equal for equal shapes only. */
function shapeOf({ saga, hash }: Pick<SagaRecord, 'saga' | 'hash'>): string {
  return `${saga} ${hash}`;
}

const overtaken = 'somebody else repaired it at the same time; look at it again';

/** The error for a saga that is in none of a runner's shapes. */
export function notGiven(saga: string): UnknownSagaError {
  return new UnknownSagaError(
    `this runner was not given saga ${saga} in this shape; list it in its option sagas`,
  );
}

/**
 * One owner in the store: claims sagas, begins new ones, executes what it holds, and keeps its lease. What it believes
 * to hold and what the store says may drift apart (an answer got lost, a lease expired); each claim mends that, since it
 * names what the worker holds and gets everything else that is its own or nobody's.
 */
export class Worker {
  readonly store: StoreCalls;
  readonly #settings: SagaRunnerSettings;
  readonly #runtime: Runtime;
  readonly #emitter: Emitter<SagaEvents>;
  readonly #definitions: ReadonlyMap<string, SagaDefinition>;
  readonly #lease: Lease;
  readonly #keeper: LeaseKeeper;
  readonly #shared: ExecutionSurroundings;
  readonly #held: Map<string, Held> = new Map();
  /** What is on its way into the worker's hands: a claim must not bring it, too. */
  readonly #entering: Map<string, Entering> = new Map();
  readonly #inFlight: InFlight = new InFlight();
  #poll: Timer | undefined;
  #backlog = false;
  #failures = 0;
  #stopping = false;

  constructor(settings: SagaRunnerSettings, runtime: Runtime, emitter: Emitter<SagaEvents>) {
    const { clock, random } = runtime;
    this.#settings = settings;
    this.#runtime = runtime;
    this.#emitter = emitter;
    this.#definitions = new Map(
      settings.sagas.map((s) => [shapeOf({ saga: s.name, hash: s.hash }), s.definition]),
    );
    this.#lease = { owner: runtime.id(), ttl: settings.lease };
    // A third of the lease: a call that takes longer would let the lease run out unnoticed.
    this.store = new StoreCalls(settings.store, clock, settings.lease / 3, emitter);
    const onLost = (reason: Error): void => this.#lose(reason);
    this.#keeper = new LeaseKeeper({ store: this.store, clock, lease: this.#lease, onLost });
    const slots = new Slots(settings.concurrency);
    const { attemptTimeout, settleTimeout } = settings;
    const work = { clock, random, emitter, slots, attemptTimeout, settleTimeout, ...settings.retry };
    this.#shared = { store: this.store, ...work };
  }

  /** How many sagas this worker holds. */
  get size(): number {
    return this.#held.size;
  }

  /** @throws StoreError when the store cannot be prepared or read. */
  async start(): Promise<void> {
    await this.store.call('start', (store) => store.start());
    await this.#claim();
    this.#keeper.start();
    this.#schedulePoll();
  }

  /** The end of a saga that this worker holds, or undefined when it holds none of this id. */
  ended(id: string): Promise<Ending> | undefined {
    return this.#held.get(id)?.ended;
  }

  /** The definition of a saga's shape, or undefined when this worker does not know it. */
  definition(shape: Pick<SagaRecord, 'saga' | 'hash'>): SagaDefinition | undefined {
    return this.#definitions.get(shapeOf(shape));
  }

  /** Write a saga down and execute it, unless it is there already. @throws StoreError; it may be begun then. */
  begin(saga: NewSaga): Promise<{ readonly created: boolean; readonly record: SagaRecord }> {
    return this.#entry(saga.id, () => this.#begin(saga));
  }

  async #begin(saga: NewSaga): Promise<{ readonly created: boolean; readonly record: SagaRecord }> {
    const sentAt = this.#runtime.clock.now();
    const found = await this.store.call('create', (store) => store.create(saga, this.#lease));
    this.#keeper.confirm(sentAt);
    if (found.created) {
      this.#emitter.emit('started', { id: saga.id, saga: saga.saga, input: saga.input });
      if (!this.#isOvertaken(found.record)) this.#execute(found.record, false);
    }
    return found;
  }

  /** Do as a person says with a parked saga, and write that down. @throws What `SagaRunner.retry` says. */
  repair(id: string, request: RepairRequest): Promise<SagaRecord> {
    return this.#entry(id, () => this.#repair(id, request));
  }

  async #repair(id: string, request: RepairRequest): Promise<SagaRecord> {
    const found = await this.store.call('get', (store) => store.get(id));
    if (found === undefined) throw new UnknownSagaError(`there is no saga ${id} in the store`);
    assertParked(found);
    const known = this.definition(found)?.plan;
    // What this worker cannot run it must not take from those that can; to resolve it needs no plan.
    if (known === undefined && request.action !== 'resolve') throw notGiven(found.saga);
    const plan = known ?? emptyPlan(found.saga);
    const sentAt = this.#runtime.clock.now();
    const record = await this.store.call('take', (store) => store.take(id, this.#lease));
    if (record === undefined) throw new SagaRepairError(found.saga, id, overtaken);
    this.#keeper.confirm(sentAt);
    const entry = repairEntry(plan, record, request);
    const next = fold(plan, record, entry, this.#runtime.clock.wallTime());
    if (!(await this.store.call('update', (store) => store.update(next)))) {
      throw new SagaRepairError(found.saga, id, overtaken);
    }
    const written = { ...next, version: next.version + 1 };
    announce(this.#emitter, entry, record, written, undefined);
    // What it parked at may have had its effect, so it is in doubt. Where an old attempt ends only now, a claim comes.
    const free = !this.#held.has(id) && !this.#isOvertaken(written);
    if (!isSettled(written.status) && free) this.#execute(written, true);
    return written;
  }

  async #entry<T>(id: string, work: () => Promise<T>): Promise<T> {
    const entering = this.#entering.get(id) ?? { calls: 0, claimed: 0 };
    this.#entering.set(id, entering);
    entering.calls += 1;
    try {
      return await this.#inFlight.track(work());
    } finally {
      entering.calls -= 1;
      if (entering.calls === 0) this.#entering.delete(id);
    }
  }

  /** Whether a claim brought it while the call that brings it now was under way, and so it is executed already. */
  #isOvertaken({ id, epoch }: SagaRecord): boolean {
    return (this.#entering.get(id)?.claimed ?? 0) > epoch;
  }

  #execute(record: SagaRecord, inherited: boolean): void {
    const definition = this.definition(record);
    // Whatever comes while stopping is left for others by the release.
    if (definition === undefined || this.#stopping) return;
    const execution = new Execution({ definition, record, inherited, shared: this.#shared });
    const ended = this.#inFlight.track(this.#follow(record.id, execution));
    this.#held.set(record.id, { execution, ended });
  }

  async #follow(id: string, execution: Execution): Promise<Ending> {
    // Begin only once it is listed as held.
    await undefined;
    try {
      return await execution.run();
    } catch (error) {
      warnOf(`saga ${id} could not be executed; it is claimed anew`, error);
      return { record: undefined, cause: error };
    } finally {
      this.#held.delete(id);
      if (this.#backlog && this.#shared.slots.free * 2 >= this.#settings.concurrency) this.#pollNow();
    }
  }

  async #claim(): Promise<void> {
    const limit = this.#shared.slots.free;
    if (limit <= 0) return;
    const definitions = this.#settings.sagas.map((s) => ({ saga: s.name, hash: s.hash }));
    const holding = [...this.#held.keys(), ...this.#entering.keys()];
    const sentAt = this.#runtime.clock.now();
    const request = { definitions, limit, holding };
    const records = await this.store.call('claim', (store) => store.claim(request, this.#lease));
    this.#keeper.confirm(sentAt);
    this.#backlog = records.length >= limit;
    for (const record of records) this.#takeOver(record);
  }

  #takeOver(record: SagaRecord): void {
    const { id, saga, reason = '' } = record;
    if (isSettled(record.status)) {
      const duration = Math.max(0, record.updatedAt - record.createdAt);
      this.#emitter.emit('parked', { id, saga, reason, duration });
    } else if (!this.#held.has(id)) {
      const entering = this.#entering.get(id);
      if (entering !== undefined) entering.claimed = record.epoch;
      this.#emitter.emit('resumed', { id, saga });
      this.#execute(record, true);
    }
  }

  #schedulePoll(): void {
    if (this.#stopping) return;
    const { clock, random } = this.#runtime;
    const { pollInterval } = this.#settings;
    // Spread, so that many workers that began together do not ask together.
    const usual = pollInterval * (0.75 + random() / 2);
    const max = Math.max(30_000, pollInterval);
    const extra = this.#failures === 0 ? 0 : exponential({ base: pollInterval, max })(this.#failures, random);
    this.#poll = clock.schedule(usual + extra, () => this.#pollNow());
  }

  #pollNow(): void {
    if (this.#stopping || this.#poll === undefined) return;
    this.#poll.cancel();
    // Undefined while a claim is under way, so that there is never a second one.
    this.#poll = undefined;
    const claim = this.#claim().then(
      () => {
        this.#failures = 0;
      },
      () => {
        this.#failures += 1;
      },
    );
    void this.#inFlight.track(claim).then(() => this.#schedulePoll());
  }

  #lose(reason: Error): void {
    for (const { execution } of this.#held.values()) execution.lose(reason);
  }

  /** Claim nothing more, let each saga finish its step, and give up the lease so that others go on at once. */
  async stop(timeout: number): Promise<void> {
    this.#stopping = true;
    this.#poll?.cancel();
    for (const { execution } of this.#held.values()) execution.leave();
    const drained = await this.#inFlight.drained(this.#runtime.clock, timeout);
    this.#keeper.stop();
    if (drained) {
      // When it fails (which is told), the lease ends by itself.
      await this.store.call('release', (store) => store.release(this.#lease.owner)).catch(() => {});
    } else {
      // An attempt still runs. Its saga must not be taken over at once, so the lease is left to expire.
      this.#lose(new Error(`the runner stopped and an attempt did not end within ${timeout} ms`));
    }
  }
}
