/**
 * Time for many thousands of runs: it stands still while anything can still happen without it, and then jumps to the
 * next timer. Unlike `ManualClock` it needs no turn of the event loop between two timers.
 */
import { nextTick } from 'node:process';
import type { Clock, Timer } from '../../core/clock.ts';

interface Entry extends Timer {
  readonly at: number;
  /** Of two entries for one moment the earlier made comes first. */
  readonly order: number;
  callback: (() => void) | undefined;
}

/** Turns after which the event loop gets a chance, so that a long run does not look like a hang from outside. */
const turnsAtOnce = 5_000;

function isBefore(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** A clock that runs as fast as what happens on it. */
export class VirtualTime implements Clock {
  #now = 0;
  #made = 0;
  #wallOffset: number;
  /** A binary heap; cancelled entries stay in it until their time comes. */
  readonly #heap: Entry[] = [];

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
    if (Number.isNaN(delay)) throw new RangeError('a delay must be a number of milliseconds, not NaN');
    if (delay === Number.POSITIVE_INFINITY) return { cancel() {} };
    this.#made += 1;
    const entry: Entry = { at: this.#now + Math.max(0, delay), order: this.#made, callback, cancel };
    this.#push(entry);
    return entry;
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
      const entry = this.#pop();
      if (entry === undefined) throw new Error('nothing more will happen: no timer is left');
      const { callback } = entry;
      if (callback === undefined) continue;
      this.#now = entry.at;
      entry.callback = undefined;
      callback();
      return;
    }
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!isBefore(entry, heap[above]!)) break;
      heap[at] = heap[above]!;
      at = above;
    }
    heap[at] = entry;
  }

  #pop(): Entry | undefined {
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

function cancel(this: Entry): void {
  this.callback = undefined;
}
