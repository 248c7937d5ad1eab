import { describe, expect, it } from 'vitest';
import { Bench, outside } from './circuit-state-stage.ts';

describe('CircuitMachine', () => {
  describe('rules 11 and 13: permits', () => {
    it('are P in all, the first caller included, and an outcome keeps its permit', () => {
      const bench = new Bench();
      bench.halfOpen();
      const admissions = [1, 2, 3, 4].map(() => bench.machine.admit());
      expect(admissions).toEqual(['probe', 'probe', 'probe', 'refused']);
      bench.play('.');
      expect(bench.machine.admit()).toBe('refused');
    });

    it('come back once when the outcome is ignored, and are never more than P', () => {
      const bench = new Bench();
      bench.halfOpen();
      bench.machine.admit();
      for (let call = 0; call < 5; call += 1) bench.machine.ignore(bench.machine.generation);
      const admissions = [1, 2, 3, 4].map(() => bench.machine.admit());
      expect(admissions).toEqual(['probe', 'probe', 'probe', 'refused']);
    });
  });

  describe('rule 12: the decision of the probes', () => {
    it.each([
      ['...', 'closed'],
      ['x..', 'closed'],
      ['xx.', 'open'],
      ['.xx', 'open'],
      ['xx', 'half-open'],
      ['..', 'half-open'],
    ])('%s leaves it %s', (outcomes, state) => {
      const bench = new Bench();
      bench.halfOpen();
      for (const outcome of outcomes) bench.probe(outcome);
      expect(bench.machine.state).toBe(state);
    });

    it('falls when as many as the minimum are in, if that is less than P', () => {
      const bench = new Bench({ minimumCalls: 2 });
      bench.halfOpen();
      bench.probe('.');
      bench.probe('.');
      expect(bench.machine.state).toBe('closed');
    });

    it('uses the slow rate, too', () => {
      const bench = new Bench({ slowThreshold: 100, probes: 1 });
      bench.halfOpen();
      bench.machine.admit();
      expect(bench.settle(false, { duration: 101 })).toMatchObject({ payload: { reason: 'slow-rate' } });
    });

    it('looks at the probes only, not at what was recorded before', () => {
      const bench = new Bench();
      bench.play('xxxx');
      bench.now = 1_000;
      bench.machine.refresh(bench.now);
      for (const outcome of 'x..') bench.probe(outcome);
      expect(bench.machine.state).toBe('closed');
    });

    it.each([
      ['xx', 'open'],
      ['.x', 'half-open'],
      ['..', 'closed'],
      ['x.', 'half-open'],
    ])('early: %s of three leaves it %s', (outcomes, state) => {
      const bench = new Bench({ early: true });
      bench.halfOpen();
      for (const outcome of outcomes) bench.probe(outcome);
      expect(bench.machine.state).toBe(state);
    });

    it('fail fast: the first failure opens it', () => {
      const bench = new Bench({ failFast: true });
      bench.halfOpen();
      bench.probe('.');
      expect(bench.machine.state).toBe('half-open');
      bench.machine.admit();
      expect(bench.settle(true)).toMatchObject({ payload: { reason: 'first-failure', from: 'half-open' } });
    });
  });

  it('rule 14: a lease that passes opens it; one of an earlier period does nothing', () => {
    const bench = new Bench();
    bench.halfOpen();
    bench.machine.admit();
    const period = bench.machine.generation;
    expect(bench.machine.expire(period, bench.now, 'hung', outside)).toMatchObject({
      payload: { reason: 'probe-expired', cause: 'hung' },
    });
    expect(bench.machine.expire(period, bench.now, 'hung', outside)).toBeUndefined();
    bench.now += 1_000;
    bench.machine.refresh(bench.now);
    expect(bench.machine.expire(period, bench.now, 'hung', outside)).toBeUndefined();
    expect(bench.machine.state).toBe('half-open');
  });

  it('rule 15: closing clears the window, the failures in a row and the cause', () => {
    const bench = new Bench({ probes: 1, consecutiveFailures: 5 });
    bench.play('xxxx');
    bench.now = 1_000;
    bench.machine.refresh(bench.now);
    bench.probe('.');
    expect(bench.machine.tally(bench.now)).toMatchObject({ calls: 0, failures: 0 });
    expect(bench.machine.opening).toBeUndefined();
    bench.play('xxx');
    expect(bench.machine.state).toBe('closed');
  });
});
