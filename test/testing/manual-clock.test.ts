import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../src/testing/manual-clock.ts';

describe('ManualClock', () => {
  it('stands still until told to move', async () => {
    const clock = new ManualClock();
    const wall = clock.wallTime();
    expect(clock.now()).toBe(0);
    expect(wall).toBe(Date.UTC(2030, 0, 1));
    await clock.advance(250);
    expect([clock.now(), clock.wallTime() - wall]).toEqual([250, 250]);
    clock.jumpWallTime(-3_600_000);
    expect([clock.now(), clock.wallTime() - wall]).toEqual([250, 250 - 3_600_000]);
  });

  it.each(['advance', 'advanceSync'] as const)(
    '%s fires in the order of time, then of scheduling',
    async (move) => {
      const clock = new ManualClock();
      const fired: [string, number][] = [];
      const note = (name: string) => () => void fired.push([name, clock.now()]);
      clock.schedule(30, note('c'));
      clock.schedule(10, note('a'));
      clock.schedule(10, note('b'));
      clock.schedule(31, note('later'));
      clock.schedule(-5, note('at once'));
      clock.schedule(Number.POSITIVE_INFINITY, note('never'));
      clock.schedule(20, note('cancelled')).cancel();
      await clock[move](30);
      expect(fired).toEqual([
        ['at once', 0],
        ['a', 10],
        ['b', 10],
        ['c', 30],
      ]);
      expect(clock.pending).toBe(1);
    },
  );

  it.each(['advance', 'advanceSync'] as const)(
    '%s fires what fired timers schedule, if it is due',
    async (move) => {
      const clock = new ManualClock();
      const fired: number[] = [];
      const again = (): void => {
        fired.push(clock.now());
        clock.schedule(10, again);
      };
      clock.schedule(10, again);
      await clock[move](35);
      expect(fired).toEqual([10, 20, 30]);
      expect(clock.now()).toBe(35);
    },
  );

  it('lets promises settle between timers', async () => {
    const clock = new ManualClock();
    const order: string[] = [];
    clock.schedule(10, () => {
      let chain = Promise.resolve();
      for (let n = 0; n < 50; n += 1) chain = chain.then(() => {});
      void chain.then(() => order.push('settled'));
    });
    clock.schedule(20, () => order.push('second timer'));
    await clock.advance(20);
    expect(order).toEqual(['settled', 'second timer']);
  });

  it('settle lets as much time pass as the promise needs', async () => {
    const clock = new ManualClock();
    const slow = (async () => {
      for (let n = 0; n < 3; n += 1)
        await new Promise<void>((resolve) => void clock.schedule(1_000, resolve));
      return 'done';
    })();
    expect(await clock.settle(slow)).toBe('done');
    expect(clock.now()).toBe(3_000);
    await expect(clock.settle(Promise.reject(new Error('no')))).rejects.toThrow('no');
  });

  it('settle says so when the promise waits for something else, or for ever', async () => {
    const clock = new ManualClock();
    await expect(clock.settle(new Promise(() => {}))).rejects.toThrow('something other than this clock');
  });

  it.each([-1, Number.NaN])('refuses to advance by %d', async (duration) => {
    const clock = new ManualClock();
    await expect(clock.advance(duration)).rejects.toThrow(RangeError);
    expect(() => clock.advanceSync(duration)).toThrow(RangeError);
    expect(() => clock.schedule(Number.NaN, () => {})).toThrow(RangeError);
  });
});
