import { RecentLatency } from './latency-histogram.ts';

/** How long to wait for an answer before the work is begun once more. */
export interface HedgeDelay {
  /** The delay in milliseconds, at `now`. */
  next(now: number): number;
  /** A call that ended at `now` took this many milliseconds, or more. */
  record(now: number, duration: number): void;
}

/** The same delay every time. */
export function fixedDelay(delay: number): HedgeDelay {
  return { next: () => delay, record: () => {} };
}

/** How long what was measured counts: one to two times this, in milliseconds. */
const period = 30_000;

/** A quantile of fewer calls says little. */
const enoughCalls = 20;

/** How many calls pass before the quantile is computed again. */
const refreshEvery = 16;

/** A quantile of how long recent calls took. */
export class QuantileDelay implements HedgeDelay {
  readonly #quantile: number;
  readonly #min: number;
  readonly #recent: RecentLatency = new RecentLatency(period);
  readonly #initial: number;
  #delay: number;
  #calls = 0;
  #freshUntil = 0;

  constructor(options: { readonly quantile: number; readonly initial: number; readonly min: number }) {
    this.#quantile = options.quantile;
    this.#min = options.min;
    this.#initial = options.initial;
    this.#delay = options.initial;
  }

  next(now: number): number {
    if (this.#calls >= refreshEvery || now >= this.#freshUntil) {
      const { calls, duration } = this.#recent.quantile(now, this.#quantile);
      // A night without calls leaves nothing to go by.
      this.#delay = calls < enoughCalls ? this.#initial : Math.max(this.#min, duration);
      this.#calls = 0;
      this.#freshUntil = now + period;
    }
    return this.#delay;
  }

  record(now: number, duration: number): void {
    this.#calls += 1;
    this.#recent.record(now, duration);
  }
}
