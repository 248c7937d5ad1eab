import { sleep, systemClock } from '../../core/clock.ts';

/** Turns of the event loop that a participant gets before real time is spent on it. */
const turns = 50;
/** How much real time in all, in milliseconds, one participant gets before it counts as hanging. */
const realTime = 1_000;
const pause = 5;

/**
 * Waits for the user's participants in real time where they need some, such as a double that awaits a stream. Virtual
 * time stands still meanwhile. What does not answer within a second is left to hang.
 */
export class Patience {
  readonly #pending: Set<Promise<unknown>> = new Set();
  #turns = 0;
  #slept = 0;

  async track<T>(work: Promise<T>): Promise<T> {
    this.#pending.add(work);
    this.#turns = 0;
    this.#slept = 0;
    try {
      return await work;
    } finally {
      this.#pending.delete(work);
    }
  }

  /** What to wait for before virtual time may pass; undefined for nothing. */
  wait(): Promise<void> | undefined {
    if (this.#pending.size === 0) return undefined;
    this.#turns += 1;
    if (this.#turns <= turns) return new Promise((resolve) => setImmediate(resolve));
    if (this.#slept >= realTime) {
      this.#pending.clear();
      return undefined;
    }
    this.#slept += pause;
    return sleep(systemClock, pause);
  }
}
