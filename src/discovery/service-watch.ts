/**
 * Knows the instances of one service for as long as somebody asks for it. Its invariant: what was once known is only
 * ever replaced by another answer of the backend, never by an error; and the watch never ends before `close`.
 */
import { type Backoff, exponential } from '../core/backoff.ts';
import { Broadcast } from '../core/broadcast.ts';
import type { Timer } from '../core/clock.ts';
import { NoInstanceError } from '../core/errors.ts';
import { messageOf } from '../core/holdfast-error.ts';
import { type DebugLog, debugLog } from '../core/log.ts';
import type { Pick, PickOptions } from '../ports/resolver.ts';
import { ask, type RegistryContext } from './context.ts';
import { Endpoints } from './endpoints.ts';
import { follow } from './follow.ts';
import { checkSet, type RejectedInstance, sameInstances } from './instance.ts';
import { confirmed, difference, doubted, emptySnapshot, type Snapshot } from './snapshot.ts';

const log: DebugLog = debugLog('discovery');
const betweenAttempts: Backoff = exponential({ base: 200, max: 30_000 });

/** Keeps the set of one service current. */
export class ServiceWatch {
  readonly service: string;
  /** Every change of the set or of its staleness. Ends with `close`. */
  readonly changes: Broadcast<Snapshot> = new Broadcast();
  /** Settles with the first answer or the first failure, whichever comes first. */
  readonly ready: Promise<void>;
  readonly #context: RegistryContext;
  readonly #endpoints: Endpoints;
  readonly #closing: AbortController = new AbortController();
  #becomeReady: () => void = () => {};
  #snapshot: Snapshot;
  #rejected: ReadonlySet<string> = new Set();
  #askedAt: number;
  #users = 0;

  constructor(context: RegistryContext, service: string) {
    this.service = service;
    this.#context = context;
    this.#snapshot = emptySnapshot(service);
    this.#endpoints = new Endpoints(context.settings.balance.create(context.runtime), context.runtime.clock);
    this.#askedAt = context.runtime.clock.now();
    this.ready = new Promise((resolve) => {
      this.#becomeReady = resolve;
    });
    void this.#keepFollowing();
  }

  /** What is known now. */
  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  /** Whether there was an answer or a failure yet: if not, wait for `ready`. */
  get settled(): boolean {
    return this.#snapshot.source !== 'none' || this.#snapshot.stale;
  }

  /** Monotonic time at which somebody last asked; now, while somebody iterates. */
  get askedAt(): number {
    return this.#users > 0 ? this.#context.runtime.clock.now() : this.#askedAt;
  }

  /**
   * Whether it must not be forgotten: somebody iterates over `changes`, or what is known could not be learnt again now.
   */
  get needed(): boolean {
    return this.#users > 0 || (this.#snapshot.stale && this.#snapshot.instances.length > 0);
  }

  /** Whether it was closed. */
  get closed(): boolean {
    return this.#closing.signal.aborted;
  }

  /** Somebody asks for this service. */
  touch(): void {
    this.#askedAt = this.#context.runtime.clock.now();
  }

  /** Somebody uses the watch until the returned function is called. */
  enter(): () => void {
    this.#users += 1;
    return () => {
      this.#users -= 1;
      this.touch();
    };
  }

  /** @throws NoInstanceError */
  pick({ exclude, only }: PickOptions): Pick {
    const pick = this.#endpoints.pick(exclude, only);
    if (pick !== undefined) return pick;
    if (only !== undefined && !this.#endpoints.empty) {
      throw new NoInstanceError(this.service, 'none of those that are registered is of the subset asked for');
    }
    throw new NoInstanceError(this.service, this.#whyNone(), this.#snapshot.error);
  }

  #whyNone(): string {
    const { source, stale, error } = this.#snapshot;
    const { name } = this.#context.settings.backend;
    if (source === 'none')
      return `registry ${name} has not answered yet (${messageOf(error)}); it is asked again`;
    return stale ? `none was registered when registry ${name} last answered` : 'none is registered';
  }

  /** Stop watching. Idempotent. */
  close(): void {
    this.#closing.abort(new Error('nobody watches any more'));
    this.changes.close();
    this.#becomeReady();
  }

  async #keepFollowing(): Promise<void> {
    const { signal } = this.#closing;
    const { runtime, settings } = this.#context;
    const follower = {
      receive: (set: unknown): void => void this.#receive(set),
      check: () => this.#check(signal),
    };
    for (let failures = 0; !signal.aborted; ) {
      const since = runtime.clock.now();
      try {
        await follow(this.#context, this.service, signal, { ...follower, awaited: !this.settled });
      } catch (error) {
        if (signal.aborted) return;
        this.#doubt(error);
      }
      // One that breaks right after its first item is no better than one that gives none.
      const held = runtime.clock.now() - since > settings.timeout;
      failures = held ? 1 : failures + 1;
      await this.#pause(betweenAttempts(failures, runtime.random));
    }
  }

  /** Whether the watch is still true, by a fresh list. */
  async #check(signal: AbortSignal): Promise<boolean> {
    const set = await ask(this.#context, `list ${this.service}`, signal, (backend, limited) =>
      backend.list(this.service, limited),
    );
    return !this.#receive(set);
  }

  /** Take over an answer; returns whether it changed anything. */
  #receive(set: unknown): boolean {
    const before = this.#snapshot;
    const { instances, rejected } = checkSet(this.service, set);
    this.#report(rejected);
    const changed = !sameInstances(before.instances, instances);
    const kept = changed ? instances : before.instances;
    const snapshot = confirmed(before, kept, this.#context.runtime.clock.wallTime());
    this.#snapshot = snapshot;
    if (changed) this.#endpoints.update(instances);
    if (changed || before.stale || before.source === 'none') this.changes.publish(snapshot);
    this.#becomeReady();
    const { events } = this.#context;
    if (before.stale) events.emit('contactRegained', { snapshot });
    if (changed) events.emit('changed', { snapshot, ...difference(before.instances, instances) });
    return changed;
  }

  /** Tell of each bad instance once, not again with every set that still holds it. */
  #report(rejected: readonly RejectedInstance[]): void {
    const before = this.#rejected;
    this.#rejected = new Set(rejected.map(({ id, reason }) => `${id} ${reason}`));
    for (const { id, reason } of rejected) {
      if (before.has(`${id} ${reason}`)) continue;
      log('rejected instance %s of %s: %s', id, this.service, reason);
      this.#context.events.emit('instanceRejected', { service: this.service, id, reason });
    }
  }

  #doubt(error: unknown): void {
    const before = this.#snapshot;
    log('watch of %s is in doubt: %s', this.service, messageOf(error));
    this.#snapshot = doubted(before, error);
    if (!before.stale) {
      this.changes.publish(this.#snapshot);
      this.#context.events.emit('contactLost', { snapshot: this.#snapshot });
    }
    this.#becomeReady();
  }

  #pause(delay: number): Promise<void> {
    const { signal } = this.#closing;
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const wake = (): void => {
        timer.cancel();
        signal.removeEventListener('abort', wake);
        resolve();
      };
      const timer: Timer = this.#context.runtime.clock.schedule(delay, wake);
      signal.addEventListener('abort', wake, { once: true });
    });
  }
}
