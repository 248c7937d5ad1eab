import { describe, expect, it, vi } from 'vitest';
import { TimeoutError } from '../../src/core/errors.ts';
import { CircuitBreaker } from '../../src/resilience/circuit-breaker.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { never, smallBreaker } from './support.ts';

describe('CircuitBreaker', () => {
  it('rule 9: no timer while closed or open; reading the state is enough to go half-open', async () => {
    const { breaker, runtime, open } = smallBreaker();
    await open();
    expect(runtime.clock.pending).toBe(0);
    runtime.clock.advanceSync(1_000);
    expect(breaker.metrics).toMatchObject({ state: 'half-open', retryAfter: 0, openings: 1 });
    expect(runtime.clock.pending).toBe(0);
  });

  it('rule 10: a wait that a broken backoff gives is replaced, and reported', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    for (const openFor of [
      () => Number.NaN,
      () => -1,
      () => 'soon' as never,
      (): never => never() as never,
    ]) {
      const { breaker, open } = smallBreaker({ openFor });
      await open();
      expect(breaker.metrics.retryAfter).toBe(5_000);
    }
    expect(warn).toHaveBeenCalledTimes(4);
    warn.mockRestore();
  });

  it.each([
    ['seconds', (_now: number) => ({ headers: { 'retry-after': '30' } }), 30_000],
    [
      'a date',
      (now: number) => ({ headers: { 'retry-after': new Date(now + 20_000).toUTCString() } }),
      20_000,
    ],
    [
      'a response',
      (_now: number) => ({ response: { headers: new Headers({ 'retry-after': '40' }) } }),
      40_000,
    ],
    ['too much', (_now: number) => ({ headers: { 'retry-after': '86400' } }), 60_000],
    ['nonsense', (_now: number) => ({ headers: { 'retry-after': 'soon' } }), 1_000],
  ])('rule 10: a Retry-After header lengthens the wait: %s', async (_what, error, wait) => {
    const runtime = testRuntime();
    const wallTime = Math.ceil(runtime.clock.wallTime() / 1_000) * 1_000;
    runtime.clock.advanceSync(wallTime - runtime.clock.wallTime());
    const breaker = new CircuitBreaker({ name: 'a', consecutiveFailures: 1, openFor: '1s', runtime });
    const asked = Object.assign(new Error('busy'), error(wallTime));
    await expect(breaker.run(() => Promise.reject(asked))).rejects.toBe(asked);
    expect(breaker.metrics.retryAfter).toBe(wait);
  });

  it('rule 10: waits follow the options of exponential', async () => {
    const { breaker, runtime, open, fail } = smallBreaker({
      openFor: { base: 1_000, factor: 3, max: 5_000, jitter: 'none' },
      halfOpen: { permits: 1 },
    });
    const waits: number[] = [];
    breaker.on('opened', ({ wait }) => waits.push(wait));
    await open();
    for (const wait of [1_000, 3_000]) {
      runtime.clock.advanceSync(wait);
      await fail();
    }
    expect(waits).toEqual([1_000, 3_000, 5_000]);
  });

  it.each([-3_600_000, 3_600_000])(
    'rule 17: window, wait and lease go by the monotonic clock of the runtime; a wall clock that jumps by %i ms changes none',
    async (jump) => {
      const { breaker, runtime, fail, open } = smallBreaker({ window: 10_000, minimumCalls: 4 });
      const { clock } = runtime;
      for (let call = 0; call < 3; call += 1) await fail();
      clock.jumpWallTime(jump);
      await clock.advance(8_000);
      expect(breaker.metrics.window.calls).toBe(3);
      await clock.advance(2_000);
      expect(breaker.metrics.window.calls).toBe(0);
      await open();
      clock.jumpWallTime(jump);
      await clock.advance(999);
      expect(breaker.state).toBe('open');
      await clock.advance(1);
      const probe = breaker.run(never).catch((error: unknown) => error);
      clock.jumpWallTime(jump);
      await clock.advance(9_999);
      expect(breaker.state).toBe('half-open');
      await clock.advance(1);
      expect(breaker.state).toBe('open');
      expect(await probe).toBeInstanceOf(TimeoutError);
    },
  );
});
