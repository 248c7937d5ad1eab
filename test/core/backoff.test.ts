import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { constant, exponential } from '../../src/core/backoff.ts';

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
