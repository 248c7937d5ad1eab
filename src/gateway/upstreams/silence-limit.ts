/**
 * How long nothing may be heard of an upstream. Every call has such a limit, twice: until its answer begins, and between
 * the pieces of it. They stand in the shared queues of `core/timer-queue`: undici's own timers are made anew for each of
 * the two, and each of those stays in memory for half a second, which costs more than reading the answer does.
 */
import type { Clock, Timer } from '../../core/clock.ts';
import { type QueueEntry, type TimerQueue, timerQueue } from '../../core/timer-queue.ts';

/** Code of the error when no answer has begun within its time; undici's own is the same. */
export const silentStart = 'UND_ERR_HEADERS_TIMEOUT';
/** Code of the error when an answer stopped for too long; undici's own is the same. */
export const silentBody = 'UND_ERR_BODY_TIMEOUT';

/** Is told of a limit that has passed. */
export interface SilenceListener {
  /** @param code which of the limits it was, as it was named at its beginning. */
  onSilence(code: string): void;
}

/** The time limit of one call; only one of its lengths runs at a time. */
export class SilenceLimit implements QueueEntry {
  dueAt = 0;
  blockedBefore = 0;
  before: QueueEntry | undefined = undefined;
  after: QueueEntry | undefined = undefined;
  readonly #clock: Clock;
  readonly #listener: SilenceListener;
  #queue: TimerQueue | undefined = undefined;
  #code = '';
  #lastTurn: Timer | undefined = undefined;

  constructor(clock: Clock, listener: SilenceListener) {
    this.#clock = clock;
    this.#listener = listener;
  }

  /**
   * Something was heard, or is awaited from now on: the limit begins anew.
   *
   * @param length in milliseconds; 0 for none.
   */
  begin(length: number, code: string): void {
    if (this.#queue !== undefined || this.#lastTurn !== undefined) this.end();
    if (length === 0) return;
    this.#code = code;
    this.#queue = timerQueue(this.#clock, length);
    this.#queue.add(this, this.#clock.now());
  }

  /** Nothing is awaited any more. */
  end(): void {
    this.#queue?.remove(this);
    this.#queue = undefined;
    this.#lastTurn?.cancel();
    this.#lastTurn = undefined;
  }

  expire(): void {
    this.#queue = undefined;
    // Timers come before input in each turn of the loop: one more turn takes in what came while it was blocked.
    this.#lastTurn = this.#clock.schedule(0, () => this.#listener.onSilence(this.#code));
  }
}
