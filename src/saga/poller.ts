import { exponential } from '../core/backoff.ts';
import type { Clock, Timer } from '../core/clock.ts';

/** Options of {@link Poller}. */
export interface PollerOptions {
  readonly clock: Clock;
  readonly random: () => number;
  /** In milliseconds. */
  readonly interval: number;
  /** Looks once; rejects when it could not. */
  readonly look: () => Promise<void>;
}

/** Looks again and again, never twice at once: at an interval, later after failures, and at once when asked. */
export class Poller {
  readonly #options: PollerOptions;
  #timer: Timer | undefined;
  #isLooking = false;
  #again = false;
  #failures = 0;
  #stopped = false;

  constructor(options: PollerOptions) {
    this.#options = options;
  }

  /** Begin, with the first look after an interval. */
  start(): void {
    this.#schedule();
  }

  /** Look no more. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /** Look at once; while a look is under way, after it. */
  now(): void {
    this.#again = this.#isLooking;
    if (this.#stopped || this.#isLooking || this.#timer === undefined) return;
    this.#timer.cancel();
    this.#timer = undefined;
    void this.#look();
  }

  async #look(): Promise<void> {
    this.#isLooking = true;
    try {
      await this.#options.look();
      this.#failures = 0;
    } catch {
      this.#failures += 1;
    }
    this.#isLooking = false;
    this.#schedule();
    if (this.#again) this.now();
  }

  #schedule(): void {
    if (this.#stopped) return;
    const { clock, random, interval } = this.#options;
    // Spread, so that many workers that began together do not ask together.
    const usual = interval * (0.75 + random() / 2);
    const max = Math.max(30_000, interval);
    const extra = this.#failures === 0 ? 0 : exponential({ base: interval, max })(this.#failures, random);
    this.#timer = clock.schedule(usual + extra, () => this.now());
  }
}
