import type { Clock } from '../../core/clock.ts';
import type { Lease } from '../../ports/saga-store.ts';

/** By what part a lease is longer than asked for. */
const surplus = 0.05;

/**
 * Spares most of the writes by which creates extend their owner's lease: each makes it a little longer than asked for,
 * and until that is used up a lease that is as long as asked for is there already.
 */
export class SagaLeases {
  /** By owner: until when, by this process's monotonic clock, nothing has to be written. */
  readonly #enough: Map<string, { readonly until: number; readonly ttl: number }> = new Map();

  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Do work that extends a lease: without writing it where it is long enough, or with the length to write. */
  async extending<T>(
    { owner, ttl }: Lease,
    plain: () => Promise<T>,
    extended: (length: number) => Promise<T>,
  ): Promise<T> {
    const now = this.#clock.now();
    const enough = this.#enough.get(owner);
    if (enough !== undefined && enough.ttl >= ttl && now < enough.until) return plain();
    const result = await extended(ttl * (1 + surplus));
    this.#enough.set(owner, { until: now + ttl * surplus, ttl });
    return result;
  }

  /** The owner's lease may be gone. */
  forget(owner: string): void {
    this.#enough.delete(owner);
  }
}
