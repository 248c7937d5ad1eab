/**
 * Time for many thousands of runs: it stands still while anything can still happen without it, and then jumps to the
 * next timer. Unlike `ManualClock` it needs no turn of the event loop between two timers.
 */
import { nextTick } from 'node:process';
import type { Clock, Timer } from '../../core/clock.ts';

/** For whom a timer is: it fires not at all when that is dead, and late when it is frozen. */
export interface Sleeper {
  readonly isAlive: boolean;
  /** How long it will not notice anything, in milliseconds; none where that is 0 or less. */
  readonly frozenFor: number;
}

class VirtualTimer implements Timer {
  at: number;
  /** Of two timers for one moment the earlier made comes first. */
  order: number;
  callback: (() => void) | undefined;
  readonly sleeper: Sleeper | undefined;

  constructor(at: number, order: number, callback: () => void, sleeper: Sleeper | undefined) {
    this.at = at;
    this.order = order;
    this.callback = callback;
    this.sleeper = sleeper;
  }

  cancel(): void {
    this.callback = undefined;
  }

  /** Nothing keeps virtual time going but who runs it. It is here so that queues keep their timers, as in real time. */
  hold(): void {}
}

/** Turns after which the event loop gets a chance, so that a long run does not look like a hang from outside. */
const turnsAtOnce = 5_000;

const neverFires: Timer = { cancel() {}, hold() {} };

function isBefore(a: VirtualTimer, b: VirtualTimer): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** A clock that runs as fast as what happens on it. */
export class VirtualTime implements Clock {
  #now = 0;
  #made = 0;
  #wallOffset: number;
  /** A binary heap; cancelled timers stay in it until their time comes. */
  readonly #heap: VirtualTimer[] = [];

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

  /** Jump the wall clock, as NTP or an operator would; monotonic time does not change. */
  jumpWallTime(by: number): void {
    this.#wallOffset += by;
  }

  schedule(delay: number, callback: () => void): Timer {
    return this.scheduleFor(undefined, delay, callback);
  }

  /** As {@link schedule}, for one that may die or freeze before. */
  scheduleFor(sleeper: Sleeper | undefined, delay: number, callback: () => void): Timer {
    if (Number.isNaN(delay)) throw new RangeError('a delay must be a number of milliseconds, not NaN');
    if (delay === Number.POSITIVE_INFINITY) return neverFires;
    this.#made += 1;
    const timer = new VirtualTimer(this.#now + Math.max(0, delay), this.#made, callback, sleeper);
    this.#push(timer);
    return timer;
  }

  /** Resolves after so many milliseconds. */
  pass(duration: number): Promise<void> {
    return new Promise((resolve) => this.schedule(duration, resolve));
  }

  /**
   * Let time pass until `isOver`, which is asked whenever everything is quiet. `quiet`, where given, may give a promise
   * to wait for before time passes.
   *
   * @throws Error when no timer is left and it is not over, and what a timer throws.
   */
  run(isOver: () => boolean, quiet?: () => Promise<void> | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      let turns = 0;
      const turn = (): void => {
        try {
          const wait = quiet?.();
          if (wait !== undefined) {
            void wait.then(soon, reject);
            return;
          }
          if (isOver()) {
            resolve();
            return;
          }
          this.#fire();
          soon();
        } catch (error) {
          reject(error);
        }
      };
      const afterMicrotasks = (): void => nextTick(turn);
      const soon = (): void => {
        turns += 1;
        if (turns % turnsAtOnce === 0) setImmediate(turn);
        // A tick queued by a microtask comes when all microtasks, however long their chains, are done.
        else queueMicrotask(afterMicrotasks);
      };
      soon();
    });
  }

  #fire(): void {
    for (;;) {
      const timer = this.#pop();
      if (timer === undefined) throw new Error('nothing more will happen: no timer is left');
      const { callback, sleeper } = timer;
      if (callback === undefined || sleeper?.isAlive === false) continue;
      this.#now = timer.at;
      const frozenFor = sleeper === undefined ? 0 : sleeper.frozenFor;
      if (frozenFor > 0) {
        this.#putOff(timer, frozenFor);
        continue;
      }
      timer.callback = undefined;
      callback();
      return;
    }
  }

  #putOff(timer: VirtualTimer, by: number): void {
    this.#made += 1;
    timer.at = this.#now + by;
    timer.order = this.#made;
    this.#push(timer);
  }

  #push(timer: VirtualTimer): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(timer);
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!isBefore(timer, heap[above]!)) break;
      heap[at] = heap[above]!;
      at = above;
    }
    heap[at] = timer;
  }

  #pop(): VirtualTimer | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (last === undefined || first === last) return first;
    const { length } = heap;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= length) break;
      if (below + 1 < length && isBefore(heap[below + 1]!, heap[below]!)) below += 1;
      if (!isBefore(heap[below]!, last)) break;
      heap[at] = heap[below]!;
      at = below;
    }
    heap[at] = last;
    return first;
  }
}
