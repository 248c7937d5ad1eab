/**
 * Quantiles of durations without keeping the durations: counts in buckets whose width grows with the value. Sixteen
 * buckets to each power of two, so that a quantile is off by at most 1/32 of its value (3.2 %) plus half a
 * microsecond; a count costs a few integer operations and never memory. The layout is that of HdrHistogram (Gil Tene).
 */

/** How long recent calls took, in milliseconds, each off by at most 3.2 %. */
export interface LatencySummary {
  /** How many calls were measured. */
  readonly calls: number;
  /** Half of the calls were no slower than this. */
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  /** The slowest. */
  readonly max: number;
}

const subBucketBits = 4;
const subBuckets = 1 << subBucketBits;
/** The longest duration told apart from longer ones: 2³² µs, more than an hour. */
const longest = 2 ** 32 - 1;
const bucketTotal = (32 - subBucketBits + 1) * subBuckets;

/** The bucket of a duration in whole microseconds. */
function bucketOf(microseconds: number): number {
  if (microseconds < subBuckets) return microseconds;
  const octave = 31 - Math.clz32(microseconds) - subBucketBits;
  return octave * subBuckets + (microseconds >>> octave);
}

/** The middle of a bucket, in microseconds. */
function middleOf(bucket: number): number {
  if (bucket < 2 * subBuckets) return bucket;
  const octave = Math.floor(bucket / subBuckets) - 1;
  const start = (bucket - octave * subBuckets) * 2 ** octave;
  return start + (2 ** octave - 1) / 2;
}

/** Counts of durations by their logarithm. */
export class LatencyHistogram {
  #counts: Uint32Array | undefined;
  #total = 0;

  /** How many durations were recorded. */
  get total(): number {
    return this.#total;
  }

  /** Record one duration in milliseconds. Negative ones count as 0, what is longer than 71 minutes as that. */
  record(duration: number): void {
    this.#counts ??= new Uint32Array(bucketTotal);
    const microseconds = Math.max(0, Math.min(longest, Math.round(duration * 1_000)));
    this.#counts[bucketOf(microseconds)]! += 1;
    this.#total += 1;
  }

  /** Add what another one recorded. */
  add(other: LatencyHistogram): void {
    if (other.#counts === undefined) return;
    this.#counts ??= new Uint32Array(bucketTotal);
    for (const [bucket, count] of other.#counts.entries()) this.#counts[bucket]! += count;
    this.#total += other.#total;
  }

  /**
   * The duration in milliseconds that this share of the recorded ones did not exceed (nearest rank); 0 when none was
   * recorded.
   *
   * @param share in [0, 1]
   */
  quantile(share: number): number {
    const rank = Math.max(1, Math.ceil(share * this.#total));
    let seen = 0;
    for (const [bucket, count] of this.#counts?.entries() ?? []) {
      seen += count;
      if (seen >= rank) return middleOf(bucket) / 1_000;
    }
    return 0;
  }

  /** Forget everything. */
  clear(): void {
    this.#counts?.fill(0);
    this.#total = 0;
  }
}

/** Durations of the last one to two periods, in two histograms that take turns. */
export class RecentLatency {
  readonly #period: number;
  #current: LatencyHistogram = new LatencyHistogram();
  #previous: LatencyHistogram = new LatencyHistogram();
  #epoch = 0;

  /** @param period milliseconds */
  constructor(period: number) {
    this.#period = period;
  }

  /** Record a duration in milliseconds that ended now. */
  record(now: number, duration: number): void {
    this.#advance(now);
    this.#current.record(duration);
  }

  /** What was recorded of late. */
  summary(now: number): LatencySummary {
    this.#advance(now);
    const recent = new LatencyHistogram();
    recent.add(this.#previous);
    recent.add(this.#current);
    const [p50, p90, p99, max] = [0.5, 0.9, 0.99, 1].map((share) => recent.quantile(share));
    return { calls: recent.total, p50: p50!, p90: p90!, p99: p99!, max: max! };
  }

  /** How many durations were recorded of late, and the one that this share of them did not exceed. */
  quantile(now: number, share: number): { readonly calls: number; readonly duration: number } {
    this.#advance(now);
    const recent = new LatencyHistogram();
    recent.add(this.#previous);
    recent.add(this.#current);
    return { calls: recent.total, duration: recent.quantile(share) };
  }

  #advance(now: number): void {
    const epoch = Math.floor(now / this.#period);
    if (epoch <= this.#epoch) return;
    const emptied = this.#previous;
    this.#previous = this.#current;
    this.#current = emptied;
    emptied.clear();
    if (epoch > this.#epoch + 1) this.#previous.clear();
    this.#epoch = epoch;
  }
}
