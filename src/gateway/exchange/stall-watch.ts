import type { Clock } from '../../core/clock.ts';
import { TimeoutError } from '../../core/errors.ts';
import { type QueueEntry, type TimerQueue, timerQueue } from '../../core/timer-queue.ts';

/** How long one side may take nothing of what the other has sent. */
export interface Patience {
  readonly clock: Clock;
  /** Milliseconds; 0 for no limit. */
  readonly idle: number;
}

/** Calls back when somebody takes nothing for too long. A long body stops and goes on many times, so it is in a queue. */
export class StallWatch implements QueueEntry {
  dueAt = 0;
  blockedBefore = 0;
  before: QueueEntry | undefined = undefined;
  after: QueueEntry | undefined = undefined;
  readonly #patience: Patience;
  readonly #what: string;
  readonly #onLate: (late: TimeoutError) => void;
  #queue: TimerQueue | undefined = undefined;

  /** @param what who has to take something, for the error. */
  constructor(patience: Patience, what: string, onLate: (late: TimeoutError) => void) {
    this.#patience = patience;
    this.#what = what;
    this.#onLate = onLate;
  }

  /** The wait begins, unless it has. */
  begin(): void {
    const { clock, idle } = this.#patience;
    if (idle === 0 || this.#queue !== undefined) return;
    this.#queue = timerQueue(clock, idle);
    this.#queue.add(this, clock.now());
  }

  /** Something was taken, or nothing is to be taken any more. */
  end(): void {
    this.#queue?.remove(this);
    this.#queue = undefined;
  }

  expire(): void {
    this.#queue = undefined;
    this.#onLate(new TimeoutError(this.#patience.idle, { what: this.#what, retryable: false }));
  }
}
