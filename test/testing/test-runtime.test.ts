import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom, testRuntime } from '../../src/testing/test-runtime.ts';

const draw = (random: () => number, count: number): number[] => Array.from({ length: count }, random);

describe('seededRandom', () => {
  it('gives equal numbers for equal seeds and others for others, all in [0, 1)', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer(), (a, b) => {
        const numbers = draw(seededRandom(a), 20);
        expect(draw(seededRandom(a), 20)).toEqual(numbers);
        expect(numbers.every((n) => n >= 0 && n < 1)).toBe(true);
        if (a !== b) expect(draw(seededRandom(b), 20)).not.toEqual(numbers);
      }),
    );
  });

  it.each([0, 1, -1, 2 ** 31, 1e15, Number.NaN])('spreads evenly, seed %d', (seed) => {
    const counts = Array<number>(10).fill(0);
    for (const n of draw(seededRandom(seed), 10_000)) counts[Math.floor(n * 10)]! += 1;
    // Five standard deviations of a binomial distribution of 10,000 draws.
    for (const count of counts) expect(Math.abs(count - 1_000)).toBeLessThan(150);
  });
});

describe('testRuntime', () => {
  it('leaves nothing to chance', () => {
    const [a, b] = [testRuntime({ seed: 7 }), testRuntime({ seed: 7 })];
    expect([a.id(), a.id(), b.id()]).toEqual(['id-1', 'id-2', 'id-1']);
    expect(draw(a.random, 5)).toEqual(draw(b.random, 5));
    expect(testRuntime({ wallTime: 5 }).clock.wallTime()).toBe(5);
    expect(testRuntime().seed).toBe(1);
  });

  it('records telemetry', () => {
    const runtime = testRuntime();
    const event = { primitive: 'saga', name: 'checkout', type: 'completed', payload: {} };
    runtime.telemetry.record(event);
    expect(runtime.events).toEqual([event]);
  });
});
