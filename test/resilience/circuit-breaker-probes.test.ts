import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import type { Clock } from '../../src/core/clock.ts';
import { CircuitOpenError, TimeoutError } from '../../src/core/errors.ts';
import { ManualClock } from '../../src/testing/manual-clock.ts';
import { flush, never, smallBreaker } from './support.ts';

describe('CircuitBreaker', () => {
  describe('rule 14: the lease of a probe', () => {
    it('aborts the probe, rejects its call and opens the breaker', async () => {
      const { breaker, runtime, open } = smallBreaker();
      await open();
      runtime.clock.advanceSync(1_000);
      let signal: AbortSignal | undefined;
      let deadline: number | undefined;
      const probe = expect(
        breaker.run((context) => {
          ({ signal, deadline } = context);
          return never();
        }),
      ).rejects.toBeInstanceOf(TimeoutError);
      const reasons: string[] = [];
      breaker.on('opened', ({ reason }) => reasons.push(reason));
      expect(deadline).toBe(11_000);
      await runtime.clock.advance(9_999);
      expect(breaker.state).toBe('half-open');
      await runtime.clock.advance(1);
      await probe;
      expect(signal?.aborted).toBe(true);
      expect(breaker.state).toBe('open');
      expect(reasons).toEqual(['probe-expired']);
      expect(runtime.clock.pending).toBe(0);
    });

    it('is over when the probe settles, and leaves no listener on the caller', async () => {
      const { breaker, runtime, open } = smallBreaker();
      await open();
      runtime.clock.advanceSync(1_000);
      const caller = new AbortController();
      await breaker.run(() => 'ok', { signal: caller.signal });
      expect(runtime.clock.pending).toBe(0);
      expect(getEventListeners(caller.signal, 'abort')).toHaveLength(0);
    });

    it('does not hold the process, unlike the timer of somebody who waits', async () => {
      const manual = new ManualClock();
      const held: boolean[] = [];
      const clock: Clock = {
        now: () => manual.now(),
        wallTime: () => manual.wallTime(),
        schedule: (delay, callback, options) => {
          held.push(options?.hold ?? false);
          return manual.schedule(delay, callback, options);
        },
      };
      const { breaker, open } = smallBreaker({ runtime: { clock } });
      await open();
      manual.advanceSync(1_000);
      await breaker.run(() => 'ok');
      expect(held).toEqual([false]);
    });

    it('gives the permit back when the caller of a probe leaves', async () => {
      const { breaker, runtime, open, ok } = smallBreaker();
      await open();
      runtime.clock.advanceSync(1_000);
      for (let call = 0; call < 10; call += 1) {
        const caller = new AbortController();
        const probe = breaker.run(never, { signal: caller.signal });
        caller.abort(new Error('gone'));
        await expect(probe).rejects.toThrow('gone');
      }
      await ok();
      await ok();
      expect(breaker.state).toBe('closed');
      expect(runtime.clock.pending).toBe(0);
    });
  });

  describe('acquire: an outcome that is told by hand', () => {
    it('records the first outcome only', async () => {
      const { breaker } = smallBreaker({ slowThreshold: 50 });
      const token = breaker.acquire();
      expect(token).toMatchObject({ isProbe: false, generation: 0, startedAt: 0 });
      expect(token.signal.aborted).toBe(false);
      token.success(60);
      token.failure(new Error('late'));
      token.ignore();
      expect(breaker.metrics.totals).toEqual({ succeeded: 1, failed: 0, slow: 1, ignored: 0, rejected: 0 });
    });

    it('throws the rejection when the call must not be made', async () => {
      const { breaker, open } = smallBreaker();
      await open();
      expect(() => breaker.acquire()).toThrow(CircuitOpenError);
    });

    it('takes what is told for true, without asking the predicates', () => {
      const { breaker } = smallBreaker({ ignore: () => true });
      breaker.acquire().failure(new Error('broke off in the body'));
      breaker.acquire().failure(new Error('broke off in the body'));
      expect(breaker.state).toBe('open');
    });

    it('a probe that is forgotten is ended by its lease, and its signal says so', async () => {
      const { breaker, runtime, open } = smallBreaker();
      await open();
      runtime.clock.advanceSync(1_000);
      const read = breaker.acquire();
      const unread = breaker.acquire();
      const { signal } = read;
      expect(read.isProbe).toBe(true);
      runtime.clock.advanceSync(10_000);
      expect(breaker.state).toBe('open');
      expect(signal.reason).toBeInstanceOf(TimeoutError);
      expect(unread.signal.aborted).toBe(true);
      read.success();
      expect(breaker.state).toBe('open');
      await flush();
    });
  });
});
