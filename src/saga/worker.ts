import type { Emitter } from '../core/emitter.ts';
import { InFlight } from '../core/lifecycle.ts';
import { warnOf } from '../core/log.ts';
import type { Runtime } from '../core/runtime.ts';
import type { Lease, NewSaga, SagaRecord } from '../ports/saga-store.ts';
import { Alarms } from './alarms.ts';
import { announce } from './announce.ts';
import { Claims } from './claims.ts';
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

interface Held {
  readonly execution: Execution;
  readonly ended: Promise<Ending>;
  /** Claimed anew while this execution had not noticed yet that it is over: it is executed after it. */
  successor?: SagaRecord | undefined;
}

/** What of one id is on its way into the worker's hands. */
interface Entering {
  calls: number;
  /** The highest epoch at which a claim brought it meanwhile; 0 when none did. */
  claimed: number;
}

/** The name under which a definition is looked up: equal for equal shapes only. */
function shapeOf({ saga, hash }: Pick<SagaRecord, 'saga' | 'hash'>): string {
  return `${saga} ${hash}`;
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
  readonly #definitions: ReadonlyMap<string, SagaDefinition>;
  readonly #lease: Lease;
  readonly #keeper: LeaseKeeper;
  readonly #poller: Poller;
  readonly #alarms: Alarms;
  readonly #claims: Claims;
  readonly #desk: RepairDesk;
  readonly #shared: ExecutionSurroundings;
  readonly #held: Map<string, Held> = new Map();
  /** What is on its way into the worker's hands: a claim must not bring it, too. */
  readonly #entering: Map<string, Entering> = new Map();
  readonly #inFlight: InFlight = new InFlight();
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
      holding: () => [...this.#held.keys(), ...this.#entering.keys()],
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
    await this.store.call('start', (store) => store.start());
    await this.#claims.look();
    this.#keeper.start();
    this.#poller.start();
  }

  /** The end of an execution here, or undefined when this worker holds no saga of this id. */
  ended(id: string): Promise<Ending> | undefined {
    return this.#held.get(id)?.ended;
  }

  /** The definition of a saga's shape, or undefined when this worker does not know it. */
  definition(shape: Pick<SagaRecord, 'saga' | 'hash'>): SagaDefinition | undefined {
    return this.#definitions.get(shapeOf(shape));
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
  async begin(saga: NewSaga): Promise<{ readonly created: boolean; readonly record: SagaRecord }> {
    return this.#entry(saga.id, async () => {
      const found = await this.#create(saga);
      const { record, created } = found;
      if (created && record.status === 'waiting') this.#alarms.add(record.wakeAt);
      const isRunning = created && record.status !== 'waiting' && !isSettled(record.status);
      const isHeld = isRunning && !this.#isOvertaken(record) && this.#execute(record, false);
      if (!isHeld) this.room.release();
      return found;
    });
  }

  async #create(saga: NewSaga): Promise<{ readonly created: boolean; readonly record: SagaRecord }> {
    const sentAt = this.#runtime.clock.now();
    const found = await this.store.call('create', (store) => store.create(saga, this.#lease));
    this.#keeper.confirm(sentAt);
    if (found.created && this.#emitter.isHeard) {
      const { record } = found;
      this.#emitter.emit('started', { id: saga.id, saga: saga.saga, input: saga.input });
      const steps = record.steps.length === 0 ? [] : [{ type: 'opened', steps: record.steps } as const];
      announce(this.#emitter, steps, { before: { status: 'running' }, after: record });
    }
    return found;
  }

  /** Do as a person says with a parked saga, and write that down. @throws What `SagaRunner.retry` says. */
  repair(id: string, request: RepairRequest): Promise<SagaRecord> {
    return this.#entry(id, async () => {
      const { entry, before, after } = await this.#desk.repair(id, request);
      announce(this.#emitter, [entry], { before, after });
      // What it parked at may have had its effect, so it is in doubt.
      const successor = isSettled(after.status) ? undefined : after;
      if (!this.#supersede(id, successor) && successor !== undefined && !this.#isOvertaken(successor)) {
        this.#seat(successor);
      }
      this.watchers.wake(id);
      return after;
    });
  }

  async #entry<T>(id: string, work: () => Promise<T>): Promise<T> {
    const entering = this.#entering.get(id) ?? { calls: 0, claimed: 0 };
    this.#entering.set(id, entering);
    entering.calls += 1;
    const leave = this.#inFlight.enter();
    try {
      return await work();
    } finally {
      leave();
      entering.calls -= 1;
      if (entering.calls === 0) this.#entering.delete(id);
    }
  }

  /** Whether a claim brought it while the call that brings it now was under way, and so it is executed already. */
  #isOvertaken({ id, epoch }: SagaRecord): boolean {
    return (this.#entering.get(id)?.claimed ?? 0) > epoch;
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
    this.#held.set(record.id, { execution, ended: this.#follow(record.id, execution) });
    return true;
  }

  async #follow(id: string, execution: Execution): Promise<Ending> {
    const leave = this.#inFlight.enter();
    // Begin only once it is listed as held.
    await undefined;
    let ending: Ending;
    try {
      ending = await execution.run();
    } catch (error) {
      warnOf(`saga ${id} could not be executed; it is claimed anew`, error);
      ending = { record: undefined, cause: error };
    }
    leave();
    this.#letGo(id, ending);
    return ending;
  }

  #letGo(id: string, { record, due }: Ending): void {
    const successor = this.#held.get(id)?.successor;
    this.#held.delete(id);
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
    if (this.#supersede(id, record)) return;
    const entering = this.#entering.get(id);
    if (entering !== undefined) entering.claimed = record.epoch;
    this.#emitter.emit('resumed', { id, saga });
    this.#seat(record);
  }

  /**
   * Whether it is executed here under an older epoch. That execution can write nothing any more, so it is ended; what
   * is known now comes when its attempt has ended.
   */
  #supersede(id: string, successor: SagaRecord | undefined): boolean {
    const held = this.#held.get(id);
    if (held === undefined) return false;
    held.successor = successor;
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
    }
  }
}
