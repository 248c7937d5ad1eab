import { setMaxListeners } from 'node:events';
import { describe, expect, it, vi } from 'vitest';
import { BulkheadFullError, InvalidOptionsError } from '../../src/core/errors.ts';
import { type AdaptiveLimitOptions, adaptiveLimit } from '../../src/resilience/adaptive-limit.ts';
import { pipeline } from '../../src/resilience/pipeline.ts';
import { timeout } from '../../src/resilience/timeout.ts';
import { type TestRuntime, testRuntime } from '../../src/testing/test-runtime.ts';
import { never } from './support.ts';

function limited(options: Partial<AdaptiveLimitOptions> = {}) {
  const runtime = testRuntime();
  const policy = adaptiveLimit({ name: 'db', initial: 4, window: 100, runtime, ...options });
  return { runtime, policy };
}

const taking = (runtime: TestRuntime, duration: number, error?: unknown) => (): Promise<void> =>
  new Promise((resolve, reject) => {
    runtime.clock.schedule(duration, () => (error === undefined ? resolve() : reject(error)));
  });

describe('adaptiveLimit', () => {
  it('refuses calls beyond the limit without making them, and tells of it', async () => {
    const { runtime, policy } = limited();
    const told = vi.fn();
    policy.on('rejected', told);
    const running = Array.from({ length: 4 }, () => policy.run(taking(runtime, 10)));
    const work = vi.fn();
    await expect(policy.run(work)).rejects.toBeInstanceOf(BulkheadFullError);
    expect(work).not.toHaveBeenCalled();
    expect(told).toHaveBeenCalledExactlyOnceWith({ limit: 4 });
    expect(policy.running).toBe(4);
    await runtime.clock.settle(Promise.all(running));
    expect(policy.running).toBe(0);
    await expect(policy.run(() => 5)).resolves.toBe(5);
  });

  it.each(['aimd', 'gradient'] as const)(
    '%s raises the limit while all goes well, and tells',
    async (algorithm) => {
      const { runtime, policy } = limited({ algorithm });
      const changes: unknown[] = [];
      policy.on('changed', (change) => changes.push(change));
      for (let round = 0; round < 20; round += 1) {
        const calls = Array.from({ length: policy.limit }, () => policy.run(taking(runtime, 50)));
        await runtime.clock.settle(Promise.all(calls));
      }
      expect(policy.limit).toBeGreaterThan(6);
      expect(changes[0]).toEqual({ from: 4, to: 5 });
    },
  );

  it.each(['aimd', 'gradient'] as const)('%s lowers it when calls time out inside', async (algorithm) => {
    const { runtime, policy } = limited({ algorithm, initial: 20 });
    const call = pipeline(policy, timeout(50, { runtime }));
    for (let round = 0; round < 20; round += 1) {
      const calls = Array.from({ length: policy.limit }, () => call.run(never));
      await runtime.clock.settle(Promise.allSettled(calls));
    }
    expect(policy.limit).toBeLessThan(10);
    expect(policy.running).toBe(0);
  });

  it('takes a limit that passed around it for a drop, and a caller who left for nothing', async () => {
    const { runtime, policy } = limited({ algorithm: 'aimd', initial: 20 });
    const obedient = ({ signal }: { readonly signal: AbortSignal }): Promise<never> =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    const leave = new AbortController();
    setMaxListeners(0, leave.signal);
    const left = Array.from({ length: 15 }, () => policy.run(obedient, { signal: leave.signal }));
    await runtime.clock.advance(200);
    leave.abort(new Error('gone'));
    await Promise.allSettled(left);
    expect([policy.limit, policy.running]).toEqual([20, 0]);
    const call = pipeline(timeout(200, { runtime }), policy);
    for (let round = 0; round < 2; round += 1) {
      const timedOut = Array.from({ length: 15 }, () => call.run(obedient));
      await runtime.clock.settle(Promise.allSettled(timedOut));
    }
    expect(policy.limit).toBeLessThan(20);
  });

  it('does not learn from other errors, which may come at once', async () => {
    const { runtime, policy } = limited({ algorithm: 'aimd' });
    for (let n = 0; n < 50; n += 1) {
      await runtime.clock.settle(policy.run(taking(runtime, 10, new Error('404'))).catch(() => {}));
    }
    expect([policy.limit, policy.running]).toEqual([4, 0]);
  });

  it('asks which errors are drops; a predicate that throws says no', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const busy = new Error('503');
    const isDrop = (error: unknown): boolean => error === busy || JSON.parse('{');
    const { runtime, policy } = limited({ algorithm: 'aimd', initial: 20, isDrop });
    for (let n = 0; n < 30; n += 1) {
      await runtime.clock.settle(policy.run(taking(runtime, 10, busy)).catch(() => {}));
    }
    expect(policy.limit).toBeLessThan(20);
    await runtime.clock.settle(policy.run(taking(runtime, 10, new Error('other'))).catch(() => {}));
    expect(warn).toHaveBeenCalledOnce();
    warn.mockRestore();
  });

  it('holds a slot until the work settles, not until its caller gives up', async () => {
    const { runtime, policy } = limited({ initial: 1 });
    const call = pipeline(timeout(10, { runtime }), policy).run(taking(runtime, 100));
    const timedOut = expect(call).rejects.toThrow('10 ms');
    await runtime.clock.advance(10);
    await timedOut;
    await expect(policy.run(() => 1)).rejects.toBeInstanceOf(BulkheadFullError);
    await runtime.clock.advance(90);
    await expect(policy.run(() => 1)).resolves.toBe(1);
  });

  it.each([
    { initial: 0 },
    { min: 30 },
    { max: 3 },
    { algorithm: 'vegas' },
    { tolerance: 0.5 },
    { decrease: 1 },
    { window: 0 },
    { queue: 1 },
  ])('refuses %o', (options) => {
    expect(() => limited(options as never)).toThrow(InvalidOptionsError);
  });
});
