import type { Clock, Timer } from '../core/clock.ts';
import { TimeoutError } from '../core/errors.ts';

/** How long one side may take nothing of what the other has sent. */
export interface Patience {
  readonly clock: Clock;
  /** Milliseconds; 0 for no limit. */
  readonly idle: number;
}

/** Calls back when somebody takes nothing for too long. */
export class StallWatch {
  readonly #patience: Patience;
  readonly #what: string;
  readonly #onLate: (late: TimeoutError) => void;
  #timer: Timer | undefined;

  /** @param what who has to take something, for the error. */
  constructor(patience: Patience, what: string, onLate: (late: TimeoutError) => void) {
    this.#patience = patience;
    this.#what = what;
    this.#onLate = onLate;
  }

  /** The wait begins, unless it has. */
  begin(): void {
    const { clock, idle } = this.#patience;
    if (idle === 0 || this.#timer !== undefined) return;
    const late = new TimeoutError(idle, { what: this.#what, retryable: false });
    this.#timer = clock.schedule(idle, () => this.#onLate(late));
  }

  /** Something was taken, or nothing is to be taken any more. */
  end(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
