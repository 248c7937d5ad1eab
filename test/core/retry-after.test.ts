import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseRetryAfter } from '../../src/core/retry-after.ts';

const now = Date.UTC(1994, 10, 6, 8, 49, 30);

describe('parseRetryAfter', () => {
  it.each([
    ['0', 0],
    ['120', 120_000],
    [' 5 ', 5_000],
    ['Sun, 06 Nov 1994 08:49:37 GMT', 7_000],
    ['Sunday, 06-Nov-94 08:49:37 GMT', 7_000],
    ['Sun Nov  6 08:49:37 1994', 7_000],
    ['Sun, 06 Nov 1994 08:49:29 GMT', 0],
  ])('takes %o', (header, expected) => {
    expect(parseRetryAfter(header, now)).toBe(expected);
  });

  it.each(['', ' ', '-1', '+1', '1.5', '1e9', 'Infinity', 'NaN', '0x10', '5s', '1, 2', 'soon', '١٢'])(
    'takes nothing from %o',
    (header) => {
      expect(parseRetryAfter(header, now)).toBeUndefined();
    },
  );

  it.each([undefined, null, 5, {}, ['5']])('takes nothing from %o, which is no text', (header) => {
    expect(parseRetryAfter(header as never, now)).toBeUndefined();
  });

  it('is a finite number ≥ 0 or undefined, whatever the text', () => {
    const digits = fc.integer({ min: 1, max: 400 }).map((length) => '9'.repeat(length));
    fc.assert(
      fc.property(fc.oneof(fc.string(), digits, fc.date().map(String)), (header) => {
        const wait = parseRetryAfter(header, now);
        expect(wait === undefined || (Number.isFinite(wait) && wait >= 0)).toBe(true);
      }),
    );
  });
});
