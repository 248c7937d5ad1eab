/** What a breaker carries through time: exported state, other options, a warm-up, and what it says of itself. */
import { describe, expect, it } from 'vitest';
import { InvalidOptionsError } from '../../src/core/errors.ts';
import type { CircuitBreaker } from '../../src/resilience/circuit-breaker.ts';
import type { CircuitSnapshot } from '../../src/resilience/circuit-snapshot.ts';
import { CountWindow, TimeWindow } from '../../src/resilience/window.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { smallBreaker } from './support.ts';

/** As it would come out of a database. */
const stored = (snapshot: CircuitSnapshot): CircuitSnapshot => JSON.parse(JSON.stringify(snapshot));

describe('rule 22: export and import', () => {
  it('an open breaker goes on waiting for what is left, in a process whose clock began anew', async () => {
    const { breaker, runtime, open } = smallBreaker({ openFor: 10_000 });
    await open();
    await runtime.clock.advance(3_000);
    const snapshot = stored(breaker.exportState());
    const successor = smallBreaker({
      initialState: snapshot,
      runtime: testRuntime({ wallTime: runtime.clock.wallTime() + 2_000 }),
    });
    expect(successor.breaker.state).toBe('open');
    expect(successor.breaker.metrics).toMatchObject({ retryAfter: 5_000, openings: 1 });
  });

  it('a wait that passed between is over, and one never grows when the wall clock goes back', async () => {
    const { breaker, runtime, open } = smallBreaker();
    await open();
    const snapshot = breaker.exportState();
    const at = (by: number): CircuitBreaker =>
      smallBreaker({
        initialState: snapshot,
        runtime: testRuntime({ wallTime: runtime.clock.wallTime() + by }),
      }).breaker;
    expect(at(1_000).state).toBe('half-open');
    expect(at(-3_600_000).metrics.retryAfter).toBe(1_000);
  });

  it('a half-open breaker is told as open with its wait over, and its openings', async () => {
    const { breaker, runtime, open } = smallBreaker();
    await open();
    await runtime.clock.advance(1_000);
    const snapshot = breaker.exportState();
    expect(breaker.state).toBe('half-open');
    expect(snapshot).toMatchObject({ state: 'open', wait: 0, openings: 1, reason: 'failure-rate' });
    expect(smallBreaker({ initialState: snapshot }).breaker.metrics).toMatchObject({ openings: 1 });
  });

  it('the recorded outcomes keep their age, so that they leave when they would have left', async () => {
    const options = { window: '10s', minimumCalls: 10 } as const;
    const first = smallBreaker(options);
    await first.runtime.clock.advance(20_000);
    await first.fail();
    await first.runtime.clock.advance(4_000);
    await first.ok();
    const runtime = testRuntime({ wallTime: first.runtime.clock.wallTime() + 1_000 });
    const second = smallBreaker({ ...options, initialState: first.breaker.exportState(), runtime });
    expect(second.breaker.metrics.window).toMatchObject({ calls: 2, failures: 1 });
    await runtime.clock.advance(4_999);
    expect(second.breaker.metrics.window).toMatchObject({ calls: 2 });
    await runtime.clock.advance(1);
    expect(second.breaker.metrics.window).toMatchObject({ calls: 1, failures: 0 });
  });

  it('failures in a row go on being counted', async () => {
    const options = { consecutiveFailures: 3, minimumCalls: 100, window: { calls: 100 } };
    const first = smallBreaker(options);
    await first.fail();
    await first.fail();
    const second = smallBreaker({ ...options, initialState: first.breaker.exportState() });
    await second.fail();
    expect(second.breaker.state).toBe('open');
  });

  it('importing into a running breaker makes outcomes of before late, and is told each time', async () => {
    const { breaker, runtime, open } = smallBreaker();
    const healthy = breaker.exportState();
    const token = breaker.acquire();
    await open();
    breaker.importState(healthy);
    const another = breaker.acquire();
    breaker.importState(healthy);
    token.failure(new Error('late'));
    another.failure(new Error('late'));
    expect(breaker.state).toBe('closed');
    expect(breaker.metrics.window.calls).toBe(0);
    const told = runtime.events.filter((event) => event.type === 'imported');
    expect(told.map(({ payload }) => payload)).toEqual([
      { from: 'open', to: 'closed' },
      { from: 'closed', to: 'closed' },
    ]);
  });

  it.each([
    { version: 2 },
    { state: 'half-open' },
    { wait: -1 },
    { wait: Number.NaN },
    { openings: 1.5 },
    { window: [{ age: 0, calls: 1, failures: 2, slow: 0 }] },
    { window: [{ age: -1, calls: 1, failures: 0, slow: 0 }] },
    { extra: true },
  ])('refuses a snapshot with %j', (change) => {
    const snapshot = { ...smallBreaker().breaker.exportState(), ...change } as CircuitSnapshot;
    expect(() => smallBreaker({ initialState: snapshot })).toThrow(InvalidOptionsError);
    const { breaker } = smallBreaker();
    expect(() => breaker.importState(snapshot)).toThrow(InvalidOptionsError);
    expect(breaker.state).toBe('closed');
  });
});

describe('reconfigure', () => {
  it('decides by the new thresholds from the next outcome on, over the window that it had', async () => {
    const { breaker, ok, fail } = smallBreaker({ window: '10s', minimumCalls: 4, failureRate: 0.9 });
    await fail();
    await ok();
    await ok();
    breaker.reconfigure({ failureRate: 0.25 });
    expect(breaker.state).toBe('closed');
    await ok();
    expect(breaker.state).toBe('open');
  });

  it.each([
    ['a longer time', '10s', '60s', 3],
    ['a count', '10s', { calls: 100 }, 3],
    ['a count too small for all', { calls: 10 }, { calls: 2 }, 2],
    ['a time', { calls: 10 }, '10s', 3],
  ] as const)('keeps the outcomes when the window becomes %s', async (_what, from, to, calls) => {
    const { breaker, runtime, ok, fail } = smallBreaker({ window: from, minimumCalls: 10 });
    await runtime.clock.advance(123_456);
    await ok();
    await ok();
    await fail();
    breaker.reconfigure({ window: to });
    expect(breaker.metrics.window).toMatchObject({ calls, failures: 1 });
  });

  it('keeps options that are not given, and takes those given as undefined back to their default', async () => {
    const { breaker, fail } = smallBreaker({ consecutiveFailures: 1 });
    breaker.reconfigure({ minimumCalls: 4 });
    breaker.reconfigure({ consecutiveFailures: undefined });
    for (let call = 0; call < 3; call += 1) await fail();
    expect(breaker.state).toBe('closed');
    await fail();
    expect(breaker.state).toBe('open');
  });

  it('changes nothing when an option is wrong or fixed', async () => {
    const { breaker, fail } = smallBreaker();
    const wrong = [{ failureRate: 2 }, { name: 'other' }, { runtime: {} }, { failurerate: 1 }];
    for (const changes of wrong) {
      expect(() => breaker.reconfigure({ minimumCalls: 99, ...changes })).toThrow(InvalidOptionsError);
    }
    await fail();
    await fail();
    expect(breaker.state).toBe('open');
  });

  it('never leaves a half-open breaker without anybody who could decide it', async () => {
    const { breaker, runtime, open, ok } = smallBreaker({ halfOpen: { permits: 4 }, minimumCalls: 4 });
    await open();
    await runtime.clock.advance(1_000);
    await ok();
    await ok();
    expect(breaker.state).toBe('half-open');
    breaker.reconfigure({ halfOpen: { permits: 2 } });
    expect(breaker.state).toBe('closed');
  });

  it('gives a half-open breaker the permits that it has more, not anew', async () => {
    const { breaker, runtime, open } = smallBreaker({ minimumCalls: 4 });
    await open();
    await runtime.clock.advance(1_000);
    breaker.acquire();
    breaker.reconfigure({ halfOpen: { permits: 3 } });
    breaker.acquire();
    breaker.acquire();
    expect(() => breaker.acquire()).toThrow('half-open');
  });

  it('gives no permit back while more probes are under way than may be', async () => {
    const { breaker, runtime, open } = smallBreaker({ halfOpen: { permits: 3 }, minimumCalls: 4 });
    await open();
    await runtime.clock.advance(1_000);
    const probes = [breaker.acquire(), breaker.acquire(), breaker.acquire()];
    breaker.reconfigure({ halfOpen: { permits: 2 } });
    probes[0]?.ignore();
    expect(() => breaker.acquire()).toThrow('half-open');
    probes[1]?.ignore();
    breaker.acquire();
    expect(() => breaker.acquire()).toThrow('half-open');
  });

  it('tells which options were given', () => {
    const { breaker, runtime } = smallBreaker();
    breaker.reconfigure({ failureRate: 0.2, latency: '1m' });
    expect(runtime.events.at(-1)).toMatchObject({
      type: 'reconfigured',
      payload: { options: ['failureRate', 'latency'] },
    });
    expect(breaker.metrics.latency).toMatchObject({ calls: 0 });
  });
});

describe('warm-up', () => {
  it('records but does not open; afterwards the next outcome decides on all of it', async () => {
    const { breaker, runtime, fail, ok } = smallBreaker({ warmUp: '30s', consecutiveFailures: 2 });
    for (let call = 0; call < 4; call += 1) await fail();
    expect(breaker.state).toBe('closed');
    expect(breaker.metrics.window.failures).toBe(4);
    await runtime.clock.advance(30_000);
    await ok();
    expect(breaker.state).toBe('open');
  });
});

describe('latency', () => {
  it('is measured when asked for, and told as quantiles', async () => {
    const { breaker, runtime } = smallBreaker({ latency: '1m' });
    for (const duration of [10, 20, 1_000]) {
      const call = breaker.run(() => new Promise<void>((done) => runtime.clock.schedule(duration, done)));
      await runtime.clock.settle(call);
    }
    const { calls, p50, max } = breaker.metrics.latency!;
    expect(calls).toBe(3);
    expect(Math.abs(p50 - 20)).toBeLessThanOrEqual(20 / 32);
    expect(Math.abs(max - 1_000)).toBeLessThanOrEqual(1_000 / 32);
    expect(smallBreaker().breaker.metrics.latency).toBeUndefined();
  });
});

describe('explain', () => {
  it('says where it is, why, and what would change that, in every state', async () => {
    const { breaker, runtime, open, fail } = smallBreaker({
      slowThreshold: '2s',
      consecutiveFailures: 9,
      warmUp: 1,
    });
    expect(breaker.explain()).toBe(
      'test is closed: calls pass; of the last 4 calls 0 calls are recorded, 0 failed, 0 slow. ' +
        'It is warming up and does not open by itself for another 1 ms. ' +
        'It opens when 50 % of them have failed once 2 more calls have settled, ' +
        'or when 50 % of them took longer than 2 s once 2 more calls have settled, or at 9 failures in a row.',
    );
    await runtime.clock.advance(1);
    await open();
    expect(breaker.explain()).toBe(
      'test is open: calls are rejected. It opened because 2 of 2 calls failed (100 %; the limit is 50 %). ' +
        'The last of it: down. In 1 s it lets 2 calls pass as probes; reset() closes it now.',
    );
    await runtime.clock.advance(1_000);
    await fail();
    expect(breaker.explain()).toBe(
      'test is half-open: 1 of 2 probes have settled, 1 of them failed; 1 more may pass, other calls are rejected. ' +
        'It opened because 2 of 2 calls failed (100 %; the limit is 50 %). The last of it: down. ' +
        'It closes when less than 50 % of the probes fail, and opens again otherwise.',
    );
    for (const [forced, words] of [
      ['open', 'every call is rejected'],
      ['disabled', 'none is recorded'],
      ['metrics-only', 'calls pass and are recorded'],
    ] as const) {
      breaker.force(forced);
      expect(breaker.explain()).toContain(words);
      expect(breaker.explain()).toContain('force(undefined) ends that.');
    }
  });
});

describe('by hand', () => {
  it('opens for as long as it is told, and probes when told that the wait is over', async () => {
    const { breaker } = smallBreaker();
    breaker.trip('maintenance', { openFor: '1h' });
    expect(breaker.metrics.retryAfter).toBe(3_600_000);
    breaker.endWait();
    expect(breaker.state).toBe('half-open');
    expect(() => smallBreaker().breaker.trip('x', { openFor: -1 })).toThrow(InvalidOptionsError);
  });

  it('opens sooner for a while when its thresholds are lowered', async () => {
    const { breaker, runtime, ok, fail } = smallBreaker({ window: '10s', minimumCalls: 8 });
    breaker.lowerThresholds(0.5, '5s');
    await ok();
    await ok();
    await ok();
    expect(breaker.explain()).toContain('lowered');
    await fail();
    expect(breaker.state).toBe('open');
    breaker.reset();
    await runtime.clock.advance(5_000);
    for (let call = 0; call < 7; call += 1) await fail();
    expect(breaker.state).toBe('closed');
    for (const factor of [0, 1.1, Number.NaN]) {
      expect(() => breaker.lowerThresholds(factor, 1)).toThrow(RangeError);
    }
  });
});

describe('windows hand over what they hold', () => {
  it('a count window tells runs of equal outcomes, oldest first, after it has wrapped', () => {
    const window = new CountWindow(4);
    for (const failed of [true, false, false, true, true]) window.add(0, failed, false);
    expect(window.slices()).toEqual([
      { age: 0, calls: 2, failures: 0, slow: 0 },
      { age: 0, calls: 2, failures: 2, slow: 0 },
    ]);
  });

  it('a time window keeps nothing longer than its length, whichever grid the outcomes come from', () => {
    const from = new TimeWindow(1_000);
    from.add(150, true, false);
    const to = new TimeWindow(1_000);
    to.load(from.slices(199), 5_033);
    to.advance(5_899);
    expect(to.calls).toBe(1);
    to.advance(5_900);
    expect(to.calls).toBe(0);
  });
});
