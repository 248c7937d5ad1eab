import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { constant, decorrelated, exponential, linear } from '../../src/core/backoff.ts';
import { InvalidOptionsError } from '../../src/core/errors.ts';
import { seededRandom } from '../../src/testing/test-runtime.ts';

const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const attempt = fc.oneof(fc.integer({ min: -5, max: 60 }), fc.integer({ min: 1_000, max: 2 ** 31 }));
const options = fc.record({
  base: fc.integer({ min: 1, max: 10_000 }),
  factor: fc.double({ min: 1, max: 10, noNaN: true }),
  max: fc.integer({ min: 1, max: 10_000_000 }),
});

describe('exponential', () => {
  it('doubles from 100 ms to 30 s', () => {
    const backoff = exponential({ jitter: 'none' });
    expect([1, 2, 3, 9, 10, 5_000].map((n) => backoff(n, Math.random))).toEqual([
      100, 200, 400, 25_600, 30_000, 30_000,
    ]);
  });

  it('is never NaN, negative or above its maximum, and each jitter keeps to its interval', () => {
    fc.assert(
      fc.property(options, attempt, random, (given, n, r) => {
        const whole = exponential({ ...given, jitter: 'none' })(n, () => r);
        const full = exponential({ ...given, jitter: 'full' })(n, () => r);
        const equal = exponential({ ...given, jitter: 'equal' })(n, () => r);
        expect(whole).toBeGreaterThan(0);
        expect(whole).toBeLessThanOrEqual(given.max);
        expect(full).toBeGreaterThanOrEqual(0);
        expect(full).toBeLessThanOrEqual(whole);
        expect(equal).toBeGreaterThanOrEqual(whole / 2);
        expect(equal).toBeLessThanOrEqual(whole);
      }),
    );
  });

  it('never waits less after a later attempt, jitter aside', () => {
    fc.assert(
      fc.property(options, fc.integer({ min: 1, max: 100 }), (given, n) => {
        const backoff = exponential({ ...given, jitter: 'none' });
        expect(backoff(n + 1, Math.random)).toBeGreaterThanOrEqual(backoff(n, Math.random));
      }),
    );
  });

  it('spreads a herd over the whole interval by default', () => {
    expect(exponential({ base: 1_000 })(1, () => 0)).toBe(0);
    expect(exponential({ base: 1_000 })(1, () => 0.999)).toBe(999);
  });
});

it('constant waits the same every time', () => {
  expect([1, 2, 99].map((n) => constant(70)(n, Math.random))).toEqual([70, 70, 70]);
});

describe('linear', () => {
  it('grows by its base, or by its step, up to its maximum', () => {
    const waits = (backoff: ReturnType<typeof linear>): number[] =>
      [-3, 0, 1, 2, 3, 9e9].map((n) => backoff(n, Math.random));
    expect(waits(linear())).toEqual([100, 100, 100, 200, 300, 30_000]);
    expect(waits(linear({ base: 10, step: 5, max: 18 }))).toEqual([10, 10, 10, 15, 18, 18]);
  });

  it.each([{ base: -1 }, { step: Number.NaN }, { max: '10' }, { factor: 2 }])('refuses %o', (given) => {
    expect(() => linear(given as never)).toThrow(InvalidOptionsError);
  });
});

describe('decorrelated', () => {
  const bounds = fc
    .tuple(fc.integer({ min: 0, max: 10_000 }), fc.integer({ min: 0, max: 1_000_000 }))
    .map(([base, more]) => ({ base, max: base + more }));

  it('draws each wait from base to three times the one before, within its maximum', () => {
    fc.assert(
      fc.property(bounds, attempt, random, fc.nat(2_000_000), ({ base, max }, n, r, previous) => {
        const wait = decorrelated({ base, max })(n, () => r, previous);
        expect(wait).toBeGreaterThanOrEqual(base);
        expect(wait).toBeLessThanOrEqual(Math.min(max, Math.max(base, 3 * Math.max(base, previous))));
      }),
    );
  });

  it('keeps to its interval where nobody knows the wait before, in bounded time', () => {
    fc.assert(
      fc.property(bounds, attempt, random, ({ base, max }, n, r) => {
        let draws = 0;
        const wait = decorrelated({ base, max })(n, () => {
          draws += 1;
          return r;
        });
        expect(wait).toBeGreaterThanOrEqual(base);
        expect(wait).toBeLessThanOrEqual(max);
        expect(draws).toBeLessThanOrEqual(32);
      }),
    );
  });

  it('spreads a herd: 1,000 clients wait differently (seed 11)', () => {
    const drawn = seededRandom(11);
    const backoff = decorrelated();
    const third = Array.from({ length: 1_000 }, () => {
      const first = backoff(1, drawn);
      return backoff(3, drawn, backoff(2, drawn, first));
    });
    expect(new Set(third.map((wait) => Math.round(wait))).size).toBeGreaterThan(500);
    expect(Math.max(...third)).toBeGreaterThan(900);
  });

  it.each([{ base: -1 }, { base: 10, max: 9 }, { max: Number.NaN }, { factor: 3 }])('refuses %o', (given) => {
    expect(() => decorrelated(given as never)).toThrow(InvalidOptionsError);
  });
});
