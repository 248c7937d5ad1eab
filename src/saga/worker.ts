import type { Emitter } from '../core/emitter.ts';
import { InFlight } from '../core/lifecycle.ts';
import { warnOf } from '../core/log.ts';
import type { Runtime } from '../core/runtime.ts';
import type { Lease, NewSaga, SagaRecord } from '../ports/saga-store.ts';
import { Alarms } from './alarms.ts';
import { announce } from './announce.ts';
import { Claims } from './claims.ts';
import { Entering } from './entering.ts';
import { type Ending, Execution } from './execution.ts';
import { isSettled } from './journal.ts';
import { LeaseKeeper } from './lease-keeper.ts';
import { Poller } from './poller.ts';
import type { ExecutionSurroundings } from './record-writer.ts';
import type { RepairRequest } from './repair.ts';
import { RepairDesk } from './repair-desk.ts';
import type { SagaRunnerSettings } from './runner-options.ts';
import type { SagaEvents } from './saga-events.ts';
import type { SagaDefinition } from './saga-types.ts';
import { Slots } from './slots.ts';
import { StoreCalls } from './store-calls.ts';
import { Watchers } from './watchers.ts';

/** What {@link Worker.begin} found or made. */
interface Created {
  readonly created: boolean;
  readonly record: SagaRecord;
}

const abandoned: Ending = { record: undefined, cause: undefined };

interface Held {
  readonly execution: Execution;
  readonly epoch: number;
  /** Of whoever waits for its end. */
  waiting: ((ending: Ending) => void)[] | undefined;
  /** Claimed anew while this execution had not noticed yet that it is over: it is executed after it. */
  successor?: SagaRecord | undefined;
}

/**
 * One owner in the store: claims sagas, begins new ones, executes what it holds, and keeps its lease. What it believes
 * to hold and what the store says may drift apart (an answer got lost, a lease expired); each claim mends that, since it
 * names what the worker holds and gets everything else that is its own or nobody's.
 */
export class Worker {
  readonly store: StoreCalls;
  readonly watchers: Watchers;
  /** Room for sagas that are held. */
  readonly room: Slots;
  readonly #settings: SagaRunnerSettings;
  readonly #runtime: Runtime;
  readonly #emitter: Emitter<SagaEvents>;
  /** By their hash, which has their name in it. */
  readonly #definitions: ReadonlyMap<string, SagaDefinition>;
  readonly #lease: Lease;
  readonly #keeper: LeaseKeeper;
  readonly #poller: Poller;
  readonly #alarms: Alarms;
  readonly #claims: Claims;
  readonly #desk: RepairDesk;
  readonly #shared: ExecutionSurroundings;
  readonly #held: Map<string, Held> = new Map();
  readonly #inFlight: InFlight = new InFlight();
  readonly #entering: Entering = new Entering(this.#inFlight);
  #stopping = false;
  /** Whether nobody waits any more for what is still under way. */
  #abandoning = false;

  constructor(settings: SagaRunnerSettings, runtime: Runtime, emitter: Emitter<SagaEvents>) {
    const { clock, random } = runtime;
    this.#settings = settings;
    this.#runtime = runtime;
    this.#emitter = emitter;
    this.#definitions = new Map(settings.sagas.map((s) => [s.hash, s.definition]));
    this.#lease = { owner: runtime.id(), ttl: settings.lease };
    // A third of the lease: a call that takes longer would let the lease run out unnoticed.
    this.store = new StoreCalls(settings.store, clock, settings.lease / 3, emitter);
    const { store } = this;
    const onLost = (reason: Error): void => this.#lose(reason);
    this.#keeper = new LeaseKeeper({ store, clock, lease: this.#lease, onLost });
    this.watchers = new Watchers(clock);
    this.room = new Slots(settings.capacity);
    this.#shared = this.#surroundings();
    this.#claims = this.#claimsOf();
    const look = (): Promise<void> => this.#inFlight.track(this.#claims.look());
    this.#poller = new Poller({ clock, random, interval: settings.pollInterval, look });
    this.#alarms = new Alarms(clock, () => this.#poller.now());
    this.#desk = new RepairDesk({
      store,
      runtime,
      lease: this.#lease,
      planOf: (record) => this.definition(record)?.plan,
      confirm: (sentAt) => this.#keeper.confirm(sentAt),
    });
  }

  #surroundings(): ExecutionSurroundings {
    const { attemptTimeout, settleTimeout, maxPayload, concurrency, retry } = this.#settings;
    const { clock, random } = this.#runtime;
    const limits = { attemptTimeout, settleTimeout, maxPayload, ...retry };
    const onChange = ({ id }: SagaRecord): void => this.watchers.wake(id);
    const [store, emitter, slots] = [this.store, this.#emitter, new Slots(concurrency)];
    return { store, clock, random, emitter, slots, onChange, ...limits };
  }

  #claimsOf(): Claims {
    return new Claims({
      settings: this.#settings,
      clock: this.#runtime.clock,
      emitter: this.#emitter,
      store: this.store,
      lease: this.#lease,
      space: () => Math.min(this.#shared.slots.free, this.room.free),
      holding: () => [...this.#held.keys(), ...this.#entering.ids()],
      knows: (shape) => this.definition(shape) !== undefined,
      confirm: (sentAt) => this.#keeper.confirm(sentAt),
      take: (record) => this.#takeOver(record),
    });
  }

  /** How many sagas this worker holds. */
  get size(): number {
    return this.#held.size;
  }

  /** @throws StoreError when the store cannot be prepared or read. */
  async start(): Promise<void> {
    await this.store.start();
    await this.#claims.look();
    this.#keeper.start();
    this.#poller.start();
  }

  /** The end of an execution here, or undefined when there is none of this id to wait for. */
  ended(id: string): Promise<Ending> | undefined {
    const held = this.#held.get(id);
    if (held === undefined || this.#abandoning) return undefined;
    return new Promise((resolve) => {
      if (held.waiting === undefined) held.waiting = [resolve];
      else held.waiting.push(resolve);
    });
  }

  /** The definition of a saga's shape, or undefined when this worker does not know it. */
  definition({ saga, hash }: Pick<SagaRecord, 'saga' | 'hash'>): SagaDefinition | undefined {
    const definition = this.#definitions.get(hash);
    return definition?.plan.name === saga ? definition : undefined;
  }

  /** Somebody has asked something of a saga: look at it soon, wherever it is. */
  nudge(id: string): void {
    const held = this.#held.get(id);
    if (held === undefined) this.#poller.now();
    else held.execution.nudge();
  }

  /**
   * Write a saga down and execute it, unless it is there already. Takes over the place in the room that the caller has,
   * unless it rejects.
   *
   * @throws StoreError; it may be begun then.
   */
  begin(saga: NewSaga): Promise<Created> {
    const { id } = saga;
    const sentAt = this.#runtime.clock.now();
    this.#entering.enter(id);
    return this.store
      .call('create', (store) => store.create(saga, this.#lease))
      .then(
        (found) => {
          try {
            this.#keeper.confirm(sentAt);
            this.#begun(found);
            return found;
          } finally {
            this.#entering.exit(id);
          }
        },
        (error) => {
          this.#entering.exit(id);
          throw error;
        },
      );
  }

  /** What becomes of a saga that was to be created, and of its place in the room. */
  #begun({ created, record }: Created): void {
    const { id, saga, input, status } = record;
    if (created && this.#emitter.isHeard) {
      this.#emitter.emit('started', { id, saga, input });
      const steps = record.steps.length === 0 ? [] : [{ type: 'opened', steps: record.steps } as const];
      announce(this.#emitter, steps, { before: { status: 'running' }, after: record });
    }
    if (created && status === 'waiting') this.#alarms.add(record.wakeAt);
    const isRunning = created && status !== 'waiting' && !isSettled(status);
    if (!isRunning || this.#entering.isOvertaken(id, record.epoch) || !this.#execute(record, false))
      this.room.release();
  }

  /** Do as a person says with a parked saga, and write that down. @throws What `SagaRunner.retry` says. */
  async repair(id: string, request: RepairRequest): Promise<SagaRecord> {
    this.#entering.enter(id);
    try {
      const { entry, before, after } = await this.#desk.repair(id, request);
      announce(this.#emitter, [entry], { before, after });
      // What it parked at may have had its effect, so it is in doubt.
      const isTaken = this.#supersede(after) || this.#entering.isOvertaken(id, after.epoch);
      if (!isTaken && !isSettled(after.status)) this.#seat(after);
      this.watchers.wake(id);
      return after;
    } finally {
      this.#entering.exit(id);
    }
  }

  /** Execute what came without asking for a place. */
  #seat(record: SagaRecord): void {
    if (this.#execute(record, true)) this.room.seize();
  }

  /** Whether it is executed here. Whatever comes while stopping is left for others by the release. */
  #execute(record: SagaRecord, inherited: boolean): boolean {
    const definition = this.definition(record);
    if (definition === undefined || this.#stopping) return false;
    const execution = new Execution({ definition, record, inherited, shared: this.#shared });
    const held: Held = { execution, epoch: record.epoch, waiting: undefined };
    // Listed as held before anything of it is done.
    this.#held.set(record.id, held);
    this.#inFlight.begin();
    execution.run().then(
      (ending) => this.#letGo(record.id, held, ending),
      (error) => {
        warnOf(`saga ${record.id} could not be executed; it is claimed anew`, error);
        this.#letGo(record.id, held, { record: undefined, cause: error });
      },
    );
    return true;
  }

  #letGo(id: string, held: Held, ending: Ending): void {
    const { successor } = held;
    const { record, due } = ending;
    this.#inFlight.end();
    this.#held.delete(id);
    for (const end of held.waiting ?? []) end(ending);
    this.room.release();
    if (successor !== undefined) this.#seat(successor);
    else if (due) this.#poller.now();
    else if (record?.status === 'waiting') this.#alarms.add(record.wakeAt);
    this.watchers.wake(id);
    if (this.#claims.backlog && this.#shared.slots.free * 2 >= this.#settings.concurrency) this.#poller.now();
  }

  #takeOver(record: SagaRecord): void {
    const { id, saga } = record;
    if (isSettled(record.status)) {
      announce(this.#emitter, [], { before: { status: 'running' }, after: record });
      this.watchers.wake(id);
      return;
    }
    if (this.#supersede(record)) return;
    this.#entering.claimed(id, record.epoch);
    this.#emitter.emit('resumed', { id, saga });
    this.#seat(record);
  }

  /**
   * Whether it is executed here. An execution of an older epoch can write nothing any more, so it is ended; what is
   * known now comes when its attempt has ended. One of a newer epoch stays: a claim was quicker than the answer to a
   * repair.
   */
  #supersede(record: SagaRecord): boolean {
    const { id, epoch, status } = record;
    const held = this.#held.get(id);
    if (held === undefined) return false;
    if (Math.max(held.epoch, held.successor?.epoch ?? 0) >= epoch) return true;
    held.successor = isSettled(status) ? undefined : record;
    held.execution.lose(new Error(`saga ${id} was taken anew`));
    return true;
  }

  #lose(reason: Error): void {
    for (const { execution } of this.#held.values()) execution.lose(reason);
  }

  /** Claim nothing more, let each saga finish its step, and give up the lease so that others go on at once. */
  async stop(timeout: number): Promise<void> {
    this.#stopping = true;
    this.#poller.stop();
    this.#alarms.stop();
    for (const { execution } of this.#held.values()) execution.leave();
    const drained = await this.#inFlight.drained(this.#runtime.clock, timeout);
    this.#keeper.stop();
    if (drained) {
      // When it fails (which is told), the lease ends by itself.
      await this.store.call('release', (store) => store.release(this.#lease.owner)).catch(() => {});
    } else {
      // An attempt still runs. Its saga must not be taken over at once, so the lease is left to expire.
      this.#lose(new Error(`the runner stopped and an attempt did not end within ${timeout} ms`));
      // It may never end.
      this.#abandoning = true;
      for (const { waiting } of this.#held.values()) for (const end of waiting ?? []) end(abandoned);
    }
  }
}
