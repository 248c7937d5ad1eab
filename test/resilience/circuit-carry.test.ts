/** What a breaker carries from one process into the next: its exported state, and what its windows hold. */
import { describe, expect, it } from 'vitest';
import { InvalidOptionsError } from '../../src/core/errors.ts';
import { CountWindow, TimeWindow } from '../../src/core/window.ts';
import type { CircuitBreaker } from '../../src/resilience/circuit-breaker.ts';
import type { CircuitSnapshot } from '../../src/resilience/circuit-snapshot.ts';
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
