import { describe, expect, it, vi } from 'vitest';
import { withCallContext } from '../../src/core/ambient.ts';
import { BulkheadFullError, InvalidOptionsError, TimeoutError } from '../../src/core/errors.ts';
import { Call } from '../../src/core/policy.ts';
import { timeout } from '../../src/resilience/timeout.ts';
import { deferred, never, smallBreaker } from './support.ts';

describe('CircuitBreaker', () => {
  describe('rule 3: ignored, then failure, then success', () => {
    class NotFound extends Error {}
    class Cancelled extends Error {}

    it('judges errors in this order', async () => {
      const { breaker, fail } = smallBreaker({
        minimumCalls: 4,
        ignore: (error) => error instanceof Cancelled,
        isFailure: (error) => !(error instanceof NotFound),
      });
      for (const error of [new NotFound(), new Cancelled(), new Error('down')]) {
        expect(await fail(error)).toBe(error);
      }
      expect(breaker.metrics.totals).toEqual({ succeeded: 1, failed: 1, slow: 0, ignored: 1, rejected: 0 });
      expect(breaker.metrics.window).toMatchObject({ calls: 2, failures: 1, failureRate: 0.5 });
    });

    it('judges results', async () => {
      const { breaker, ok } = smallBreaker({ isFailureResult: (result) => result === 'ok' });
      await expect(ok()).resolves.toBe('ok');
      await ok();
      expect(breaker.state).toBe('open');
      await expect(ok()).rejects.toMatchObject({ cause: 'ok' });
    });

    it.each(['ignore', 'isFailure', 'isFailureResult'] as const)(
      'a %s that throws makes it a failure, and the caller gets what the work gave',
      async (predicate) => {
        const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
        const broken = (): never => {
          throw new Error('a bug');
        };
        const { breaker, ok, fail } = smallBreaker({ isFailure: () => false, [predicate]: broken });
        if (predicate === 'isFailureResult') expect(await ok()).toBe('ok');
        else expect(await fail('as it was')).toBe('as it was');
        expect(breaker.metrics.totals).toMatchObject({ succeeded: 0, failed: 1, ignored: 0 });
        expect(warn).toHaveBeenCalledOnce();
        warn.mockRestore();
      },
    );

    it('a caller that gives up is ignored, whether or not the work listens', async () => {
      const { breaker } = smallBreaker();
      const caller = new AbortController();
      const listening = breaker.run(
        ({ signal }) =>
          new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('stopped')))),
        { signal: caller.signal },
      );
      const deaf = breaker.run(never, { signal: caller.signal });
      caller.abort(new Error('gone'));
      await expect(listening).rejects.toThrow('gone');
      await expect(deaf).rejects.toThrow('gone');
      expect(breaker.metrics.totals).toMatchObject({ failed: 0, ignored: 2 });
    });

    it('a caller that had given up before is ignored, and the work is not begun', async () => {
      const { breaker } = smallBreaker();
      const work = vi.fn();
      await expect(breaker.run(work, { signal: AbortSignal.abort(new Error('gone')) })).rejects.toThrow(
        'gone',
      );
      const context = new Call(AbortSignal.abort(new Error('gone')), 1, undefined);
      await expect(breaker.run(work, context)).rejects.toThrow('gone');
      expect(work).not.toHaveBeenCalled();
      expect(breaker.metrics.totals).toMatchObject({ succeeded: 0, failed: 0, ignored: 2 });
    });

    it('our timeout is a failure: its own, one inside it, and one around it, also of work that does not listen', async () => {
      const { breaker, runtime } = smallBreaker({ minimumCalls: 4 });
      const limit = timeout('1s', { runtime });
      const calls = [
        breaker.run(never, { timeout: '1s' }),
        breaker.run((context) => limit.run(never, context)),
        limit.run((context) => breaker.run(never, context)),
      ].map((call) => expect(call).rejects.toBeInstanceOf(TimeoutError));
      await runtime.clock.advance(1_000);
      await Promise.all(calls);
      expect(breaker.metrics.totals).toMatchObject({ failed: 3, ignored: 0 });
      expect(runtime.clock.pending).toBe(0);
    });

    it('a bad timeout rejects, and costs no permit', async () => {
      const { breaker, runtime, open, ok } = smallBreaker();
      await open();
      await runtime.clock.advance(1_000);
      for (let call = 0; call < 5; call += 1) {
        await expect(breaker.run(ok, { timeout: 'soon' as never })).rejects.toBeInstanceOf(
          InvalidOptionsError,
        );
      }
      await ok();
      await ok();
      expect(breaker.state).toBe('closed');
    });

    it('inherits the ambient context of the request that it serves', async () => {
      const { breaker } = smallBreaker();
      const caller = new AbortController();
      const call = withCallContext(new Call(caller.signal, 1, undefined), () => breaker.run(never));
      caller.abort(new Error('gone'));
      await expect(call).rejects.toThrow('gone');
      expect(breaker.metrics.totals.ignored).toBe(1);
    });
  });

  it('tells duration and slowness of each call', async () => {
    const { breaker, runtime } = smallBreaker({ slowThreshold: 50, minimumCalls: 4 });
    const told: object[] = [];
    for (const event of ['succeeded', 'failed', 'ignored'] as const)
      breaker.on(event, (e) => told.push({ event, ...e }));
    const take = async (duration: number, outcome: () => unknown): Promise<void> => {
      const gate = deferred();
      const call = breaker.run(() => gate.promise.then(outcome)).catch(() => {});
      runtime.clock.advanceSync(duration);
      gate.resolve();
      await call;
    };
    const down = new Error('down');
    const full = new BulkheadFullError('pool', 1, 0);
    await take(10, () => 'ok');
    await take(60, () => 'ok');
    await take(70, () => Promise.reject(down));
    await take(80, () => Promise.reject(full));
    expect(told).toEqual([
      { event: 'succeeded', duration: 10, slow: false },
      { event: 'succeeded', duration: 60, slow: true },
      { event: 'failed', duration: 70, slow: true, error: down },
      { event: 'ignored', duration: 80, error: full },
    ]);
  });
});
