import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Clock, systemClock, type Timer } from '../../src/core/clock.ts';
import { type QueueEntry, timerQueue } from '../../src/core/timer-queue.ts';
import { ManualClock } from '../../src/testing/manual-clock.ts';

interface TestEntry extends QueueEntry {
  readonly expired: { readonly at: number; readonly blocked: number }[];
}

function entryOn(clock: Clock, onExpire: () => void = () => {}): TestEntry {
  const expired: { at: number; blocked: number }[] = [];
  return {
    dueAt: 0,
    blockedBefore: 0,
    before: undefined,
    after: undefined,
    expired,
    expire: (blocked) => {
      expired.push({ at: clock.now(), blocked });
      onExpire();
    },
  };
}

/** A clock whose timers can be kept without holding the process, as the system's can, and that can be blocked. */
class KeepingClock implements Clock {
  readonly #timers: Map<object, { readonly at: number; readonly callback: () => void }> = new Map();
  /** Timers that hold the process. */
  readonly held: Set<object> = new Set();
  scheduled = 0;
  #now = 0;

  get pending(): number {
    return this.#timers.size;
  }

  now(): number {
    return this.#now;
  }

  wallTime(): number {
    return this.#now;
  }

  /** Let time pass without the loop turning: what is due fires afterwards, late. */
  block(duration: number): void {
    this.#now += duration;
  }

  advanceSync(duration: number): void {
    const end = this.#now + duration;
    for (;;) {
      const [first] = [...this.#timers].sort(([, a], [, b]) => a.at - b.at);
      if (first === undefined || first[1].at > end) break;
      this.#drop(first[0]);
      this.#now = Math.max(this.#now, first[1].at);
      first[1].callback();
    }
    this.#now = end;
  }

  schedule(delay: number, callback: () => void): Timer {
    this.scheduled += 1;
    const id = {};
    this.held.add(id);
    this.#timers.set(id, { at: this.#now + delay, callback });
    return {
      cancel: () => this.#drop(id),
      hold: (on) => void (on ? this.held.add(id) : this.held.delete(id)),
    };
  }

  #drop(id: object): void {
    this.held.delete(id);
    this.#timers.delete(id);
  }
}

describe('a timer queue', () => {
  it('expires each entry when it is due, in order, behind one timer', () => {
    const clock = new ManualClock();
    const queue = timerQueue(clock, 1_000);
    const entries = [0, 10, 10, 700].map((at) => {
      clock.advanceSync(at - clock.now());
      const entry = entryOn(clock);
      queue.add(entry, clock.now());
      expect(clock.pending).toBe(1);
      return entry;
    });
    clock.advanceSync(5_000);
    expect(entries.map(({ expired }) => expired)).toEqual(
      [1_000, 1_010, 1_010, 1_700].map((at) => [{ at, blocked: 0 }]),
    );
    expect(clock.pending).toBe(0);
  });

  it('is shared by all limits of one length on one clock', () => {
    const clock = new ManualClock();
    expect(timerQueue(clock, 5)).toBe(timerQueue(clock, 5));
    expect(timerQueue(clock, 5)).not.toBe(timerQueue(clock, 6));
    expect(timerQueue(clock, 5)).not.toBe(timerQueue(new ManualClock(), 5));
  });

  it('expires exactly what was not removed, whatever comes and goes', () => {
    const step = fc.record({
      wait: fc.integer({ min: 0, max: 400 }),
      action: fc.constantFrom('add', 'add', 'remove' as const),
      which: fc.nat(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.boolean(), (steps, keeping) => {
        const kept = new KeepingClock();
        const clock = keeping ? kept : new ManualClock();
        const queue = timerQueue(clock, 1_000);
        const live = new Map<TestEntry, number>();
        const expected = new Map<TestEntry, number>();
        const pass = (until: number): void => {
          for (const [entry, due] of live) {
            if (due > until) continue;
            expected.set(entry, due);
            live.delete(entry);
          }
        };
        for (const { wait, action, which } of steps) {
          clock.advanceSync(wait);
          pass(clock.now());
          const removed = [...live.keys()][which % Math.max(1, live.size)];
          if (action === 'add') {
            const entry = entryOn(clock);
            queue.add(entry, clock.now());
            live.set(entry, clock.now() + 1_000);
          } else if (removed !== undefined) {
            queue.remove(removed);
            live.delete(removed);
            expect(removed.expired).toEqual([]);
          }
          expect(kept.held.size).toBe(keeping && live.size > 0 ? 1 : 0);
        }
        pass(Number.POSITIVE_INFINITY);
        clock.advanceSync(2_000);
        for (const [entry, at] of expected) expect(entry.expired).toEqual([{ at, blocked: 0 }]);
        expect(clock.pending).toBe(0);
      }),
    );
  });

  it('keeps its timer for the next entry, but holds nobody meanwhile', () => {
    const clock = new KeepingClock();
    const queue = timerQueue(clock, 1_000);
    for (let call = 0; call < 100; call += 1) {
      const entry = entryOn(clock);
      queue.add(entry, clock.now());
      expect(clock.held.size).toBe(1);
      queue.remove(entry);
      expect(clock.held.size).toBe(0);
    }
    expect(clock.scheduled).toBe(1);
    clock.advanceSync(1_000);
    expect(clock.pending).toBe(0);
  });

  it('does not keep timers of ever new lengths', () => {
    const clock = new KeepingClock();
    for (let length = 1; length <= 1_000; length += 1) {
      const entry = entryOn(clock);
      const queue = timerQueue(clock, length + 0.5);
      queue.add(entry, clock.now());
      queue.remove(entry);
    }
    expect(clock.pending).toBeLessThanOrEqual(65);
  });

  it('takes an entry that is added while others expire', () => {
    const clock = new ManualClock();
    const queue = timerQueue(clock, 100);
    const second = entryOn(clock);
    queue.add(
      entryOn(clock, () => queue.add(second, clock.now())),
      0,
    );
    clock.advanceSync(150);
    expect([second.expired, clock.pending]).toEqual([[], 1]);
    clock.advanceSync(50);
    expect(second.expired).toHaveLength(1);
  });

  it('goes on for an entry whose queue was idle in between', () => {
    const clock = new KeepingClock();
    const [first, second] = [entryOn(clock), entryOn(clock)];
    const queue = timerQueue(clock, 100);
    queue.add(first, clock.now());
    clock.advanceSync(300);
    queue.add(second, clock.now());
    expect(timerQueue(clock, 100)).toBe(queue);
    clock.advanceSync(100);
    expect(second.expired).toEqual([{ at: 400, blocked: 0 }]);
  });

  describe('notices how long the event loop was blocked', () => {
    it('during an entry: nearly all of it', () => {
      const clock = new KeepingClock();
      const entry = entryOn(clock);
      timerQueue(clock, 1_000).add(entry, clock.now());
      clock.advanceSync(100);
      clock.block(1_500);
      clock.advanceSync(1_000);
      expect(entry.expired).toHaveLength(1);
      expect(entry.expired[0]?.blocked).toBeGreaterThan(1_200);
      expect(entry.expired[0]?.blocked).toBeLessThanOrEqual(1_500);
    });

    it('before an entry, in the same turn: none of it', () => {
      const clock = new KeepingClock();
      const queue = timerQueue(clock, 1_000);
      queue.add(entryOn(clock), clock.now());
      clock.block(5_000);
      const entry = entryOn(clock);
      queue.add(entry, clock.now());
      clock.advanceSync(2_000);
      expect(entry.expired).toEqual([{ at: 6_000, blocked: 0 }]);
    });

    it('not at all, where timers come a little late each', () => {
      const clock = new KeepingClock();
      const queue = timerQueue(clock, 100);
      const entry = entryOn(clock);
      queue.add(entry, clock.now());
      for (let turn = 0; turn < 200 && entry.expired.length === 0; turn += 1) {
        clock.block(1.5);
        clock.advanceSync(1);
      }
      expect(entry.expired[0]?.blocked).toBe(0);
    });
  });

  it('on the system clock: works, and lets the process end', async () => {
    const queue = timerQueue(systemClock, 20);
    const removed = entryOn(systemClock);
    queue.add(removed, systemClock.now());
    const expired = new Promise<void>((resolve) =>
      queue.add(entryOn(systemClock, resolve), systemClock.now()),
    );
    queue.remove(removed);
    await expired;
    expect(removed.expired).toEqual([]);
    const kept = entryOn(systemClock);
    queue.add(kept, systemClock.now());
    const held = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    const before = held();
    queue.remove(kept);
    expect(held()).toBe(before - 1);
  });
});
