import type { Clock, Timer } from '../core/clock.ts';
import type { Lease } from '../ports/saga-store.ts';
import type { StoreCalls } from './store-calls.ts';

/** Options of {@link LeaseKeeper}. */
export interface LeaseKeeperOptions {
  readonly store: StoreCalls;
  readonly clock: Clock;
  readonly lease: Lease;
  /** Called when the lease may have ended: whatever it holds may be somebody else's. */
  readonly onLost: (reason: Error) => void;
}

/**
 * Keeps a worker's one lease alive, from a third of its time on. It counts from the moment at which a confirmed call
 * was sent, since the store cannot have counted from an earlier one; so it gives up no later than the store does.
 */
export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions;
  #confirmedAt: number | undefined;
  #beat: Timer | undefined;
  #expiry: Timer | undefined;
  #stopped = false;

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
  }

  /** Begin to beat. */
  start(): void {
    this.#scheduleBeat();
  }

  /** Stop beating; the lease ends by itself or by a release. */
  stop(): void {
    this.#stopped = true;
    this.#beat?.cancel();
    this.#expiry?.cancel();
  }

  /** A call that begins or extends the lease succeeded; it was sent at this time of the monotonic clock. */
  confirm(sentAt: number): void {
    if (this.#stopped) return;
    if (this.#confirmedAt === undefined || sentAt > this.#confirmedAt) this.#confirmedAt = sentAt;
    if (this.#expiry === undefined) this.#watchExpiry();
  }

  #watchExpiry(): void {
    const { clock, lease, onLost } = this.#options;
    if (this.#confirmedAt === undefined) return;
    const left = this.#confirmedAt + lease.ttl - clock.now();
    this.#expiry = clock.schedule(left, () => {
      this.#expiry = undefined;
      if (clock.now() < this.#confirmedAt! + lease.ttl) return this.#watchExpiry();
      this.#confirmedAt = undefined;
      onLost(new Error(`the lease was not renewed within ${lease.ttl} ms`));
    });
  }

  #scheduleBeat(): void {
    const { clock, lease } = this.#options;
    if (this.#stopped) return;
    this.#beat = clock.schedule(lease.ttl / 3, () => void this.#renew().finally(() => this.#scheduleBeat()));
  }

  async #renew(): Promise<void> {
    const { store, clock, lease, onLost } = this.#options;
    // Without a lease there is nothing to renew: the next claim begins one.
    if (this.#confirmedAt === undefined) return;
    const sentAt = clock.now();
    try {
      const alive = await store.call('heartbeat', (s) => s.heartbeat(lease));
      if (this.#stopped) return;
      if (alive) return this.confirm(sentAt);
      this.#confirmedAt = undefined;
      this.#expiry?.cancel();
      this.#expiry = undefined;
      onLost(new Error('the store says that the lease had expired'));
    } catch {
      // Told by StoreCalls. The lease lives until its time is over, so the next beat may still save it.
    }
  }
}
