import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { milliseconds, parseDuration } from '../../src/core/duration.ts';
import { InvalidOptionsError } from '../../src/core/errors.ts';

const units = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

describe('parseDuration', () => {
  it.each([
    [250, 250],
    [0, 0],
    ['250ms', 250],
    ['1.5s', 1_500],
    ['5m', 300_000],
    ['2h', 7_200_000],
    ['1d', 86_400_000],
    ['0s', 0],
  ])('reads %o as %i ms', (text, expected) => {
    expect(parseDuration(text)).toBe(expected);
  });

  it('reads back any whole number with any unit', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 999_999_999 }),
        fc.constantFrom('ms', 's', 'm', 'h', 'd'),
        (count, unit) => parseDuration(`${count}${unit}`) === count * units[unit],
      ),
    );
  });

  it.each<unknown>([
    ...[
      '',
      ' ',
      '5',
      's',
      '5 s',
      ' 5s',
      '5s ',
      '5S',
      '-5s',
      '+5s',
      '.5s',
      '5.s',
      '1e3s',
      '0x10ms',
      '5s5s',
      '5\ns',
    ],
    ...['Infinitys', 'NaNms', '٥s', `${'9'.repeat(400)}s`, '1m30s', 'soon', '5sec'],
    ...[-1, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
    ...[null, undefined, true, {}, [], ['5s'], 5n, Symbol('5s'), { valueOf: () => 5 }],
  ])('does not take %o', (value) => {
    expect(parseDuration(value)).toBeUndefined();
  });

  it('never throws, and gives a finite number of at least 0 or nothing', () => {
    fc.assert(
      fc.property(fc.oneof(fc.anything(), fc.string(), fc.double()), (value) => {
        const parsed = parseDuration(value);
        return parsed === undefined || (Number.isFinite(parsed) && parsed >= 0);
      }),
    );
  });
});

describe('milliseconds', () => {
  it('names the field, what it got and what it accepts', () => {
    expect(() => milliseconds('soon' as never, 'openFor')).toThrow(InvalidOptionsError);
    expect(() => milliseconds('soon' as never, 'openFor')).toThrow(/openFor: got soon; accepts .*'10s'/);
  });
});
