import type { Clock, Timer } from '../../src/core/clock.ts';

interface Appointment {
  readonly at: number;
  readonly order: number;
  callback: (() => void) | undefined;
}

/**
 * Virtual time for a million events: a heap of appointments in whole milliseconds. All that falls on one millisecond
 * happens together, then every promise settles that can, then time goes on.
 */
export class EventClock implements Clock {
  #now = 0;
  #order = 0;
  readonly #heap: Appointment[] = [];

  now(): number {
    return this.#now;
  }

  wallTime(): number {
    return this.#now;
  }

  schedule(delay: number, callback: () => void): Timer {
    if (delay === Number.POSITIVE_INFINITY) return { cancel() {} };
    this.#order += 1;
    const appointment: Appointment = { at: Math.ceil(this.#now + delay), order: this.#order, callback };
    this.#push(appointment);
    return {
      cancel: () => {
        appointment.callback = undefined;
      },
    };
  }

  /** Let time pass until `end`. */
  async runUntil(end: number): Promise<void> {
    for (let next = this.#heap[0]; next !== undefined && next.at <= end; next = this.#heap[0]) {
      this.#now = next.at;
      for (let due: Appointment | undefined = next; due?.at === this.#now; due = this.#heap[0]) {
        this.#pop();
        due.callback?.();
      }
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    this.#now = end;
  }

  #push(added: Appointment): void {
    const heap = this.#heap;
    let at = heap.push(added) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(added, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = added;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: Appointment, b: Appointment): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
