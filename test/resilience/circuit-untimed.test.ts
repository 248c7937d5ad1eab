/** The short way that a call takes when nobody asks how long it took; with the telemetry of `testRuntime` it takes the long one. */
import { afterEach, describe, expect, it } from 'vitest';
import { CircuitOpenError } from '../../src/core/errors.ts';
import { CircuitBreaker } from '../../src/resilience/circuit-breaker.ts';
import type { CircuitBreakerOptions } from '../../src/resilience/circuit-options.ts';
import { ManualClock } from '../../src/testing/manual-clock.ts';
import { deferred, flush } from './support.ts';

class CountingClock extends ManualClock {
  readings = 0;

  override now(): number {
    this.readings += 1;
    return super.now();
  }
}

function untimed(options: Partial<CircuitBreakerOptions> = {}) {
  const clock = new CountingClock();
  const breaker = new CircuitBreaker({ name: 'test', minimumCalls: 2, runtime: { clock }, ...options });
  const fail = () => breaker.run(() => Promise.reject(new Error('down'))).catch((error: unknown) => error);
  /** Readings of the clock during one call that succeeds. */
  const readings = async (): Promise<number> => {
    const before = clock.readings;
    await breaker.run(async () => 'ok');
    return clock.readings - before;
  };
  return { breaker, clock, fail, readings };
}

describe('a call whose duration nobody asks for', () => {
  it('reads the clock once in a window of time', async () => {
    expect(await untimed().readings()).toBe(1);
  });

  it('reads no clock in a window of calls, until one of them was bad', async () => {
    const { breaker, fail, readings } = untimed({ window: { calls: 3 }, minimumCalls: 3, failureRate: 1 });
    expect(await readings()).toBe(0);
    await fail();
    for (let call = 0; call < 2; call += 1) expect(await readings()).toBe(1);
    expect(breaker.metrics.window).toMatchObject({ calls: 3, failures: 1 });
    // With this one the failure leaves the window.
    await readings();
    expect(await readings()).toBe(0);
    expect(breaker.metrics.totals).toMatchObject({ succeeded: 5, failed: 1 });
  });

  it('reads it for a result that counts as a failure, so that the wait begins then', async () => {
    const { breaker, clock } = untimed({ window: { calls: 2 }, isFailureResult: () => true, openFor: 1_000 });
    await clock.advance(5_000);
    for (let call = 0; call < 2; call += 1) await breaker.run(() => 503);
    expect(breaker.metrics).toMatchObject({ state: 'open', retryAfter: 1_000 });
  });

  it('passes uncounted while disabled, and counted while metrics-only, which only tells', async () => {
    const { breaker, fail } = untimed();
    const told: unknown[] = [];
    breaker.on('wouldTrip', ({ reason }) => told.push(reason));
    breaker.force('disabled');
    for (let call = 0; call < 3; call += 1) await fail();
    expect(breaker.metrics).toMatchObject({ state: 'disabled', window: { calls: 0 }, totals: { failed: 3 } });
    breaker.force('metrics-only');
    for (let call = 0; call < 3; call += 1) await fail();
    expect(breaker.metrics).toMatchObject({ state: 'metrics-only', window: { calls: 3, failures: 3 } });
    expect(told).toEqual(['failure-rate']);
    breaker.force('open');
    expect(await fail()).toBeInstanceOf(CircuitOpenError);
  });

  it('rule 1: is late, too, when it was forced or released meanwhile', async () => {
    const { breaker } = untimed();
    const slow = deferred();
    const calls = [breaker.run(() => slow.promise)];
    breaker.force('metrics-only');
    calls.push(breaker.run(() => slow.promise));
    breaker.force(undefined);
    slow.reject(new Error('down'));
    await Promise.allSettled(calls);
    expect(breaker.metrics).toMatchObject({ state: 'closed', window: { calls: 0 }, totals: { failed: 2 } });
  });

  it('rule 1: is late with its success, too', async () => {
    const { breaker } = untimed();
    const slow = deferred();
    const call = breaker.run(() => slow.promise);
    breaker.reset();
    slow.resolve();
    await call;
    expect(breaker.metrics).toMatchObject({ window: { calls: 0 }, totals: { succeeded: 1 } });
    breaker.force('disabled');
    await breaker.run(() => 'ok');
    expect(breaker.metrics).toMatchObject({ window: { calls: 0 }, totals: { succeeded: 2 } });
  });

  it('rule 4: decides by its success when that makes up the minimum', async () => {
    const { breaker, fail, readings } = untimed({ minimumCalls: 3 });
    await fail();
    await fail();
    expect(breaker.state).toBe('closed');
    await readings();
    expect(breaker.metrics).toMatchObject({ state: 'open', retryAfter: 5_000 });
  });

  it('rule 7: ends a row of failures by its success', async () => {
    const { breaker, fail, readings } = untimed({ minimumCalls: 100, consecutiveFailures: 2 });
    await fail();
    await readings();
    await fail();
    expect(breaker.state).toBe('closed');
    await fail();
    expect(breaker.state).toBe('open');
  });

  it('judges results by a predicate that came by reconfigure', async () => {
    const { breaker } = untimed({ minimumCalls: 10 });
    await breaker.run(() => 503);
    breaker.reconfigure({ isFailureResult: (result) => result === 503 });
    await breaker.run(() => 503);
    expect(breaker.metrics.totals).toMatchObject({ succeeded: 1, failed: 1 });
    breaker.reconfigure({ isFailureResult: undefined });
    await breaker.run(() => 503);
    expect(breaker.metrics.totals).toMatchObject({ succeeded: 2, failed: 1 });
  });
});

describe('the promise of a refused call', () => {
  const listeners = process.listeners('unhandledRejection');
  afterEach(() => {
    process.removeAllListeners('unhandledRejection');
    for (const listener of listeners) process.on('unhandledRejection', listener);
  });

  it('is reported as unhandled only when nobody handles it', async () => {
    const reported: unknown[] = [];
    process.removeAllListeners('unhandledRejection');
    process.on('unhandledRejection', (error) => reported.push(error));
    const { breaker } = untimed();
    breaker.trip();
    await expect(breaker.run(() => 1)).rejects.toBeInstanceOf(CircuitOpenError);
    const handledLater = breaker.run(() => 1);
    handledLater.catch(() => {});
    await flush();
    expect(reported).toEqual([]);
    void breaker.run(() => 1);
    await flush();
    expect(reported).toEqual([expect.any(CircuitOpenError)]);
  });
});
