import type { Clock } from '../core/clock.ts';

/** Those who wait for something to become of a saga: told of what happens here, and sent to look now and then. */
export class Watchers {
  readonly #clock: Clock;
  readonly #waiting: Map<string, Set<() => void>> = new Map();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A saga has changed. */
  wake(id: string): void {
    if (this.#waiting.size === 0) return;
    for (const wake of [...(this.#waiting.get(id) ?? [])]) wake();
  }

  /**
   * Wait until the saga changes here, at most so many milliseconds.
   *
   * @throws the signal's reason, at once when it aborts.
   */
  wait(id: string, longest: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const end = (): void => {
        timer.cancel();
        signal.removeEventListener('abort', giveUp);
        const set = this.#waiting.get(id);
        set?.delete(wake);
        if (set?.size === 0) this.#waiting.delete(id);
      };
      const wake = (): void => {
        end();
        resolve();
      };
      const giveUp = (): void => {
        end();
        reject(signal.reason);
      };
      const timer = this.#clock.schedule(longest, wake, { hold: true });
      signal.addEventListener('abort', giveUp, { once: true });
      this.#waiting.set(id, (this.#waiting.get(id) ?? new Set()).add(wake));
    });
  }
}
