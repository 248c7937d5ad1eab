import type { Clock, Timer } from '../core/clock.ts';

/** So many are kept; those that are due later are found by the next look at the store. */
const mostKept = 1_000;

/**
 * When the sagas that this worker wrote as waiting are due: times only, behind one timer for the first. A saga that
 * sleeps costs the worker nothing; this only makes it wake to the millisecond.
 */
export class Alarms {
  readonly #clock: Clock;
  readonly #ring: () => void;
  /** The earliest last, so that it is taken off cheaply. */
  readonly #times: number[] = [];
  #timer: Timer | undefined;
  #firesAt = Number.POSITIVE_INFINITY;
  #stopped = false;

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock;
    this.#ring = ring;
  }

  /** Something is due at this wall time, in milliseconds. */
  add(time: number | undefined): void {
    if (time === undefined || this.#stopped) return;
    const times = this.#times;
    if (times.length >= mostKept) {
      if (time >= times[0]!) return;
      times.shift();
    }
    times.splice(this.#place(time), 0, time);
    if (time < this.#firesAt) this.#arm();
  }

  /** Forget everything, and ring no more. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#times.length = 0;
  }

  #place(time: number): number {
    let [low, high] = [0, this.#times.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#times[middle]! > time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #arm(): void {
    this.#timer?.cancel();
    this.#firesAt = this.#times.at(-1) ?? Number.POSITIVE_INFINITY;
    if (this.#times.length === 0) return;
    // A timer may come a fraction of a millisecond early.
    const delay = Math.max(0, Math.ceil(this.#firesAt - this.#clock.wallTime()));
    this.#timer = this.#clock.schedule(delay, () => this.#fire());
  }

  #fire(): void {
    const now = this.#clock.wallTime();
    const times = this.#times;
    const before = times.length;
    while (times.length > 0 && times.at(-1)! <= now) times.pop();
    this.#arm();
    if (times.length < before) this.#ring();
  }
}
