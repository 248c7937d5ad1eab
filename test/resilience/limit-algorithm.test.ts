import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  AimdLimit,
  GradientLimit,
  type LimitAlgorithm,
  type LimitSample,
  SampleWindow,
} from '../../src/resilience/limit-algorithm.ts';

const bounds = { initial: 20, min: 2, max: 200 };

/** A server that does `capacity` calls at once in 10 ms each; more wait their turn. The limit is fully used. */
function saturate(algorithm: LimitAlgorithm, capacity: number, samples: number, timeout = Infinity): void {
  for (let n = 0; n < samples; n += 1) {
    const inFlight = Math.floor(algorithm.limit);
    const duration = 10 * Math.max(1, inFlight / capacity);
    algorithm.learn({ duration: Math.min(duration, timeout), inFlight, dropped: duration >= timeout });
  }
}

const samples: fc.Arbitrary<LimitSample[]> = fc.array(
  fc.record({
    duration: fc.oneof(fc.double({ min: 0.001, max: 1e6, noNaN: true }), fc.constant(0.001)),
    inFlight: fc.integer({ min: 0, max: 300 }),
    dropped: fc.boolean(),
  }),
  { maxLength: 300 },
);

describe.each([
  ['AimdLimit', () => new AimdLimit(bounds)],
  ['GradientLimit', () => new GradientLimit(bounds)],
])('%s', (_name, create) => {
  it('never leaves its bounds, whatever it sees', () => {
    fc.assert(
      fc.property(samples, (seen) => {
        const algorithm = create();
        for (const sample of seen) {
          algorithm.learn(sample);
          expect(algorithm.limit).toBeGreaterThanOrEqual(bounds.min);
          expect(algorithm.limit).toBeLessThanOrEqual(bounds.max);
        }
      }),
    );
  });

  it('does not rise while the limit is not used', () => {
    const algorithm = create();
    for (let n = 0; n < 100; n += 1) algorithm.learn({ duration: 10, inFlight: 5, dropped: false });
    expect(algorithm.limit).toBe(20);
  });

  it('rises to the maximum while calls take no longer', () => {
    const algorithm = create();
    saturate(algorithm, 1_000, 500);
    expect(algorithm.limit).toBe(200);
  });

  it('falls at every drop, down to the minimum', () => {
    const algorithm = create();
    let before = algorithm.limit;
    for (let n = 0; n < 300; n += 1) {
      algorithm.learn({ duration: 10, inFlight: Math.floor(before), dropped: true });
      expect(algorithm.limit < before || algorithm.limit === bounds.min).toBe(true);
      before = algorithm.limit;
    }
    expect(before).toBe(bounds.min);
  });

  it('falls when the dependency loses capacity, and rises again when it has it back', () => {
    const algorithm = create();
    saturate(algorithm, 100, 300, 40);
    const healthy = algorithm.limit;
    saturate(algorithm, 10, 60, 40);
    const ill = algorithm.limit;
    saturate(algorithm, 100, 300, 40);
    expect(healthy).toBeGreaterThan(100);
    expect(ill).toBeLessThan(60);
    expect(algorithm.limit).toBeGreaterThan(100);
  });
});

describe('AimdLimit', () => {
  it('is one more after a good sample and a tenth less after a drop', () => {
    const algorithm = new AimdLimit(bounds);
    algorithm.learn({ duration: 10, inFlight: 10, dropped: false });
    expect(algorithm.limit).toBe(21);
    algorithm.learn({ duration: 10, inFlight: 10, dropped: false });
    expect(algorithm.limit).toBe(21);
    algorithm.learn({ duration: 10, inFlight: 0, dropped: true });
    expect(algorithm.limit).toBeCloseTo(18.9);
  });
});

describe('GradientLimit', () => {
  it('falls without a single drop when calls take longer than tolerated', () => {
    const algorithm = new GradientLimit(bounds);
    saturate(algorithm, 1_000, 100);
    const before = algorithm.limit;
    for (let n = 0; n < 20; n += 1) algorithm.learn({ duration: 40, inFlight: 200, dropped: false });
    expect(algorithm.limit).toBeLessThan(before / 2);
  });

  it('bears calls that take up to the tolerance longer', () => {
    const algorithm = new GradientLimit(bounds, 2);
    saturate(algorithm, 1_000, 200);
    for (let n = 0; n < 20; n += 1) algorithm.learn({ duration: 19, inFlight: 200, dropped: false });
    expect(algorithm.limit).toBe(200);
  });

  it('is at most halved toward by one sample: a fifth of the way', () => {
    const algorithm = new GradientLimit({ initial: 100, min: 1, max: 200 });
    algorithm.learn({ duration: 10, inFlight: 0, dropped: false });
    algorithm.learn({ duration: 1e6, inFlight: 100, dropped: false });
    // usual rises to the mean of both in warm-up; 1.5 × that is above half of the duration.
    expect(algorithm.limit).toBeGreaterThanOrEqual(90);
  });

  it('forgets a long overload faster than it learned it', () => {
    const algorithm = new GradientLimit(bounds);
    for (let n = 0; n < 500; n += 1) algorithm.learn({ duration: 1_000, inFlight: 20, dropped: false });
    for (let n = 0; n < 200; n += 1) algorithm.learn({ duration: 10, inFlight: 20, dropped: false });
    expect(algorithm.usual).toBeLessThan(25);
  });
});

describe('SampleWindow', () => {
  it('gives the average duration, the most calls at once and any drop, once time and calls suffice', () => {
    const window = new SampleWindow(1_000);
    for (let n = 0; n < 9; n += 1) expect(window.add(n, 10, n, n === 3)).toBeUndefined();
    expect(window.add(999, 10, 2, false)).toBeUndefined();
    expect(window.add(1_000, 21, 2, false)).toEqual({ duration: 11, inFlight: 8, dropped: true });
    expect(window.add(1_001, 10, 2, false)).toBeUndefined();
  });

  it('waits for ten calls, however long that takes', () => {
    const window = new SampleWindow(1_000);
    for (let n = 0; n < 9; n += 1) expect(window.add(n * 5_000, 0, 1, false)).toBeUndefined();
    expect(window.add(50_000, 0, 1, false)).toEqual({ duration: 0.001, inFlight: 1, dropped: false });
  });
});
