/**
 * How many calls at once a dependency bears, found out by watching it. Pure: samples in, a limit out. The shell that
 * enforces it is `adaptive-limit.ts`.
 */

/** What was seen of the calls of one period. */
export interface LimitSample {
  /** How long they took on average, in milliseconds; > 0. */
  readonly duration: number;
  /** The most that were under way at once. */
  readonly inFlight: number;
  /** Whether one was dropped: timed out, or refused for overload. */
  readonly dropped: boolean;
}

/** Finds a limit of concurrency. */
export interface LimitAlgorithm {
  /** The limit now; may be fractional. */
  readonly limit: number;
  /** Learn from a sample. */
  learn(sample: LimitSample): void;
}

/** What every algorithm is bounded by. */
export interface LimitBounds {
  readonly initial: number;
  readonly min: number;
  readonly max: number;
}

const clamp = (value: number, min: number, max: number): number => Math.max(min, Math.min(max, value));

/** What a drop multiplies the limit by. */
const dropDecrease = 0.9;

/**
 * Additive increase, multiplicative decrease, as TCP does it (Chiu and Jain, 1989; Netflix concurrency-limits,
 * `AIMDLimit`): one more after a good sample that used at least half of the limit, a share of it after a drop.
 */
export class AimdLimit implements LimitAlgorithm {
  #limit: number;
  readonly #bounds: LimitBounds;
  readonly #decrease: number;

  /** @param decrease what a drop multiplies the limit by. */
  constructor(bounds: LimitBounds, decrease: number = dropDecrease) {
    this.#bounds = bounds;
    this.#decrease = decrease;
    this.#limit = bounds.initial;
  }

  get limit(): number {
    return this.#limit;
  }

  learn({ inFlight, dropped }: LimitSample): void {
    const { min, max } = this.#bounds;
    if (dropped) this.#limit = clamp(this.#limit * this.#decrease, min, max);
    // A limit that nobody reaches is no evidence that more would be borne.
    else if (inFlight * 2 >= this.#limit) this.#limit = clamp(this.#limit + 1, min, max);
  }
}

/** How much a new estimate counts against the one before. */
const smoothing = 0.2;

/** How many samples the long-term average reaches back. */
const longTerm = 600;

/** The first samples are averaged evenly. */
const warmUp = 10;

/**
 * Compares how long calls take now with how long they take in the long run, and lowers the limit by the quotient: where
 * calls take longer than usual, they queue somewhere (Netflix concurrency-limits, `Gradient2Limit`). The room for
 * queueing that is always added, so that the limit can grow, is the square root of the limit (Envoy, gradient
 * controller), and 4 at least (Netflix).
 */
export class GradientLimit implements LimitAlgorithm {
  #limit: number;
  #usual = 0;
  #samples = 0;
  readonly #bounds: LimitBounds;
  readonly #tolerance: number;

  /** @param tolerance how many times longer than usual calls may take before the limit falls. */
  constructor(bounds: LimitBounds, tolerance = 1.5) {
    this.#bounds = bounds;
    this.#tolerance = tolerance;
    this.#limit = bounds.initial;
  }

  get limit(): number {
    return this.#limit;
  }

  /** How long calls take in the long run, in milliseconds; 0 before the first sample. */
  get usual(): number {
    return this.#usual;
  }

  learn({ duration, inFlight, dropped }: LimitSample): void {
    this.#remember(duration);
    // A limit that nobody reaches is no evidence either way, unless calls are dropped even so.
    if (inFlight < this.#limit / 2 && !dropped) return;
    const { min, max } = this.#bounds;
    const gradient = clamp((this.#tolerance * this.#usual) / duration, 0.5, 1);
    const wanted = this.#limit * gradient + Math.max(4, Math.sqrt(this.#limit));
    const smoothed = this.#limit + (wanted - this.#limit) * smoothing;
    // A dropped call took at least as long as was measured, so the quotient by itself is too kind.
    this.#limit = clamp(dropped ? Math.min(smoothed, this.#limit * dropDecrease) : smoothed, min, max);
  }

  #remember(duration: number): void {
    this.#samples += 1;
    const weight = this.#samples <= warmUp ? 1 / this.#samples : 2 / (longTerm + 1);
    this.#usual += (duration - this.#usual) * weight;
    // After a long overload the average is much too high, and would forgive everything: let it come down faster.
    if (this.#usual > 2 * duration) this.#usual *= 0.95;
  }
}

/** How many calls a sample is made of, at least. */
const callsPerSample = 10;

/** Gathers calls into samples: one is complete when its time is over and enough calls ended within it. */
export class SampleWindow {
  readonly #length: number;
  #endsAt: number | undefined;
  #calls = 0;
  #total = 0;
  #inFlight = 0;
  #dropped = false;

  /** @param length how long calls are gathered at least, in milliseconds. */
  constructor(length: number) {
    this.#length = length;
  }

  /** A call ended at `now`. Gives a sample when it completes one. */
  add(now: number, duration: number, inFlight: number, dropped: boolean): LimitSample | undefined {
    this.#endsAt ??= now + this.#length;
    this.#calls += 1;
    this.#total += duration;
    this.#inFlight = Math.max(this.#inFlight, inFlight);
    this.#dropped ||= dropped;
    if (now < this.#endsAt || this.#calls < callsPerSample) return undefined;
    const sample: LimitSample = {
      // Calls that answer at once would divide by zero.
      duration: Math.max(this.#total / this.#calls, 1e-3),
      inFlight: this.#inFlight,
      dropped: this.#dropped,
    };
    this.#endsAt = undefined;
    this.#calls = 0;
    this.#total = 0;
    this.#inFlight = 0;
    this.#dropped = false;
    return sample;
  }
}
