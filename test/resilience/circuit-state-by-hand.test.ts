import { describe, expect, it } from 'vitest';
import { Bench, outside } from './circuit-state-stage.ts';

describe('CircuitMachine', () => {
  describe('rule 16: forced states', () => {
    it.each(['open', 'disabled', 'metrics-only'] as const)('%s ends only by hand', (forced) => {
      const bench = new Bench();
      bench.machine.force(forced);
      const { state } = bench.machine;
      bench.play('xxxxxxxx');
      bench.now = 1e9;
      bench.machine.refresh(bench.now);
      bench.machine.trip(bench.now, undefined, outside);
      bench.machine.reset();
      bench.machine.expire(bench.machine.generation, bench.now, 'hung', outside);
      expect(bench.machine.state).toBe(state);
      expect(bench.machine.force(forced)).toBeUndefined();
      expect(bench.machine.force(undefined)).toMatchObject({
        type: 'closed',
        payload: { reason: 'released' },
      });
      expect(bench.machine.tally(bench.now).calls).toBe(0);
    });

    it('forced-open refuses, the others admit', () => {
      const bench = new Bench();
      const admission = (state: 'open' | 'disabled' | 'metrics-only'): string => {
        bench.machine.force(state);
        return bench.machine.admit();
      };
      expect([admission('open'), admission('disabled'), admission('metrics-only')]).toEqual([
        'refused',
        'free',
        'free',
      ]);
      bench.machine.force('open');
      expect(bench.machine.retryAfter(0)).toBe(Number.POSITIVE_INFINITY);
    });

    it('disabled records nothing in the window; metrics-only does', () => {
      const bench = new Bench();
      bench.machine.force('disabled');
      bench.play('xx');
      expect(bench.machine.tally(0).calls).toBe(0);
      bench.machine.force('metrics-only');
      bench.play('xx');
      expect(bench.machine.tally(0).calls).toBe(2);
    });

    it('metrics-only tells once that it would have tripped, and again after a reset', () => {
      const bench = new Bench();
      bench.machine.force('metrics-only');
      bench.play('xxxxxxxxxx');
      expect(bench.changes).toEqual(['wouldTrip']);
      bench.machine.reset();
      bench.play('xxxxxxxxxx');
      expect(bench.changes).toEqual(['wouldTrip', 'wouldTrip']);
    });
  });

  it('trip and reset work by hand, and say nothing when nothing changes', () => {
    const bench = new Bench();
    expect(bench.machine.reset()).toBeUndefined();
    expect(bench.machine.trip(0, 'maintenance', outside)).toMatchObject({ payload: { reason: 'manual' } });
    expect(bench.machine.trip(500, undefined, outside)).toBeUndefined();
    expect(bench.machine.retryAfter(500)).toBe(500);
    expect(bench.machine.reset()).toMatchObject({
      type: 'closed',
      payload: { from: 'open', reason: 'manual' },
    });
    expect(bench.machine.force(undefined)).toBeUndefined();
  });

  it('a reset while closed forgets the window and what is still under way', () => {
    const bench = new Bench();
    bench.play('xxx');
    const before = bench.machine.generation;
    bench.machine.reset();
    bench.settle(true, { generation: before });
    expect(bench.machine.tally(0).calls).toBe(0);
  });
});
