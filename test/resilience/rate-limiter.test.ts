import { describe, expect, it, vi } from 'vitest';
import { memoryRateStore } from '../../src/adapters/memory/rate-store.ts';
import { InvalidOptionsError, RateLimitedError } from '../../src/core/errors.ts';
import type { RateStore } from '../../src/ports/rate-store.ts';
import { RateLimiter, type RateLimiterOptions } from '../../src/resilience/rate-limiter.ts';
import { retry } from '../../src/resilience/retry.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { flush, never } from './support.ts';

function limiterOf(options: Partial<RateLimiterOptions> = {}) {
  const runtime = testRuntime();
  return { runtime, limiter: new RateLimiter({ name: 'api', limit: 2, per: '1s', runtime, ...options }) };
}

describe('RateLimiter', () => {
  it('lets a burst pass, then calls at the rate, and says when the next may come', async () => {
    const { runtime, limiter } = limiterOf();
    await expect(limiter.run(() => 1)).resolves.toBe(1);
    await expect(limiter.run(() => 2)).resolves.toBe(2);
    await expect(limiter.run(() => 3)).rejects.toMatchObject({
      code: 'HOLDFAST_RATE_LIMITED',
      retryAfter: 500,
    });
    runtime.clock.advanceSync(499);
    await expect(limiter.take()).resolves.toMatchObject({ allowed: false, retryAfter: 1 });
    runtime.clock.advanceSync(1);
    await expect(limiter.take()).resolves.toMatchObject({ allowed: true, remaining: 0 });
  });

  it('does not make a call that it refuses, and tells of it', async () => {
    const { limiter } = limiterOf({ burst: 1 });
    const work = vi.fn();
    const told = vi.fn();
    limiter.on('rejected', told);
    await limiter.run(work, { key: 'a' });
    const error: Error = await limiter.run(work, { key: 'a' }).then(
      () => expect.unreachable(),
      (caught) => caught,
    );
    expect(error).toBeInstanceOf(RateLimitedError);
    expect(error.stack).not.toContain('\n    at ');
    expect(work).toHaveBeenCalledOnce();
    expect(told).toHaveBeenCalledExactlyOnceWith({ key: 'a', retryAfter: 500 });
  });

  it('keeps keys apart, and forgets those idle longest beyond its capacity', async () => {
    const { limiter } = limiterOf({ limit: 1, capacity: 2 });
    const allowed = (...keys: string[]): Promise<boolean[]> =>
      Promise.all(keys.map(async (key) => (await limiter.take(key)).allowed));
    expect(await allowed('a', 'b', 'a')).toEqual([true, true, false]);
    await limiter.take('c');
    expect(await allowed('a', 'b')).toEqual([false, true]);
  });

  it('charges a cost, and refuses one that could never be allowed', async () => {
    const { limiter } = limiterOf({ limit: 10, burst: 4 });
    await expect(limiter.take('a', 3)).resolves.toMatchObject({ allowed: true, remaining: 1 });
    await expect(limiter.take('a', 2)).resolves.toMatchObject({ allowed: false, retryAfter: 100 });
    for (const cost of [0, -1, 5, Number.NaN, Number.POSITIVE_INFINITY]) {
      await expect(limiter.take('a', cost)).rejects.toBeInstanceOf(InvalidOptionsError);
      await expect(limiter.run(() => {}, { cost })).rejects.toBeInstanceOf(InvalidOptionsError);
    }
  });

  it('allows one call at once when the limit is below one per period', async () => {
    const { runtime, limiter } = limiterOf({ limit: 0.5 });
    await expect(limiter.take()).resolves.toMatchObject({ allowed: true });
    await expect(limiter.take()).resolves.toMatchObject({ allowed: false, retryAfter: 2_000 });
    runtime.clock.advanceSync(2_000);
    await expect(limiter.take()).resolves.toMatchObject({ allowed: true });
  });

  it('under a retry, waits as long as it asks for', async () => {
    const { runtime, limiter } = limiterOf();
    const patient = retry({ backoff: 0, runtime });
    const at: number[] = [];
    for (let call = 0; call < 3; call += 1) {
      await runtime.clock.settle(
        patient.run((context) => limiter.run(() => void at.push(runtime.clock.now()), context)),
      );
    }
    expect(at).toEqual([0, 0, 500]);
  });

  describe('over a store', () => {
    const down: RateStore = { name: 'down', take: () => Promise.reject(new Error('store is down')) };
    const allowed = async (limiter: RateLimiter, calls: number): Promise<number> => {
      const results = await Promise.allSettled(Array.from({ length: calls }, () => limiter.run(() => 1)));
      return results.filter(({ status }) => status === 'fulfilled').length;
    };

    it('counts with all that share it, apart from limiters of other names', async () => {
      const runtime = testRuntime();
      const store = memoryRateStore({ runtime });
      const [one, two] = [limiterOf({ store, runtime }).limiter, limiterOf({ store, runtime }).limiter];
      expect([await allowed(one, 1), await allowed(two, 5)]).toEqual([1, 1]);
      expect(await allowed(limiterOf({ store, runtime, name: 'other' }).limiter, 5)).toBe(2);
    });

    it('that fails: limits within the process, and tells', async () => {
      const { limiter } = limiterOf({ store: down });
      const told = vi.fn();
      limiter.on('storeFailed', told);
      expect(await allowed(limiter, 5)).toBe(2);
      expect(told).toHaveBeenCalledTimes(5);
      expect(told).toHaveBeenCalledWith({ key: '', error: new Error('store is down') });
    });

    it('that fails: allows all, or refuses all, where that is asked for', async () => {
      expect(await allowed(limiterOf({ store: down, onStoreError: 'allow' }).limiter, 5)).toBe(5);
      const { limiter } = limiterOf({ store: down, onStoreError: 'refuse' });
      await expect(limiter.run(() => 1)).rejects.toMatchObject({
        code: 'HOLDFAST_RATE_LIMITED',
        retryAfter: 1_000,
      });
    });

    it('that throws at once is a store that fails', async () => {
      const store: RateStore = { name: 'broken', take: () => JSON.parse('{') };
      expect(await allowed(limiterOf({ store }).limiter, 5)).toBe(2);
    });

    it('that hangs is waited for 250 ms', async () => {
      const { limiter, runtime } = limiterOf({ store: { name: 'slow', take: never } });
      const call = limiter.run(() => 1);
      await expect(runtime.clock.settle(call)).resolves.toBe(1);
      expect([runtime.clock.now(), runtime.clock.pending]).toEqual([250, 0]);
    });

    it('does not make the call of a caller who left meanwhile', async () => {
      const { limiter } = limiterOf({ store: down });
      const caller = new AbortController();
      const work = vi.fn();
      const call = limiter.run(work, { signal: caller.signal });
      caller.abort(new Error('gone'));
      await expect(call).rejects.toThrow('gone');
      await flush();
      expect(work).not.toHaveBeenCalled();
    });
  });

  it.each([
    { store: {} },
    { storeTimeout: 0 },
    { onStoreError: 'ignore' },
    { limit: 0 },
    { limit: -1 },
    { per: 0 },
    { burst: 0.5 },
    { capacity: 0 },
    { every: '1s' },
  ])('refuses %o', (options) => {
    expect(() => limiterOf(options as never)).toThrow(InvalidOptionsError);
  });
});
