import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bucketCount, CountWindow, TimeWindow } from '../../src/core/window.ts';

const totals = ({ calls, failures, slow }: CountWindow | TimeWindow): number[] => [calls, failures, slow];

describe('CountWindow', () => {
  it('holds the last calls only', () => {
    const window = new CountWindow(3);
    window.add(0, true, true);
    window.add(0, true, false);
    window.add(0, false, true);
    expect(totals(window)).toEqual([3, 2, 2]);
    window.add(0, false, false);
    expect(totals(window)).toEqual([3, 1, 1]);
    window.clear();
    expect(totals(window)).toEqual([0, 0, 0]);
    window.add(0, true, false);
    expect(totals(window)).toEqual([1, 1, 0]);
  });

  it('agrees with a list that is cut to the window (seed 11)', () => {
    const outcome = fc.tuple(fc.boolean(), fc.boolean());
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.array(outcome, { maxLength: 40 }), (size, outcomes) => {
        const window = new CountWindow(size);
        for (const [failed, slow] of outcomes) window.add(0, failed, slow);
        const kept = outcomes.slice(-size);
        expect(totals(window)).toEqual([
          kept.length,
          kept.filter(([failed]) => failed).length,
          kept.filter(([, slow]) => slow).length,
        ]);
      }),
      { seed: 11, numRuns: 500 },
    );
  });
});

describe('TimeWindow', () => {
  it('rule 6: a sample expires at exactly one window after it, not before', () => {
    const window = new TimeWindow(1_000);
    window.add(5_000, true, true);
    window.advance(5_999.999);
    expect(totals(window)).toEqual([1, 1, 1]);
    window.advance(6_000);
    expect(totals(window)).toEqual([0, 0, 0]);
  });

  it('rule 6: idle for a window or more means empty, however long (not one bucket at a time)', () => {
    for (const idle of [1_000, 3_600_000, 1e12]) {
      const window = new TimeWindow(1_000);
      for (let call = 0; call < 4; call += 1) window.add(500 + call * 100, true, false);
      window.advance(800 + idle);
      expect(totals(window)).toEqual([0, 0, 0]);
      window.add(800 + idle, true, false);
      expect(totals(window)).toEqual([1, 1, 0]);
    }
  });

  it('does not go back when it is asked about the past', () => {
    const window = new TimeWindow(1_000);
    window.add(5_000, true, false);
    window.add(4_000, true, false);
    expect(totals(window)).toEqual([2, 2, 0]);
    window.advance(5_999);
    expect(totals(window)).toEqual([2, 2, 0]);
  });

  it('agrees with a list of samples that is filtered by time (seed 12)', () => {
    const step = fc.record({
      wait: fc.integer({ min: 0, max: 700 }),
      failed: fc.boolean(),
      slow: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const length = 1_000;
        const width = length / bucketCount;
        const window = new TimeWindow(length);
        const samples: { epoch: number; failed: boolean; slow: boolean }[] = [];
        let now = 0;
        for (const { wait, failed, slow } of steps) {
          now += wait;
          window.add(now, failed, slow);
          samples.push({ epoch: Math.floor(now / width), failed, slow });
          const kept = samples.filter(({ epoch }) => epoch > Math.floor(now / width) - bucketCount);
          expect(totals(window)).toEqual([
            kept.length,
            kept.filter((sample) => sample.failed).length,
            kept.filter((sample) => sample.slow).length,
          ]);
        }
      }),
      { seed: 12, numRuns: 500 },
    );
  });
});
