/**
 * What a breaker remembers of recent calls: a ring with running totals, so that adding an outcome and reading the
 * rates cost the same however many calls the window holds, and memory never grows.
 */

/** Totals of recorded outcomes. A slow call counts as slow whether it succeeded or failed. */
export interface Tally {
  /** Recorded successes and failures. */
  readonly calls: number;
  readonly failures: number;
  readonly slow: number;
}

/** Outcomes of about the same moment, as windows hand them to each other. */
export interface Slice extends Tally {
  /** Milliseconds since the earliest moment at which they can have been recorded. */
  readonly age: number;
}

/** The outcomes that the rates are computed from. */
export interface OutcomeWindow extends Tally {
  /** Whether a success is recorded alike at any time, and nothing can follow from it. */
  readonly isTimeless: boolean;
  /** Record one outcome that settled at `now`. */
  add(now: number, failed: boolean, slow: boolean): void;
  /** Forget what is older than the window. */
  advance(now: number): void;
  /** Forget everything. */
  clear(): void;
  /** What it holds, oldest first. */
  slices(now: number): Slice[];
  /** Record what another window held, oldest first. */
  load(slices: readonly Slice[], now: number): void;
}

/** A length of time in milliseconds, or a number of calls. */
export type WindowSize = { readonly calls: number } | { readonly time: number };

/** An empty window. */
export function windowOf(size: WindowSize): OutcomeWindow {
  return 'calls' in size ? new CountWindow(size.calls) : new TimeWindow(size.time);
}

/** The window for another size, with what this one held. */
export function resized(window: OutcomeWindow, from: WindowSize, to: WindowSize, now: number): OutcomeWindow {
  if ('calls' in from ? 'calls' in to && from.calls === to.calls : 'time' in to && from.time === to.time) {
    return window;
  }
  const other = windowOf(to);
  other.load(window.slices(now), now);
  return other;
}

/** The numbers of a tally, which may be a window that goes on changing. */
export function tallyOf({ calls, failures, slow }: Tally): Tally {
  return { calls, failures, slow };
}

const failedBit = 1;
const slowBit = 2;

/** The last `size` calls, one byte each. */
export class CountWindow implements OutcomeWindow {
  calls = 0;
  failures = 0;
  slow = 0;
  readonly #size: number;
  /** Made with the first outcome, so that a breaker that nobody calls costs little. */
  #ring: Uint8Array | undefined;
  #next = 0;

  constructor(size: number) {
    this.#size = size;
  }

  /** While none of the calls is bad. */
  get isTimeless(): boolean {
    return this.failures === 0 && this.slow === 0;
  }

  add(_now: number, failed: boolean, slow: boolean): void {
    this.#ring ??= new Uint8Array(this.#size);
    const ring = this.#ring;
    if (this.calls < ring.length) {
      this.calls += 1;
    } else {
      const oldest = ring[this.#next]!;
      if (oldest & failedBit) this.failures -= 1;
      if (oldest & slowBit) this.slow -= 1;
    }
    ring[this.#next] = (failed ? failedBit : 0) | (slow ? slowBit : 0);
    if (failed) this.failures += 1;
    if (slow) this.slow += 1;
    this.#next = this.#next + 1 === ring.length ? 0 : this.#next + 1;
  }

  advance(): void {}

  clear(): void {
    this.calls = 0;
    this.failures = 0;
    this.slow = 0;
    this.#next = 0;
  }

  slices(): Slice[] {
    const runs: Slice[] = [];
    for (let index = 0; index < this.calls; index += 1) {
      const outcome = this.#ring![(this.#next - this.calls + index + this.#size) % this.#size]!;
      const failures = outcome & failedBit ? 1 : 0;
      const slow = outcome & slowBit ? 1 : 0;
      const last = runs.at(-1);
      if (last !== undefined && last.failures === failures * last.calls && last.slow === slow * last.calls) {
        const calls = last.calls + 1;
        runs[runs.length - 1] = { age: 0, calls, failures: failures * calls, slow: slow * calls };
      } else {
        runs.push({ age: 0, calls: 1, failures, slow });
      }
    }
    return runs;
  }

  load(slices: readonly Slice[], now: number): void {
    for (const { calls, failures, slow } of slices) {
      // What is beyond the size would be overwritten; the order within a slice is unknown, so failures are the newest.
      for (let left = Math.min(calls, this.#size); left > 0; left -= 1)
        this.add(now, left <= failures, left <= slow);
    }
  }
}

/** How many buckets share the length of a time window. */
export const bucketCount = 10;

/** The bucket of an epoch. Those before the process began, which an import brings, are below 0. */
function bucketOf(epoch: number): number {
  return ((epoch % bucketCount) + bucketCount) % bucketCount;
}

/** Numbers in a bucket: calls, failures, slow. */
const stride = 3;

/**
 * The calls of the last `length` milliseconds, in ten buckets. A call leaves with its bucket: at the latest exactly
 * `length` after it was recorded, at the earliest one bucket's width before that.
 *
 * Rotation is lazy: reading or adding zeroes the buckets that time has passed by, however many, and takes them off the
 * totals; no timer is needed. The technique is that of failsafe-go (`windows.go`) and linkerd (`success_rate.rs`).
 */
export class TimeWindow implements OutcomeWindow {
  readonly isTimeless = false;
  calls = 0;
  failures = 0;
  slow = 0;
  /** Made with the first outcome, so that a breaker that nobody calls costs little. */
  #buckets: Uint32Array | undefined;
  readonly #width: number;
  #epoch = 0;
  /** When the present epoch ends. */
  #endsAt = 0;
  /** Where the present epoch's bucket begins. */
  #current = 0;

  constructor(length: number) {
    this.#width = length / bucketCount;
  }

  add(now: number, failed: boolean, slow: boolean): void {
    this.advance(now);
    const buckets = this.#buckets ?? this.#allocate();
    const at = this.#current;
    buckets[at]! += 1;
    this.calls += 1;
    if (failed) {
      buckets[at + 1]! += 1;
      this.failures += 1;
    }
    if (slow) {
      buckets[at + 2]! += 1;
      this.slow += 1;
    }
  }

  #allocate(): Uint32Array {
    this.#buckets = new Uint32Array(bucketCount * stride);
    return this.#buckets;
  }

  advance(now: number): void {
    // Nearly every call ends here, without a division.
    if (now >= this.#endsAt) this.#rotate(Math.floor(now / this.#width));
  }

  #rotate(epoch: number): void {
    if (epoch === this.#epoch) return;
    if (epoch - this.#epoch >= bucketCount) this.clear();
    else for (let passed = this.#epoch + 1; passed <= epoch; passed += 1) this.#drop(passed % bucketCount);
    this.#epoch = epoch;
    this.#endsAt = (epoch + 1) * this.#width;
    this.#current = (epoch % bucketCount) * stride;
  }

  slices(now: number): Slice[] {
    this.advance(now);
    const buckets = this.#buckets;
    if (buckets === undefined) return [];
    const held: Slice[] = [];
    for (let epoch = this.#epoch - bucketCount + 1; epoch <= this.#epoch; epoch += 1) {
      const at = bucketOf(epoch) * stride;
      const [calls, failures, slow] = [buckets[at]!, buckets[at + 1]!, buckets[at + 2]!];
      if (calls > 0) held.push({ age: now - epoch * this.#width, calls, failures, slow });
    }
    return held;
  }

  /** Each slice counts from its earliest moment, so that nothing is kept longer than the window. */
  load(slices: readonly Slice[], now: number): void {
    this.advance(now);
    const buckets = this.#buckets ?? this.#allocate();
    for (const { age, calls, failures, slow } of slices) {
      // A start of a bucket, computed from its age, is off by a rounding error; it must not fall into the one before.
      const epoch = Math.floor((now - age) / this.#width + 1e-6);
      if (epoch <= this.#epoch - bucketCount || epoch > this.#epoch) continue;
      const at = bucketOf(epoch) * stride;
      buckets[at]! += calls;
      buckets[at + 1]! += failures;
      buckets[at + 2]! += slow;
      this.calls += calls;
      this.failures += failures;
      this.slow += slow;
    }
  }

  #drop(bucket: number): void {
    const buckets = this.#buckets;
    if (buckets === undefined) return;
    const at = bucket * stride;
    this.calls -= buckets[at]!;
    this.failures -= buckets[at + 1]!;
    this.slow -= buckets[at + 2]!;
    buckets.fill(0, at, at + stride);
  }

  clear(): void {
    this.calls = 0;
    this.failures = 0;
    this.slow = 0;
    this.#buckets?.fill(0);
  }
}
