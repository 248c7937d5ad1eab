/**
 * The only file that touches real time. Everything else asks a {@link Clock}, so that a test may hold time still.
 */
// Imported, since the global of the same name is looked up anew at each reading, which costs a third of it.
import { performance } from 'node:perf_hooks';

/** A pending callback. */
export interface Timer {
  /** Forget the callback. Idempotent. */
  cancel(): void;
  /**
   * Change whether it keeps the process alive. A clock whose timers cannot may leave it out; timers that are kept for
   * later are then cancelled and made anew.
   */
  hold?(on: boolean): void;
}

/** Options of {@link Clock.schedule}. */
export interface ScheduleOptions {
  /**
   * Whether the timer keeps the process alive: `true` where somebody awaits it (a retry's sleep), `false` (the
   * default) for background work such as heartbeats.
   */
  readonly hold?: boolean;
}

/** Where time comes from. */
export interface Clock {
  /** Monotonic milliseconds since an arbitrary moment; for durations. Never goes backwards. */
  now(): number;
  /** Milliseconds since 1970 by the wall clock; for records and HTTP dates only, since it may jump. */
  wallTime(): number;
  /** Call `callback` once, `delay` milliseconds from now. `Infinity` never fires; a negative delay counts as 0. */
  schedule(delay: number, callback: () => void, options?: ScheduleOptions): Timer;
}

/** The longest delay that Node's timers take; a longer one fires at once, so it is slept in pieces. */
const longestTimeout = 2 ** 31 - 1;

const neverFires: Timer = { cancel() {} };

class SystemTimer implements Timer {
  #handle: NodeJS.Timeout | undefined;
  #remaining: number;
  readonly #callback: () => void;
  #hold: boolean;

  constructor(delay: number, callback: () => void, hold: boolean) {
    this.#remaining = delay;
    this.#callback = callback;
    this.#hold = hold;
    this.#arm();
  }

  #arm(): void {
    const piece = Math.min(this.#remaining, longestTimeout);
    this.#remaining -= piece;
    this.#handle = setTimeout(() => (this.#remaining > 0 ? this.#arm() : this.#callback()), piece);
    if (!this.#hold) this.#handle.unref();
  }

  cancel(): void {
    clearTimeout(this.#handle);
  }

  hold(on: boolean): void {
    this.#hold = on;
    if (on) this.#handle?.ref();
    else this.#handle?.unref();
  }
}

/** Real time: `performance.now`, `Date.now` and `setTimeout`. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wallTime: () => Date.now(),
  schedule(delay, callback, options) {
    if (Number.isNaN(delay)) throw new RangeError('a delay must be a number of milliseconds, not NaN');
    if (delay === Number.POSITIVE_INFINITY) return neverFires;
    return new SystemTimer(Math.max(0, delay), callback, options?.hold ?? false);
  },
};

/**
 * Sleep on a clock; holds the process alive unless told not to.
 *
 * @throws the signal's reason, at once when it aborts.
 */
export function sleep(
  clock: Clock,
  delay: number,
  signal?: AbortSignal,
  options: ScheduleOptions = { hold: true },
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = (): void => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = clock.schedule(
      delay,
      () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      },
      options,
    );
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** Wall time as a `Date`, for libraries that take one. */
export function dateAt(wallTime: number): Date {
  return new Date(wallTime);
}

/** A moment by the wall clock: a `Date`, or milliseconds since 1970. */
export type Moment = Date | number;

/** A moment in milliseconds since 1970, or undefined when it is none. Never throws. */
export function wallTimeOf(moment: unknown): number | undefined {
  const time = moment instanceof Date ? moment.getTime() : moment;
  return typeof time === 'number' && Number.isFinite(time) ? time : undefined;
}

/** Wall time as an ISO 8601 string with milliseconds, such as `2026-01-31T09:00:00.000Z`. */
export function isoTime(wallTime: number): string {
  return new Date(wallTime).toISOString();
}

const isoDate = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2}))?$/;

/** Wall time of an ISO 8601 date, which is UTC, or date and time with a zone; `undefined` when it is neither. */
export function parseIsoTime(text: string): number | undefined {
  if (!isoDate.test(text)) return undefined;
  const time = Date.parse(text);
  return Number.isNaN(time) ? undefined : time;
}

/** The three forms of RFC 9110 §5.6.7; `Date.parse` by itself takes much more, such as `-1`. */
const httpDate =
  /^(?:[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4}|[A-Z][a-z]{5,8}, \d{2}-[A-Z][a-z]{2}-\d{2}) [\d:]{8} GMT$|^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:]{8} \d{4}$/;

/** Wall time of an HTTP date, or `undefined` when it is not one. */
export function parseHttpDate(text: string): number | undefined {
  if (!httpDate.test(text)) return undefined;
  // The oldest form names no zone and means GMT.
  const time = Date.parse(text.endsWith('GMT') ? text : `${text} GMT`);
  return Number.isNaN(time) ? undefined : time;
}
