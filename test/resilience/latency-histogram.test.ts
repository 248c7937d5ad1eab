import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LatencyHistogram, RecentLatency } from '../../src/resilience/latency-histogram.ts';

const seed = 2029;

/** The nearest-rank quantile of the durations themselves. */
function exact(durations: readonly number[], share: number): number {
  const sorted = [...durations].sort((a, b) => a - b);
  return sorted[Math.max(1, Math.ceil(share * sorted.length)) - 1]!;
}

describe('LatencyHistogram', () => {
  it(`is off by at most 1/32 and half a microsecond, whatever was recorded (seed ${seed})`, () => {
    const duration = fc.oneof(
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: 0, max: 4_000_000, noNaN: true }),
      fc.constantFrom(0, 0.001, 0.015, 0.016, 0.031, 0.032, 1, 2 ** 20 / 1_000),
    );
    fc.assert(
      fc.property(fc.array(duration, { minLength: 1, maxLength: 50 }), (durations) => {
        const histogram = new LatencyHistogram();
        for (const one of durations) histogram.record(one);
        for (const share of [0, 0.5, 0.9, 0.99, 1]) {
          const truth = exact(durations, share);
          const error = Math.abs(histogram.quantile(share) - truth);
          expect(error).toBeLessThanOrEqual(truth / 32 + 0.001);
        }
      }),
      { seed, numRuns: 2_000 },
    );
  });

  it('is 0 when nothing was recorded, takes hostile durations, and forgets', () => {
    const histogram = new LatencyHistogram();
    expect(histogram.quantile(0.5)).toBe(0);
    for (const duration of [-5, Number.POSITIVE_INFINITY]) histogram.record(duration);
    expect(histogram.quantile(0.5)).toBe(0);
    expect(histogram.quantile(1)).toBeGreaterThan(4_000_000);
    histogram.clear();
    expect([histogram.total, histogram.quantile(1)]).toEqual([0, 0]);
  });

  it('adds up with another', () => {
    const [a, b] = [new LatencyHistogram(), new LatencyHistogram()];
    a.add(b);
    a.record(1);
    b.record(100);
    a.add(b);
    expect(a.total).toBe(2);
    expect(a.quantile(1)).toBeCloseTo(100, -1);
  });
});

describe('RecentLatency', () => {
  it('keeps one to two periods, and nothing of a quiet night', () => {
    const recent = new RecentLatency(1_000);
    recent.record(900, 5);
    recent.record(1_100, 7);
    expect(recent.summary(1_999).calls).toBe(2);
    expect(recent.summary(2_000).calls).toBe(1);
    expect(recent.summary(3_000)).toEqual({ calls: 0, p50: 0, p90: 0, p99: 0, max: 0 });
    recent.record(3_500, 7);
    expect(recent.quantile(50_000, 0.5)).toEqual({ calls: 0, duration: 0 });
  });
});
