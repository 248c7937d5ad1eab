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

/** The outcomes that the rates are computed from. */
export interface OutcomeWindow extends Tally {
  /** Record one outcome that settled at `now`. */
  add(now: number, failed: boolean, slow: boolean): void;
  /** Forget what is older than the window. */
  advance(now: number): void;
  /** Forget everything. */
  clear(): void;
}

const failedBit = 1;
const slowBit = 2;

/** The last `size` calls, one byte each. */
export class CountWindow implements OutcomeWindow {
  calls = 0;
  failures = 0;
  slow = 0;
  readonly #ring: Uint8Array;
  #next = 0;

  constructor(size: number) {
    this.#ring = new Uint8Array(size);
  }

  add(_now: number, failed: boolean, slow: boolean): void {
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
}

/** How many buckets share the length of a time window. */
export const bucketCount = 10;

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
  calls = 0;
  failures = 0;
  slow = 0;
  readonly #buckets: Uint32Array = new Uint32Array(bucketCount * stride);
  readonly #width: number;
  #epoch = 0;

  constructor(length: number) {
    this.#width = length / bucketCount;
  }

  add(now: number, failed: boolean, slow: boolean): void {
    this.advance(now);
    const buckets = this.#buckets;
    const at = (this.#epoch % bucketCount) * stride;
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

  advance(now: number): void {
    const epoch = Math.floor(now / this.#width);
    if (epoch <= this.#epoch) return;
    if (epoch - this.#epoch >= bucketCount) this.clear();
    else for (let passed = this.#epoch + 1; passed <= epoch; passed += 1) this.#drop(passed % bucketCount);
    this.#epoch = epoch;
  }

  #drop(bucket: number): void {
    const buckets = this.#buckets;
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
    this.#buckets.fill(0);
  }
}
