import { describe, expect, it } from 'vitest';
import { Bench } from './circuit-state-stage.ts';

describe('CircuitMachine', () => {
  describe('rule 1: outcomes of an earlier generation', () => {
    it('every transition bumps the generation', () => {
      const bench = new Bench();
      const seen = [bench.machine.generation];
      const note = (): void => void seen.push(bench.machine.generation);
      bench.play('xxxx');
      note();
      bench.now = 1_000;
      bench.machine.refresh(bench.now);
      note();
      for (const outcome of '...') bench.probe(outcome);
      note();
      bench.machine.force('open');
      note();
      bench.machine.force(undefined);
      note();
      bench.machine.reset();
      note();
      expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6]);
    });

    it('count in the totals only: not in the window, the permits or the state', () => {
      const bench = new Bench({ probes: 1, minimumCalls: 1 });
      const { machine } = bench;
      const before = machine.generation;
      bench.halfOpen();
      bench.settle(false, { generation: before });
      bench.settle(true, { generation: before });
      machine.ignore(before);
      expect(machine.state).toBe('half-open');
      expect(machine.tally(bench.now).calls).toBe(0);
      expect(machine.totals).toMatchObject({ succeeded: 1, failed: 1, ignored: 1 });
      expect([machine.admit(), machine.admit()]).toEqual(['probe', 'refused']);
      bench.settle(false);
      expect(machine.state).toBe('closed');
      bench.settle(true, { generation: before });
      expect(machine.tally(bench.now).calls).toBe(0);
    });
  });

  it('rule 2: the denominator is recorded successes and failures; ignored and rejected calls are not in it', () => {
    const bench = new Bench();
    bench.play('..x');
    for (let call = 0; call < 100; call += 1) bench.machine.ignore(bench.machine.generation);
    for (let call = 0; call < 100; call += 1) bench.machine.admit();
    expect(bench.machine.tally(0)).toMatchObject({ calls: 3, failures: 1 });
    bench.play('x');
    expect(bench.machine.state).toBe('open');
  });

  describe('rule 4: when it trips', () => {
    it('not below the minimum, at the minimum at once', () => {
      const bench = new Bench();
      bench.play('xxx');
      expect(bench.machine.state).toBe('closed');
      bench.play('x');
      expect(bench.machine.state).toBe('open');
    });

    it('at exactly the threshold, not below it', () => {
      const below = new Bench({ minimumCalls: 10 });
      below.play('xxxx......');
      expect(below.machine.state).toBe('closed');
      const at = new Bench({ minimumCalls: 10 });
      at.play('xxxxx.....');
      expect(at.machine.state).toBe('open');
    });

    it('after a success, too: the one that completes the minimum', () => {
      const bench = new Bench();
      bench.play('xxx.');
      expect(bench.changes).toEqual(['opened']);
    });

    it('at 7 of 100 for a rate of 0.07, which floating point puts above 7 when multiplied', () => {
      const bench = new Bench({ window: { calls: 100 }, minimumCalls: 100, failureRate: 0.07 });
      bench.play('x'.repeat(7) + '.'.repeat(93));
      expect(bench.machine.state).toBe('open');
    });

    it('at the size of a count window when the minimum is larger', () => {
      const bench = new Bench({ window: { calls: 3 }, minimumCalls: 100 });
      bench.play('xxx');
      expect(bench.machine.state).toBe('open');
    });
  });

  describe('rule 5: slow calls', () => {
    const slow = { slowThreshold: 100, slowRate: 0.5, failureRate: 0.9 };

    it('are those above the threshold, not at it', () => {
      const bench = new Bench(slow);
      for (let call = 0; call < 4; call += 1) bench.settle(false, { duration: 100 });
      expect(bench.machine.state).toBe('closed');
      expect(bench.machine.tally(0).slow).toBe(0);
    });

    it('count whether they succeed or fail, and the reason says so', () => {
      const bench = new Bench(slow);
      bench.settle(false, { duration: 101 });
      bench.settle(true, { duration: 101 });
      bench.play('.');
      const change = bench.settle(false, { cause: 'nothing failed' });
      expect(change).toMatchObject({ type: 'opened', payload: { reason: 'slow-rate' } });
    });

    it('either rate trips', () => {
      const bench = new Bench({ ...slow, slowRate: 0.9, failureRate: 0.5 });
      bench.play('xx.');
      expect(bench.settle(false)).toMatchObject({ payload: { reason: 'failure-rate' } });
    });
  });

  it('rule 7: failures in a row trip before the minimum is reached; a success begins anew', () => {
    const bench = new Bench({ consecutiveFailures: 3, minimumCalls: 10, failureRate: 1 });
    bench.play('xx.xx');
    expect(bench.machine.state).toBe('closed');
    expect(bench.settle(true)).toMatchObject({ payload: { reason: 'consecutive-failures' } });
  });

  it('rule 8: late failures while open neither extend the wait nor report anything', () => {
    const bench = new Bench();
    const before = bench.machine.generation;
    bench.play('xxxx');
    bench.now = 900;
    for (let call = 0; call < 10; call += 1) bench.settle(true, { generation: before });
    expect(bench.changes).toEqual(['opened']);
    expect(bench.machine.retryAfter(bench.now)).toBe(100);
    expect(bench.machine.openings).toBe(1);
  });

  it('rule 9: it goes half-open when asked at elapsed ≥ wait, not before', () => {
    const bench = new Bench();
    bench.play('xxxx');
    expect(bench.machine.refresh(999.999)).toBeUndefined();
    expect(bench.machine.state).toBe('open');
    expect(bench.machine.refresh(1_000)).toMatchObject({ type: 'halfOpened', payload: { permits: 3 } });
    expect(bench.machine.refresh(1_000)).toBeUndefined();
  });

  describe('rule 10: the wait', () => {
    it('is asked with one more at each reopening, and from 1 again after a close', () => {
      const asked: number[] = [];
      const bench = new Bench({ openFor: (attempt) => asked.push(attempt) && 1_000, probes: 1 });
      bench.play('xxxx');
      for (const outcome of 'xx.') {
        bench.now += 1_000;
        bench.machine.refresh(bench.now);
        bench.probe(outcome);
      }
      bench.play('xxxx');
      expect(asked).toEqual([1, 2, 3, 1]);
    });

    it.each([
      [5_000, 5_000],
      [10, 1_000],
      [1e9, 60_000],
      [Number.POSITIVE_INFINITY, 60_000],
      [-5_000, 1_000],
      [Number.NaN, 1_000],
      ['5000', 1_000],
    ])('is lengthened by a retryAfter of %s to %s ms, capped', (retryAfter, wait) => {
      const bench = new Bench();
      bench.play('xxx');
      expect(bench.settle(true, { cause: { retryAfter } })).toMatchObject({ payload: { wait } });
    });

    it('survives a cause that throws when it is looked at', () => {
      const bench = new Bench();
      const cause = {
        get retryAfter(): number {
          throw new Error('hostile');
        },
      };
      bench.play('xxx');
      expect(bench.settle(true, { cause })).toMatchObject({ payload: { wait: 1_000 } });
    });
  });
});
