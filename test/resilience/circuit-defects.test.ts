/** Each test is named after a defect that was reproduced in today's libraries (with its thread), and shows ours without it. */
import { getEventListeners } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it, vi } from 'vitest';
import { BulkheadFullError, CircuitOpenError, RateLimitedError } from '../../src/core/errors.ts';
import { Bulkhead } from '../../src/resilience/bulkhead.ts';
import { CircuitBreaker } from '../../src/resilience/circuit-breaker.ts';
import { pipeline } from '../../src/resilience/pipeline.ts';
import { retry } from '../../src/resilience/retry.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { deferred, flush, never, smallBreaker } from './support.ts';

describe('defects of other breakers that this one does not have', () => {
  it('one timeout aborts every call under way (opossum #780, #861)', async () => {
    const { breaker, runtime } = smallBreaker();
    const signals: AbortSignal[] = [];
    const hang = (timeout: number): Promise<unknown> =>
      breaker
        .run(
          ({ signal }) => {
            signals.push(signal);
            return never();
          },
          { timeout },
        )
        .catch(() => {});
    const first = hang(100);
    void hang(200);
    await runtime.clock.advance(100);
    await first;
    expect(signals.map((signal) => signal.aborted)).toEqual([true, false]);
  });

  it('each breaker costs timers (opossum #798, #799, #809)', async () => {
    const runtime = testRuntime();
    const breakers = Array.from({ length: 1_000 }, (_, n) => new CircuitBreaker({ name: `b${n}`, runtime }));
    await Promise.all(breakers.map((breaker) => breaker.run(() => 'ok')));
    for (const breaker of breakers) breaker.trip();
    expect(runtime.clock.pending).toBe(0);
  });

  it('the latency of every call is kept (opossum #363, #648)', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const breaker = new CircuitBreaker({ name: 'memory' });
    const call = async (times: number): Promise<number> => {
      for (let n = 0; n < times; n += 1) await breaker.run(() => n);
      collect();
      return process.memoryUsage().heapUsed;
    };
    const before = await call(1_000);
    const after = await call(100_000);
    // Kept as numbers, 100,000 latencies would be 800 kB at the least.
    expect(after - before).toBeLessThan(400_000);
  });

  it('a probe that hangs keeps it half-open for ever (opossum #388, Polly #1979, resilience4j #935, #1389)', async () => {
    const { breaker, runtime, open, ok } = smallBreaker();
    await open();
    await runtime.clock.advance(1_000);
    const hung = [breaker.run(never), breaker.run(never)];
    for (const probe of hung) probe.catch(() => {});
    await runtime.clock.advance(10_000);
    expect(breaker.state).toBe('open');
    await runtime.clock.advance(1_000);
    await ok();
    await ok();
    expect(breaker.state).toBe('closed');
  });

  it('callers wait behind the probe (cockatiel)', async () => {
    const { breaker, runtime, open, ok } = smallBreaker({ halfOpen: { permits: 1 } });
    await open();
    await runtime.clock.advance(1_000);
    breaker.run(never).catch(() => {});
    await expect(ok()).rejects.toBeInstanceOf(CircuitOpenError);
  });

  it('a thousand waiters are let through together (opossum #119, Polly #216, resilience4j #1432, cockatiel)', async () => {
    const { breaker, runtime, open } = smallBreaker();
    await open();
    await runtime.clock.advance(1_000);
    let begun = 0;
    const gate = deferred();
    const calls = Array.from({ length: 1_000 }, () =>
      breaker
        .run(() => {
          begun += 1;
          return gate.promise;
        })
        .catch(() => 'rejected'),
    );
    await flush();
    expect(begun).toBe(2);
    gate.resolve();
    const rejected = (await Promise.all(calls)).filter((result) => result === 'rejected');
    expect(rejected).toHaveLength(998);
    expect(breaker.state).toBe('closed');
  });

  it('a success from before the trip closes it (opossum #385, Polly #217, #218, #223)', async () => {
    const { breaker, runtime, open } = smallBreaker({ halfOpen: { permits: 1 } });
    const gate = deferred();
    const early = breaker.run(() => gate.promise);
    await open();
    await runtime.clock.advance(1_000);
    expect(breaker.state).toBe('half-open');
    gate.resolve();
    await early;
    expect(breaker.state).toBe('half-open');
    expect(breaker.metrics.window.calls).toBe(0);
  });

  it('failures from before the trip open it again (cockatiel)', async () => {
    const { breaker, runtime, open, ok } = smallBreaker({ halfOpen: { permits: 1 } });
    const gate = deferred();
    const early = Array.from({ length: 10 }, () => breaker.run(() => gate.promise).catch(() => {}));
    await open();
    await runtime.clock.advance(1_000);
    await ok();
    expect(breaker.state).toBe('closed');
    gate.reject(new Error('late'));
    await Promise.all(early);
    expect(breaker.state).toBe('closed');
    expect(breaker.metrics).toMatchObject({ window: { calls: 0 }, totals: { failed: 12 } });
  });

  it('calls under way are in the denominator: 50 of 50 failed, 100 under way, still closed (opossum #217, #288)', async () => {
    const { breaker } = smallBreaker({ window: '10s', minimumCalls: 50 });
    for (let call = 0; call < 100; call += 1) void breaker.run(never);
    const failing = Array.from({ length: 50 }, () => breaker.run(() => Promise.reject(new Error('down'))));
    await Promise.allSettled(failing);
    expect(breaker.state).toBe('open');
  });

  it('calls that a bulkhead or a limiter refused trip it (opossum)', async () => {
    const { breaker, runtime, fail } = smallBreaker();
    const bulkhead = new Bulkhead({ name: 'pool', limit: 1, runtime });
    const policy = pipeline(breaker, bulkhead);
    void policy.run(never);
    for (let call = 0; call < 10; call += 1) {
      await expect(policy.run(() => 'ok')).rejects.toBeInstanceOf(BulkheadFullError);
      await fail(new RateLimitedError('limit', 10));
      await fail(new CircuitOpenError('inner', 'open', 10));
    }
    expect(breaker.state).toBe('closed');
    expect(breaker.metrics).toMatchObject({ window: { calls: 0 }, totals: { ignored: 30 } });
  });

  it('an ignored error closes it while half-open (opossum #540, Polly #311, #717, cockatiel)', async () => {
    const { breaker, runtime, open, fail } = smallBreaker({
      halfOpen: { permits: 1 },
      ignore: (error) => error === 'ignored',
    });
    await open();
    await runtime.clock.advance(1_000);
    for (let call = 0; call < 5; call += 1) await fail('ignored');
    expect(breaker.state).toBe('half-open');
  });

  it('listeners stay on the signal of the caller (cockatiel #69, #81)', async () => {
    const { breaker, runtime, open } = smallBreaker();
    const { signal } = new AbortController();
    for (let call = 0; call < 10; call += 1) {
      await breaker.run(() => 'ok', { signal });
      await breaker.run(() => 'ok', { signal, timeout: '1s' });
    }
    await breaker.run(() => Promise.reject(new Error('down')), { signal }).catch(() => {});
    await open();
    await breaker.run(() => 'ok', { signal }).catch(() => {});
    await runtime.clock.advance(1_000);
    await breaker.run(() => 'ok', { signal });
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  it('the signal aborts after the call succeeded, and with it the body still being read (cockatiel #72)', async () => {
    const { breaker, runtime, open } = smallBreaker();
    const read = (): Promise<AbortSignal> => breaker.run(({ signal }) => signal, { timeout: '1s' });
    const signals = [await read()];
    await open();
    await runtime.clock.advance(1_000);
    signals.push(await read());
    await runtime.clock.advance(60_000);
    expect(signals.map((signal) => signal.aborted)).toEqual([false, false]);
  });

  it('a listener of success that throws makes the call fail and counts it (opossum)', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const { breaker, ok } = smallBreaker();
    breaker.on('succeeded', () => {
      throw new Error('a bug');
    });
    await expect(ok()).resolves.toBe('ok');
    expect(breaker.metrics.totals).toMatchObject({ succeeded: 1, failed: 0 });
    warn.mockRestore();
  });

  it('failures of an hour ago count: 4 failures, 1 h idle, 1 failure, minimum 5 (cockatiel)', async () => {
    const { breaker, runtime, fail } = smallBreaker({ window: '10s', minimumCalls: 5 });
    for (let call = 0; call < 4; call += 1) await fail();
    await runtime.clock.advance(3_600_000);
    await fail();
    expect(breaker.state).toBe('closed');
    expect(breaker.metrics.window).toMatchObject({ calls: 1, failures: 1 });
  });

  it('failures from before it opened are kept when it closes (opossum)', async () => {
    const { breaker, runtime, open, ok, fail } = smallBreaker();
    await open();
    await runtime.clock.advance(1_000);
    await ok();
    await ok();
    await fail();
    expect(breaker.state).toBe('closed');
  });

  it('a wall clock set back by an hour keeps it open (cockatiel)', async () => {
    const { breaker, runtime, open } = smallBreaker();
    await open();
    runtime.clock.jumpWallTime(-3_600_000);
    await runtime.clock.advance(1_000);
    expect(breaker.state).toBe('half-open');
  });

  it('undefined from the function is a TypeError (opossum)', async () => {
    const { breaker } = smallBreaker();
    await expect(breaker.run(() => undefined)).resolves.toBeUndefined();
  });

  it('a breaker that is restored probes early, since its wait began at its construction (opossum #719)', async () => {
    const { breaker, runtime, open } = smallBreaker({ openFor: 1_000 });
    await open();
    await runtime.clock.advance(400);
    const initialState = breaker.exportState();
    const next = testRuntime({ wallTime: runtime.clock.wallTime() });
    const restored = new CircuitBreaker({ name: 'test', runtime: next, initialState });
    await next.clock.advance(599);
    expect(restored.state).toBe('open');
    await next.clock.advance(1);
    expect(restored.state).toBe('half-open');
  });

  it('a retry sleeps on after its caller gave up, and then calls again (cockatiel)', async () => {
    const runtime = testRuntime();
    const caller = new AbortController();
    let calls = 0;
    const call = retry({ attempts: 5, backoff: '1m', runtime }).run(
      () => {
        calls += 1;
        throw new Error('down');
      },
      { signal: caller.signal },
    );
    await flush();
    caller.abort(new Error('gone'));
    await expect(call).rejects.toThrow('gone');
    await runtime.clock.advance(3_600_000);
    expect([calls, runtime.clock.pending]).toEqual([1, 0]);
  });
});
