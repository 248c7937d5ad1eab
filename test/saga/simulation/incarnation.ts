import type { Clock, Timer } from '../../../src/core/clock.ts';
import type { SagaRecord, SagaStore } from '../../../src/ports/saga-store.ts';
import { lease, type World } from './world.ts';

/** Never settles: what a dead process has to say. */
export const silence = <T>(): Promise<T> => new Promise(() => {});

/**
 * One life of a worker process. When it dies, none of its calls goes out and none of its timers fires any more; while it
 * is frozen, everything of it waits, and then comes late.
 */
export class Incarnation {
  readonly clock: Clock;
  readonly store: SagaStore;
  /** Sagas of which it was told that they are lost. */
  readonly fenced: Set<string> = new Set();
  /** Attempts at steps under way, by `id/step`. */
  readonly underWay: Map<string, number> = new Map();
  readonly died: Promise<void>;
  alive = true;
  /** What was taken for a repair that is not yet written: nothing is executed before it is. */
  readonly #repairing: Set<string> = new Set();
  #frozenUntil = 0;
  readonly #world: World;
  #die: () => void = () => {};

  constructor(world: World) {
    this.#world = world;
    this.clock = this.#facade(world.clock);
    this.store = this.#faulty(world.store);
    this.died = new Promise((resolve) => {
      this.#die = resolve;
    });
  }

  kill(): void {
    if (!this.alive) return;
    this.alive = false;
    this.#world.count('crash');
    this.#die();
  }

  freeze(duration: number): void {
    this.#frozenUntil = this.#world.clock.now() + duration;
    this.#world.count('freeze');
  }

  /** Resolves when the process runs; never when it is dead. */
  async awake(): Promise<void> {
    while (this.alive) {
      const left = this.#frozenUntil - this.#world.clock.now();
      if (left <= 0) return;
      await this.#world.pass(left);
    }
    return silence();
  }

  #facade(clock: Clock): Clock {
    const schedule = (delay: number, callback: () => void): Timer => {
      let timer = clock.schedule(delay, fire);
      const incarnation = this;
      function fire(): void {
        if (!incarnation.alive) return;
        const left = incarnation.#frozenUntil - clock.now();
        if (left > 0) timer = clock.schedule(left, fire);
        else callback();
      }
      return { cancel: () => timer.cancel() };
    };
    return { now: () => clock.now(), wallTime: () => clock.wallTime(), schedule };
  }

  #faulty(store: SagaStore): SagaStore {
    const call = <T>(work: () => Promise<T>): Promise<T> => this.#call(work);
    return {
      name: 'faulty',
      durability: 'the simulation',
      start: () => store.start(),
      create: async (saga, lease) => {
        const made = await call(() => store.create(saga, lease));
        if (made.created) this.fenced.delete(saga.id);
        return made;
      },
      update: async (record) => {
        const sentAt = this.#world.clock.now();
        const written = await call(() => this.#world.witness(record, () => store.update(record)));
        const repairs = this.#repairing.delete(`${record.id} ${record.epoch}`);
        if (repairs && written) this.fenced.delete(record.id);
        // Nobody waits any more for an answer that is later than a third of the lease: it tells nothing.
        const told = this.#world.clock.now() - sentAt < lease / 3;
        if (!repairs && !written && told) await this.#suspect(record);
        return written;
      },
      claim: async (request, lease) => {
        const claimed = await call(() => store.claim(request, lease));
        for (const { id } of claimed) this.fenced.delete(id);
        return claimed;
      },
      take: async (id, lease) => {
        const taken = await call(() => store.take(id, lease));
        if (taken !== undefined) this.#repairing.add(`${id} ${taken.epoch}`);
        return taken;
      },
      heartbeat: (lease) => call(() => store.heartbeat(lease)),
      release: (owner) => call(() => store.release(owner)),
      get: (id) => call(() => store.get(id)),
      list: (query) => call(() => store.list(query)),
      close: () => store.close(),
    };
  }

  /** A write was refused. It is lost for sure when somebody else's epoch is there. */
  async #suspect(record: SagaRecord): Promise<void> {
    const now = await this.#world.store.get(record.id);
    if (now !== undefined && now.epoch > record.epoch) this.fenced.add(record.id);
  }

  /** Every call to the store may crash before or after, fail before, lose its answer, or be late on either way. */
  async #call<T>(work: () => Promise<T>): Promise<T> {
    await this.awake();
    const fault = this.#world.storeFault();
    if (fault === 'crash before') this.kill();
    if (fault === 'error before') throw new Error('the store is not reachable');
    if (fault === 'late request') await this.#world.pass(this.#world.delay());
    if (fault === 'crash before') return silence();
    const result = await work();
    if (fault === 'crash after') this.kill();
    if (fault === 'answer lost') throw new Error('the connection was reset');
    if (fault === 'late answer') await this.#world.pass(this.#world.delay());
    await this.awake();
    return result;
  }
}
