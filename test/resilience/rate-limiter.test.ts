import { describe, expect, it, vi } from 'vitest';
import { InvalidOptionsError, RateLimitedError } from '../../src/core/errors.ts';
import { RateLimiter, type RateLimiterOptions } from '../../src/resilience/rate-limiter.ts';
import { retry } from '../../src/resilience/retry.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';

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
    expect(limiter.take()).toMatchObject({ allowed: false, retryAfter: 1 });
    runtime.clock.advanceSync(1);
    expect(limiter.take()).toMatchObject({ allowed: true, remaining: 0 });
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

  it('keeps keys apart, and forgets those idle longest beyond its capacity', () => {
    const { limiter } = limiterOf({ limit: 1, capacity: 2 });
    expect(['a', 'b', 'a'].map((key) => limiter.take(key).allowed)).toEqual([true, true, false]);
    limiter.take('c');
    expect(['a', 'b'].map((key) => limiter.take(key).allowed)).toEqual([false, true]);
  });

  it('charges a cost, and refuses one that could never be allowed', async () => {
    const { limiter } = limiterOf({ limit: 10, burst: 4 });
    expect(limiter.take('a', 3)).toMatchObject({ allowed: true, remaining: 1 });
    expect(limiter.take('a', 2)).toMatchObject({ allowed: false, retryAfter: 100 });
    for (const cost of [0, -1, 5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => limiter.take('a', cost)).toThrow(InvalidOptionsError);
      await expect(limiter.run(() => {}, { cost })).rejects.toBeInstanceOf(InvalidOptionsError);
    }
  });

  it('allows one call at once when the limit is below one per period', () => {
    const { runtime, limiter } = limiterOf({ limit: 0.5 });
    expect(limiter.take()).toMatchObject({ allowed: true });
    expect(limiter.take()).toMatchObject({ allowed: false, retryAfter: 2_000 });
    runtime.clock.advanceSync(2_000);
    expect(limiter.take()).toMatchObject({ allowed: true });
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

  it.each([{ limit: 0 }, { limit: -1 }, { per: 0 }, { burst: 0.5 }, { capacity: 0 }, { every: '1s' }])(
    'refuses %o',
    (options) => {
      expect(() => limiterOf(options as never)).toThrow(InvalidOptionsError);
    },
  );
});
