/** Where holdfast/opossum is meant to differ from opossum, and what it refuses. */
import { describe, expect, it } from 'vitest';
import { InvalidOptionsError } from '../../src/core/errors.ts';
import { CircuitBreaker } from '../../src/opossum/circuit-breaker.ts';
import type { CircuitBreakerOptions } from '../../src/opossum/options.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { deferred, flush, never } from '../resilience/support.ts';

const down = new Error('down');

function stage(options: CircuitBreakerOptions<[string]> = {}) {
  const runtime = testRuntime();
  const breaker = new CircuitBreaker(
    async (what: string): Promise<string> => {
      if (what === 'ok') return 'fine';
      if (what === 'hang') return never();
      throw down;
    },
    { runtime, name: 'test', ...options },
  );
  const fire = (what: string): Promise<unknown> => breaker.fire(what).catch((error: unknown) => error);
  return { runtime, breaker, fire };
}

describe('holdfast/opossum, where opossum has a defect', () => {
  it('does not open because many calls are under way', async () => {
    const { breaker, fire } = stage({ volumeThreshold: 5 });
    for (let i = 0; i < 100; i += 1) void breaker.fire('hang');
    for (let i = 0; i < 4; i += 1) await fire('fail');
    expect(breaker.closed).toBe(true);
    await fire('fail');
    expect(breaker.opened).toBe(true);
  });

  it('does not open because its own slots are full', async () => {
    const { breaker, fire } = stage({ capacity: 1 });
    void fire('hang');
    for (let i = 0; i < 10; i += 1) expect(await fire('ok')).toMatchObject({ code: 'ESEMLOCKED' });
    expect(breaker.closed).toBe(true);
    expect(breaker.stats.semaphoreRejections).toBe(10);
  });

  it('holds a slot until the work ends, not until its time limit', async () => {
    const runtime = testRuntime();
    const works = [deferred<string>(), deferred<string>()];
    let calls = 0;
    const breaker = new CircuitBreaker(() => works[calls++]!.promise, {
      capacity: 1,
      timeout: 100,
      errorThresholdPercentage: 100,
      runtime,
    });
    const successes: unknown[] = [];
    breaker.on('success', (result) => successes.push(result));
    const first = expect(breaker.fire()).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    await runtime.clock.advance(100);
    await first;
    await expect(breaker.fire()).rejects.toMatchObject({ code: 'ESEMLOCKED' });
    works[0]!.resolve('late');
    await flush();
    works[1]!.resolve('in time');
    await expect(breaker.fire()).resolves.toBe('in time');
    expect(successes).toEqual(['in time']);
  });

  it('is not closed by a late success from before it opened', async () => {
    const runtime = testRuntime();
    const slow = deferred<string>();
    const breaker = new CircuitBreaker(
      (what: string) => (what === 'slow' ? slow.promise : Promise.reject(down)),
      {
        timeout: false,
        resetTimeout: 1_000,
        runtime,
      },
    );
    const late = breaker.fire('slow');
    await breaker.fire('fail').catch(() => {});
    await breaker.fire('fail').catch(() => {});
    await runtime.clock.advance(1_000);
    expect(breaker.halfOpen).toBe(true);
    slow.resolve('late');
    expect(await late).toBe('late');
    expect(breaker.halfOpen).toBe(true);
  });

  it('is not stuck half-open behind a probe that hangs, even without a time limit', async () => {
    const { runtime, breaker, fire } = stage({ timeout: false, resetTimeout: 1_000 });
    await fire('fail');
    await runtime.clock.advance(1_000);
    void fire('hang');
    await runtime.clock.advance(60_000);
    expect(await fire('ok')).toBe('fine');
    expect(breaker.closed).toBe(true);
  });

  it('forgets the failures of before when it closes', async () => {
    const { runtime, breaker, fire } = stage({ resetTimeout: 100, volumeThreshold: 3 });
    for (let i = 0; i < 3; i += 1) await fire('fail');
    await runtime.clock.advance(100);
    await fire('ok');
    await fire('fail');
    expect(breaker.closed).toBe(true);
  });

  it('decides when a success makes up the volume, too', async () => {
    const { breaker, fire } = stage({ volumeThreshold: 3 });
    for (const what of ['fail', 'fail', 'ok']) await fire(what);
    expect(breaker.opened).toBe(true);
  });

  it('does not count the calls that it let pass while disabled', async () => {
    const { breaker, fire } = stage({ enabled: false });
    for (let i = 0; i < 9; i += 1) await fire('ok');
    breaker.enable();
    await fire('fail');
    expect(breaker.opened).toBe(true);
  });

  it('survives a listener that throws, and an action that gives nothing', async () => {
    const breaker = new CircuitBreaker(() => undefined, { runtime: testRuntime() });
    breaker.on('success', () => {
      throw new Error('listener');
    });
    await expect(breaker.fire()).resolves.toBeUndefined();
    expect(breaker.stats).toMatchObject({ successes: 1, failures: 0 });
  });

  it('leaves no timer when idle, and one while it is open', async () => {
    const { runtime, breaker, fire } = stage();
    await fire('ok');
    expect(runtime.clock.pending).toBe(0);
    await fire('fail');
    breaker.open();
    expect(runtime.clock.pending).toBe(1);
    breaker.close();
    expect(runtime.clock.pending).toBe(0);
    breaker.open();
    breaker.shutdown();
    expect(runtime.clock.pending).toBe(0);
  });
});

describe('holdfast/opossum', () => {
  it('checks health now and then, opens when it is bad, and stops when shut down', async () => {
    const { runtime, breaker } = stage();
    const failures: Error[] = [];
    breaker.on('healthCheckFailed', (error) => failures.push(error));
    let healthy = true;
    breaker.healthCheck(() => (healthy ? Promise.resolve() : Promise.reject(down)), 1_000);
    await runtime.clock.advance(2_500);
    expect(breaker.closed).toBe(true);
    healthy = false;
    await runtime.clock.advance(500);
    expect([breaker.opened, failures]).toEqual([true, [down]]);
    breaker.shutdown();
    expect(runtime.clock.pending).toBe(0);
    expect(() => breaker.healthCheck(() => {}, Number.NaN)).toThrow(TypeError);
    expect(() => breaker.healthCheck('ping' as never)).toThrow('must be a function');
  });

  it('takes another breaker as a fallback, and knows its own errors', async () => {
    const { breaker } = stage();
    const other = new CircuitBreaker(async (what: string) => `other ${what}`, { runtime: testRuntime() });
    breaker.fallback(other);
    await expect(breaker.fire('fail')).resolves.toBe('other fail');
    const full = stage();
    full.breaker.open();
    const error = await full.fire('ok');
    expect(CircuitBreaker.isOurError(error)).toBe(true);
    expect(CircuitBreaker.isOurError(down)).toBe(false);
  });

  it('calls with a context, and protects a value', async () => {
    const breaker = new CircuitBreaker(
      function (this: unknown, a: number) {
        return [this, a];
      },
      { runtime: testRuntime() },
    );
    expect(await breaker.call('me', 1)).toEqual(['me', 1]);
    expect(await new CircuitBreaker('value' as never).fire()).toBe('value');
    expect(() => new CircuitBreaker(undefined as never)).toThrow(TypeError);
  });

  it('measures latency, and tells -1 when it does not', async () => {
    const { runtime, breaker } = stage();
    const work = breaker.fire('ok');
    await runtime.clock.advance(0);
    await work;
    expect(breaker.stats).toMatchObject({ latencyMean: 0, percentiles: { 0.5: 0, 1: 0 } });
    expect(stage({ rollingPercentilesEnabled: false }).breaker.stats).toMatchObject({
      latencyMean: -1,
      percentiles: { 0.99: -1 },
    });
    expect(JSON.parse(JSON.stringify(breaker))).toMatchObject({
      state: { name: 'test', closed: true, open: false, halfOpen: false, enabled: true, shutdown: false },
      status: { fires: 1, successes: 1 },
    });
  });

  it.each([
    ['cache', true, 'keep a cache around fire()'],
    ['coalesce', true, 'coalesce()'],
    ['abortController', new AbortController(), 'a signal of its own'],
    ['state', {}, 'exports and imports its state'],
    ['maxFailures', 3, 'errorThresholdPercentage'],
    ['resetTimout', 1, 'accepts one of '],
    ['timeout', -1, '≥ 0'],
  ])('refuses the option %s, and says what to do', (option, value, advice) => {
    const make = () => new CircuitBreaker(async () => 1, { [option]: value });
    expect(make).toThrow(InvalidOptionsError);
    expect(make).toThrow(advice);
  });

  it('takes unsupported options that are off', () => {
    expect(
      new CircuitBreaker(async () => 1, {
        cache: false,
        coalesce: undefined,
        enableSnapshots: false,
      } as object).closed,
    ).toBe(true);
  });
});
