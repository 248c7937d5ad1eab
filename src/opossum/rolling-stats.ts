import { RecentLatency } from '../resilience/latency-histogram.ts';

const counted = [
  'fires',
  'successes',
  'failures',
  'rejects',
  'timeouts',
  'fallbacks',
  'semaphoreRejections',
] as const;

/** What is counted. */
export type Counted = (typeof counted)[number];

/** What happened within the window. */
export interface CircuitBreakerStats extends Readonly<Record<Counted, number>> {
  /** Mean duration in milliseconds; 0 when there was no call, -1 when percentiles are off. */
  readonly latencyMean: number;
  /** Durations in milliseconds by share, each off by at most 3.2 %; -1 when percentiles are off. */
  readonly percentiles: Readonly<Record<number, number>>;
}

const shares = [0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 1];
/** Counts, then the number and the sum of durations. */
const stride = counted.length + 2;
const durations = counted.length;
const total = counted.length + 1;

/** Counts within a window that moves on bucket by bucket, when somebody looks. */
export class RollingStats {
  readonly #buckets: Float64Array;
  readonly #count: number;
  readonly #width: number;
  readonly #latency: RecentLatency | undefined;
  #epoch = 0;

  constructor(window: number, buckets: number, withPercentiles: boolean) {
    this.#buckets = new Float64Array(buckets * stride);
    this.#count = buckets;
    this.#width = window / buckets;
    this.#latency = withPercentiles ? new RecentLatency(window) : undefined;
  }

  /** Count one. */
  add(what: Counted, now: number): void {
    this.#buckets[this.#advance(now) + counted.indexOf(what)]! += 1;
  }

  /** Add how long a call took. */
  time(duration: number, now: number): void {
    const at = this.#advance(now);
    this.#buckets[at + durations]! += 1;
    this.#buckets[at + total]! += duration;
    this.#latency?.record(now, duration);
  }

  /** What happened within the window. */
  read(now: number): CircuitBreakerStats {
    this.#advance(now);
    const sums = new Array<number>(stride).fill(0);
    for (const [at, value] of this.#buckets.entries()) sums[at % stride]! += value;
    const counts = Object.fromEntries(counted.map((what, at) => [what, sums[at]!]));
    const latency = this.#latency;
    const mean = sums[durations] === 0 ? 0 : sums[total]! / sums[durations]!;
    const at = (share: number): number => latency?.quantile(now, share).duration ?? -1;
    return {
      ...(counts as Record<Counted, number>),
      latencyMean: latency === undefined ? -1 : mean,
      percentiles: Object.fromEntries(shares.map((share) => [share, at(share)])),
    };
  }

  /** Forget what is older than the window; gives where the present bucket begins. */
  #advance(now: number): number {
    const epoch = Math.floor(now / this.#width);
    const from = Math.max(this.#epoch + 1, epoch - this.#count + 1);
    for (let passed = from; passed <= epoch; passed += 1) {
      const start = (passed % this.#count) * stride;
      this.#buckets.fill(0, start, start + stride);
    }
    this.#epoch = Math.max(this.#epoch, epoch);
    return (this.#epoch % this.#count) * stride;
  }
}
