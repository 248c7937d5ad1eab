import type { Clock, ScheduleOptions, Timer } from '../core/clock.ts';

interface PendingTimer {
  readonly at: number;
  readonly callback: () => void;
}

/** Timers after which {@link ManualClock.settle} gives up: background loops would let time pass forever. */
const settleLimit = 100_000;

/** Lets every promise that can settle without time passing settle. */
async function flush(): Promise<void> {
  // One turn of the event loop drains microtasks, however long their chain; two also see what the first turn's
  // own immediates (streams, AsyncLocalStorage hooks) queued.
  for (let turn = 0; turn < 2; turn += 1) await new Promise<void>((resolve) => setImmediate(resolve));
}

/**
 * A clock that stands still until told to move. Timers fire in the order of their time, and with {@link advance}
 * promises settle between them, as they would in real time.
 */
export class ManualClock implements Clock {
  #now = 0;
  #wallOffset: number;
  readonly #timers: Set<PendingTimer> = new Set();

  /** @param wallTime the wall time at the start, in milliseconds since 1970. Default 2030-01-01T00:00:00Z. */
  constructor(wallTime = 1_893_456_000_000) {
    this.#wallOffset = wallTime;
  }

  now(): number {
    return this.#now;
  }

  wallTime(): number {
    return this.#wallOffset + this.#now;
  }

  /** How many timers are pending. */
  get pending(): number {
    return this.#timers.size;
  }

  schedule(delay: number, callback: () => void, _options?: ScheduleOptions): Timer {
    if (Number.isNaN(delay)) throw new RangeError('a delay must be a number of milliseconds, not NaN');
    if (delay === Number.POSITIVE_INFINITY) return { cancel() {} };
    const timer: PendingTimer = { at: this.#now + Math.max(0, delay), callback };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  /** Jump the wall clock, as NTP or an operator would; monotonic time does not change. */
  jumpWallTime(by: number): void {
    this.#wallOffset += by;
  }

  /** Let `duration` milliseconds pass: fire what is due, in order, letting promises settle after each. */
  async advance(duration: number): Promise<void> {
    const end = this.#end(duration);
    await flush();
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#fire(next);
      await flush();
    }
    this.#now = end;
    await flush();
  }

  /** As {@link advance}, but synchronously: promises do not settle in between. */
  advanceSync(duration: number): void {
    const end = this.#end(duration);
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) this.#fire(next);
    this.#now = end;
  }

  /** Advance from timer to timer until the promise settles; for tests that do not care how long it takes. */
  async settle<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const mark = (): void => {
      settled = true;
    };
    promise.then(mark, mark);
    await flush();
    for (let fired = 0; !settled; fired += 1) {
      if (fired === settleLimit) throw new Error(`the promise did not settle within ${settleLimit} timers`);
      const next = this.#next(Number.POSITIVE_INFINITY);
      if (next === undefined) throw new Error('the promise waits for something other than this clock');
      this.#fire(next);
      await flush();
    }
    return promise;
  }

  #end(duration: number): number {
    if (!(duration >= 0)) throw new RangeError(`time cannot advance by ${duration} ms`);
    return this.#now + duration;
  }

  #fire(timer: PendingTimer): void {
    this.#timers.delete(timer);
    this.#now = Math.max(this.#now, timer.at);
    timer.callback();
  }

  /** Of several timers for one moment the first that was scheduled, which a set gives first. */
  #next(limit: number): PendingTimer | undefined {
    let first: PendingTimer | undefined;
    for (const timer of this.#timers) {
      if (timer.at <= limit && (first === undefined || timer.at < first.at)) first = timer;
    }
    return first;
  }
}
