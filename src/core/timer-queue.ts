/**
 * Time limits of equal length run out in the order in which they began, so one timer at the head of a list serves any
 * number of them: to begin or end one costs a few assignments, where a timer of its own costs most of a microsecond.
 */
import type { Clock, Timer } from './clock.ts';

/** Something with a time limit. The queue owns the fields. */
export interface QueueEntry {
  /** When it is due, on the clock. */
  dueAt: number;
  /** What the queue had counted as blocked when it was added. */
  blockedBefore: number;
  before: QueueEntry | undefined;
  after: QueueEntry | undefined;
  /**
   * Its time is over; it is out of the queue already.
   *
   * @param blocked for how many of its milliseconds the event loop was seen to be blocked.
   */
  expire(blocked: number): void;
}

/** A timer may always come this late, in milliseconds; it means nothing. */
const ordinaryDelay = 2;

/** The most often that the queue looks whether the event loop turns, in milliseconds. */
const shortestTick = 5;

/** Beyond so many lengths at once their queues no longer keep an idle timer for the next entry. */
const manyQueues = 64;

const queuesByClock: WeakMap<Clock, Map<number, TimerQueue>> = new WeakMap();

/** The queue of this clock for time limits of `length` milliseconds. */
export function timerQueue(clock: Clock, length: number): TimerQueue {
  let queues = queuesByClock.get(clock);
  if (queues === undefined) {
    queues = new Map();
    queuesByClock.set(clock, queues);
  }
  let queue = queues.get(length);
  if (queue === undefined) {
    queue = new TimerQueue(clock, length, queues);
    queues.set(length, queue);
  }
  return queue;
}

/** Time limits of one length, behind one timer. */
export class TimerQueue {
  /** Whether {@link timerQueue} gives this one for its length; one that is not is idle, and another may have come. */
  isListed = true;
  readonly #clock: Clock;
  readonly #length: number;
  readonly #siblings: Map<number, TimerQueue>;
  #head: QueueEntry | undefined;
  #tail: QueueEntry | undefined;
  #timer: Timer | undefined;
  #firesAt = 0;
  /** Milliseconds by which its timer came late in all: so long, at least, the event loop did not turn. */
  #blocked = 0;

  constructor(clock: Clock, length: number, siblings: Map<number, TimerQueue>) {
    this.#clock = clock;
    this.#length = length;
    this.#siblings = siblings;
  }

  /** Begin a time limit. */
  add(entry: QueueEntry, now: number): void {
    entry.dueAt = now + this.#length;
    entry.before = this.#tail;
    if (this.#tail === undefined) this.#head = entry;
    else this.#tail.after = entry;
    this.#tail = entry;
    if (this.#timer === undefined) this.#arm(now);
    else if (entry.before === undefined) this.#timer.hold?.(true);
    // What was blocked before it began is none of its time.
    if (now > this.#firesAt) this.#noticeDelay(now);
    entry.blockedBefore = this.#blocked;
  }

  /** End a time limit that has not expired. */
  remove(entry: QueueEntry): void {
    this.#unlink(entry);
    if (this.#head === undefined) this.#rest();
  }

  #unlink(entry: QueueEntry): void {
    const { before, after } = entry;
    if (before === undefined) this.#head = after;
    else before.after = after;
    if (after === undefined) this.#tail = before;
    else after.before = before;
    entry.before = undefined;
    entry.after = undefined;
  }

  /** Nothing is left. The timer stays for the next entry, but holds nobody; where it cannot, it goes. */
  #rest(): void {
    if (this.#timer?.hold !== undefined && this.#siblings.size <= manyQueues) {
      this.#timer.hold(false);
      return;
    }
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#unlist();
  }

  #unlist(): void {
    this.isListed = false;
    this.#siblings.delete(this.#length);
  }

  #arm(now: number): void {
    const due = this.#head?.dueAt ?? now;
    this.#firesAt = Math.min(due, now + Math.max(shortestTick, this.#length / 4));
    this.#timer = this.#clock.schedule(this.#firesAt - now, this.#fire, { hold: true });
    // It may have left the map while entries of it were under way.
    this.isListed = true;
    this.#siblings.set(this.#length, this);
  }

  #noticeDelay(now: number): void {
    const delay = now - this.#firesAt;
    if (delay > ordinaryDelay) this.#blocked += delay;
    this.#firesAt = now;
  }

  readonly #fire = (): void => {
    this.#timer = undefined;
    const now = this.#clock.now();
    // A timer may come a fraction of a millisecond early.
    const until = Math.max(now, this.#firesAt);
    this.#noticeDelay(until);
    for (let entry = this.#head; entry !== undefined && entry.dueAt <= until; entry = this.#head) {
      this.#unlink(entry);
      entry.expire(this.#blocked - entry.blockedBefore);
    }
    if (this.#timer !== undefined) return;
    if (this.#head === undefined) this.#unlist();
    else this.#arm(now);
  };
}
