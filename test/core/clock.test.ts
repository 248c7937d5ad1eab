import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { isoTime, parseHttpDate, parseIsoTime, sleep, systemClock } from '../../src/core/clock.ts';
import { ManualClock } from '../../src/testing/manual-clock.ts';

const day = 86_400_000;

describe('systemClock', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it.each([0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 + 5, 100 * day])(
    'fires after %i ms, not before, and once',
    (delay) => {
      const callback = vi.fn();
      systemClock.schedule(delay, callback);
      vi.advanceTimersByTime(Math.max(0, delay - 1));
      expect(callback).toHaveBeenCalledTimes(delay === 0 ? 1 : 0);
      vi.advanceTimersByTime(day);
      expect(callback).toHaveBeenCalledTimes(1);
    },
  );

  it('forgets a cancelled callback, also between the pieces of a long one', () => {
    const callback = vi.fn();
    const timer = systemClock.schedule(2 ** 31 + 1_000, callback);
    vi.advanceTimersByTime(2 ** 31);
    timer.cancel();
    timer.cancel();
    vi.advanceTimersByTime(day);
    expect(callback).not.toHaveBeenCalled();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('fires a negative delay at once, an infinite one never, and refuses NaN', () => {
    const callback = vi.fn();
    systemClock.schedule(Number.POSITIVE_INFINITY, callback).cancel();
    expect(vi.getTimerCount()).toBe(0);
    systemClock.schedule(-5, callback);
    vi.advanceTimersByTime(0);
    expect(callback).toHaveBeenCalledTimes(1);
    expect(() => systemClock.schedule(Number.NaN, callback)).toThrow(RangeError);
  });
});

describe('sleep', () => {
  it('ends when its time has come, or with the reason of its signal', async () => {
    const clock = new ManualClock();
    const controller = new AbortController();
    const whole = sleep(clock, 100, controller.signal);
    await clock.advance(100);
    await whole;
    const broken = expect(sleep(clock, 100, controller.signal)).rejects.toThrow('gone');
    controller.abort(new Error('gone'));
    await broken;
    await expect(sleep(clock, 100, controller.signal)).rejects.toThrow('gone');
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
    expect(clock.pending).toBe(0);
  });
});

describe('dates', () => {
  it('isoTime has milliseconds', () => {
    expect(isoTime(784_111_777_001)).toBe('1994-11-06T08:49:37.001Z');
  });

  it.each(['Sun, 06 Nov 1994 08:49:37 GMT', 'Sunday, 06-Nov-94 08:49:37 GMT', 'Sun Nov  6 08:49:37 1994'])(
    'parseHttpDate reads %s, a form of RFC 9110',
    (text) => {
      expect(parseHttpDate(text)).toBe(784_111_777_000);
    },
  );

  it.each([
    ...['', '-1', '5', '1e9', 'Infinity', 'tomorrow', '1994-11-06', 'Mon soon 5'],
    ...['Sun, 99 Nov 1994 08:49:37 GMT', 'Sun, 06 Nov 1994 08:49:37 CET', 'Sun, 06 Nov 1994 99:99:99 GMT'],
  ])('parseHttpDate does not take %o', (text) => {
    expect(parseHttpDate(text)).toBeUndefined();
  });

  it.each([
    ['1994-11-06', 784_080_000_000],
    ['1994-11-06T08:49Z', 784_111_740_000],
    ['1994-11-06T08:49:37.5Z', 784_111_777_500],
    ['1994-11-06T09:49:37+01:00', 784_111_777_000],
  ])('parseIsoTime reads %s', (text, time) => {
    expect(parseIsoTime(text)).toBe(time);
  });

  it.each([
    '',
    '1994',
    '1994-13-01',
    '1994-11-06T08:49:37',
    '1994-11-06 08:49Z',
    '1994-11-06T25:00Z',
    'tomorrow',
  ])('parseIsoTime does not take %o', (text) => {
    expect(parseIsoTime(text)).toBeUndefined();
  });
});
