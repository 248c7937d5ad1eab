/** Timeouts that our own blocked event loop caused; the loop is really blocked here. */
import { describe, expect, it } from 'vitest';
import { TimeoutError } from '../../src/core/errors.ts';
import { CircuitBreaker } from '../../src/resilience/circuit-breaker.ts';
import { pipeline } from '../../src/resilience/pipeline.ts';
import { timeout } from '../../src/resilience/timeout.ts';
import { never } from './support.ts';

function block(duration: number): void {
  const end = performance.now() + duration;
  while (performance.now() < end);
}

const errorOf = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => undefined,
    (error) => error,
  );

describe('a blocked event loop', () => {
  it('that was blocked longer than the timeout: the timeout says so, and the breaker does not count it', async () => {
    const breaker = new CircuitBreaker({ name: 'test', minimumCalls: 1, window: { calls: 1 } });
    const calls = [pipeline(breaker, timeout(60)), pipeline(timeout(60), breaker)].map((policy) =>
      errorOf(policy.run(never)),
    );
    calls.push(errorOf(breaker.run(never, { timeout: 60 })));
    block(150);
    for (const call of calls) {
      const error = await call;
      expect(error).toBeInstanceOf(TimeoutError);
      expect((error as TimeoutError).lag).toBeGreaterThan(45);
      expect((error as TimeoutError).message).toMatch(/event loop was blocked for \d+ ms/);
    }
    expect(breaker.metrics.totals).toMatchObject({ failed: 0, ignored: 3 });
    expect(breaker.state).toBe('closed');
  });

  it.each([60, 1_000])(
    'an answer that came meanwhile still counts (limit of the inner timeout %i)',
    async (inner) => {
      const policy = inner === 60 ? timeout(60) : pipeline(timeout(60), timeout(inner));
      const call = new Promise<string>((resolve, reject) => {
        // From here the loop comes to its timers first, then to input, and then to this answer.
        setImmediate(() => {
          policy
            .run(() => new Promise<string>((answer) => setImmediate(() => answer('answer'))))
            .then(resolve, reject);
          block(150);
        });
      });
      await expect(call).resolves.toBe('answer');
    },
  );

  it('is not looked at with noticeLag: false', async () => {
    const breaker = new CircuitBreaker({ name: 'test', minimumCalls: 1, window: { calls: 1 } });
    const call = errorOf(pipeline(breaker, timeout(60, { noticeLag: false })).run(never));
    block(150);
    expect(await call).toMatchObject({ code: 'HOLDFAST_TIMEOUT', lag: 0 });
    expect(breaker.state).toBe('open');
  });

  it('that was blocked before the call began is no excuse', async () => {
    const warm = errorOf(timeout(400).run(never));
    block(500);
    const breaker = new CircuitBreaker({ name: 'test', minimumCalls: 1, window: { calls: 1 } });
    // Real time: on a machine that stalls for most of these 400 ms the excuse would be a good one.
    const call = errorOf(pipeline(breaker, timeout(400)).run(never));
    await warm;
    const error = (await call) as TimeoutError;
    if (error.lag === 0) expect(breaker.state).toBe('open');
    else expect(error.lag).toBeGreaterThanOrEqual(300);
  });

  it('a limit that is what an outer one left is treated alike', async () => {
    const call = errorOf(pipeline(timeout(60), timeout(1_000)).run(never));
    block(200);
    expect(((await call) as TimeoutError).lag).toBeGreaterThan(45);
  });
});
