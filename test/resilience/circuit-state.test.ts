import { describe, expect, it } from 'vitest';
import { constant } from '../../src/core/backoff.ts';
import { CircuitMachine } from '../../src/resilience/circuit-state.ts';
import type { CircuitSettings } from '../../src/resilience/circuit-types.ts';

const outside = { random: () => 0.5, wallTime: () => 0 };

const settings: CircuitSettings = {
  window: { calls: 10 },
  failureRate: 0.5,
  slowRate: 0.5,
  slowThreshold: Number.POSITIVE_INFINITY,
  minimumCalls: 4,
  consecutiveFailures: Number.POSITIVE_INFINITY,
  openFor: constant(1_000),
  maxRetryAfter: 60_000,
  probes: 3,
  early: false,
  failFast: false,
  maxWait: 30_000,
  warmUp: 0,
  latency: undefined,
};

/** A machine at a time that the test moves by hand. */
class Bench {
  now = 0;
  readonly machine: CircuitMachine;
  readonly changes: string[] = [];

  constructor(overrides: Partial<CircuitSettings> = {}) {
    this.machine = new CircuitMachine({ ...settings, ...overrides });
  }

  settle(failed: boolean, options: { duration?: number; generation?: number; cause?: unknown } = {}) {
    const { duration = 1, generation = this.machine.generation, cause } = options;
    const change = this.machine.record(generation, this.now, duration, failed, cause, outside);
    if (change !== undefined) this.changes.push(change.type);
    return change;
  }

  /** `'.'` is a success, `'x'` a failure. */
  play(outcomes: string): void {
    for (const outcome of outcomes) this.settle(outcome === 'x');
  }

  /** Open it and wait until probes may pass. */
  halfOpen(): void {
    this.machine.trip(this.now, undefined, outside);
    this.now += 1_000;
    this.machine.refresh(this.now);
  }

  probe(outcome: string): void {
    expect(this.machine.admit()).toBe('probe');
    this.settle(outcome === 'x');
  }
}

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
