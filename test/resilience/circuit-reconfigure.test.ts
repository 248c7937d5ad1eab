/** What changes how a running breaker decides: other options, a warm-up, and a hand. */
import { describe, expect, it } from 'vitest';
import { InvalidOptionsError } from '../../src/core/errors.ts';
import { smallBreaker } from './support.ts';

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
