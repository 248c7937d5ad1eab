import { getEventListeners } from 'node:events';
import { describe, expect, it, vi } from 'vitest';
import { InvalidOptionsError, NoInstanceError, TimeoutError } from '../../src/core/errors.ts';
import { pipeline } from '../../src/resilience/pipeline.ts';
import { retry } from '../../src/resilience/retry.ts';
import { timeout } from '../../src/resilience/timeout.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { down, failing, patient } from './retry-stage.ts';
import { never } from './support.ts';

describe('retry', () => {
  it('tries again after each wait until it succeeds', async () => {
    const { runtime, policy, told } = patient();
    const attempts: number[] = [];
    const at: number[] = [];
    const work = failing(2);
    const call = policy.run(({ attempt }) => {
      attempts.push(attempt);
      at.push(runtime.clock.now());
      return work();
    });
    await expect(runtime.clock.settle(call)).resolves.toBe('ok');
    expect(attempts).toEqual([1, 2, 3]);
    expect(at).toEqual([0, 100, 300]);
    expect(told).toMatchObject([
      ['retried', { attempt: 1, wait: 100 }],
      ['retried', { attempt: 2, wait: 200 }],
      ['recovered', { attempt: 3 }],
    ]);
    expect(runtime.clock.pending).toBe(0);
  });

  it('gives the last error when the attempts are used up', async () => {
    const { runtime, policy, told } = patient();
    let count = 0;
    const call = policy.run(() => {
      count += 1;
      throw new Error(`attempt ${count}`);
    });
    await expect(runtime.clock.settle(call)).rejects.toThrow('attempt 3');
    expect(count).toBe(3);
    expect(told.at(-1)).toMatchObject(['gaveUp', { attempt: 3, reason: 'attempts-exhausted' }]);
  });

  it('takes no way around when the first attempt succeeds: no event, no timer', async () => {
    const { runtime, policy, told } = patient();
    await expect(policy.run(() => 42)).resolves.toBe(42);
    expect(told).toEqual([]);
    expect(runtime.clock.pending).toBe(0);
  });

  it('tries only once with attempts: 1', async () => {
    const { policy, told } = patient({ attempts: 1 });
    await expect(policy.run(failing(1))).rejects.toThrow('down');
    expect(told).toMatchObject([['gaveUp', { attempt: 1, reason: 'attempts-exhausted' }]]);
  });

  it('never stops with attempts: Infinity', async () => {
    const { runtime, policy } = patient({ attempts: Number.POSITIVE_INFINITY, backoff: 10 });
    await expect(runtime.clock.settle(policy.run(failing(50)))).resolves.toBe('ok');
    expect(runtime.clock.now()).toBe(500);
  });

  // p-retry by itself gives up at a TypeError, replaces what is no Error, and unwraps its own AbortError.
  it.each([
    new TypeError('x is not a function'),
    'a string',
    undefined,
    null,
    { status: 503 },
    Object.assign(new Error('abort'), { name: 'AbortError', originalError: new Error('other') }),
  ])('tries again after %o, and gives it back as it was', async (error) => {
    const { runtime, policy } = patient();
    await expect(runtime.clock.settle(policy.run(failing(1, error)))).resolves.toBe('ok');
    const caught = await runtime.clock.settle(
      policy.run(failing(9, error)).then(
        () => expect.unreachable(),
        (thrown) => ({ thrown }),
      ),
    );
    expect(caught.thrown).toBe(error);
  });

  describe('gives up at once', () => {
    it('when the error says that it is not retryable', async () => {
      const { policy, told } = patient();
      const error = new NoInstanceError('billing', 'none');
      Object.defineProperty(error, 'retryable', { value: false });
      await expect(policy.run(failing(1, error))).rejects.toBe(error);
      expect(told).toMatchObject([['gaveUp', { attempt: 1, reason: 'not-retryable' }]]);
    });

    it('when a later error says so', async () => {
      const { runtime, policy, told } = patient({ attempts: 5 });
      let count = 0;
      const call = policy.run(() => {
        count += 1;
        throw Object.assign(new Error('down'), { retryable: count < 2 });
      });
      await expect(runtime.clock.settle(call)).rejects.toThrow('down');
      expect(count).toBe(2);
      expect(told.at(-1)).toMatchObject(['gaveUp', { attempt: 2, reason: 'not-retryable' }]);
    });

    it('when the predicate says so, which is told the attempt', async () => {
      const retryIf = vi.fn(
        (error: unknown, attempt: number) => (error as Error).message === 'down' && attempt < 2,
      );
      const { runtime, policy } = patient({ attempts: 5, retryIf });
      await expect(policy.run(failing(9, new Error('gone')))).rejects.toThrow('gone');
      await expect(runtime.clock.settle(policy.run(failing(9)))).rejects.toThrow('down');
      expect(retryIf.mock.calls.map(([, attempt]) => attempt)).toEqual([1, 1, 2]);
    });

    it('when the predicate throws, with the error of the work', async () => {
      const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
      const { policy } = patient({
        retryIf: () => {
          throw new Error('a bug');
        },
      });
      await expect(policy.run(failing(1))).rejects.toThrow('down');
      expect(warn).toHaveBeenCalledOnce();
      warn.mockRestore();
    });

    it('when the next attempt would begin after the deadline of the call', async () => {
      const { runtime, policy, told } = patient();
      const call = expect(policy.run(failing(9), { deadline: 250 })).rejects.toThrow('down');
      await runtime.clock.advance(100);
      await call;
      expect(told.at(-1)).toMatchObject(['gaveUp', { attempt: 2, reason: 'deadline-too-near' }]);
      expect(runtime.clock.pending).toBe(0);
    });
  });

  it('hands the wait before to the backoff, for decorrelated jitter', async () => {
    const asked: unknown[] = [];
    const { runtime, policy } = patient({
      backoff: (attempt, _random, previous) => {
        asked.push([attempt, previous]);
        return attempt * 10;
      },
    });
    await runtime.clock.settle(policy.run(failing(9)).catch(() => {}));
    expect(asked).toEqual([
      [1, undefined],
      [2, 10],
    ]);
  });

  it('a caller that gives up while it sleeps ends it at once; the work is not called again (cockatiel)', async () => {
    const { runtime, policy } = patient();
    const caller = new AbortController();
    const work = vi.fn(failing(9));
    const call = policy.run(work, { signal: caller.signal });
    await runtime.clock.advance(50);
    caller.abort(new Error('gone'));
    await expect(call).rejects.toThrow('gone');
    await runtime.clock.advance(60_000);
    expect(work).toHaveBeenCalledTimes(1);
    expect(runtime.clock.pending).toBe(0);
    expect(getEventListeners(caller.signal, 'abort')).toHaveLength(0);
  });

  it('does not sleep past the limit of a timeout around it', async () => {
    const { runtime, policy } = patient();
    const work = vi.fn(failing(9));
    const call = expect(pipeline(timeout(150, { runtime }), policy).run(work)).rejects.toBe(down);
    await runtime.clock.advance(100);
    await call;
    expect(work).toHaveBeenCalledTimes(2);
    expect(runtime.clock.pending).toBe(0);
  });

  it('does not try again for a caller that gave up during the attempt', async () => {
    const { policy, told } = patient();
    const caller = new AbortController();
    const call = policy.run(
      ({ signal }) =>
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('stopped')))),
      { signal: caller.signal },
    );
    caller.abort(new Error('gone'));
    await expect(call).rejects.toThrow('gone');
    await new Promise((resolve) => setImmediate(resolve));
    expect(told).toMatchObject([['gaveUp', { reason: 'aborted' }]]);
  });

  it('its timeout option covers all attempts together', async () => {
    const { runtime, policy } = patient();
    const call = expect(policy.run(never, { timeout: 250 })).rejects.toBeInstanceOf(TimeoutError);
    await runtime.clock.advance(250);
    await call;
  });

  it('leaves no listener on the signal of the caller', async () => {
    const { runtime, policy } = patient();
    const { signal } = new AbortController();
    await runtime.clock.settle(policy.run(failing(2), { signal }));
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  it('counts attempts on from those of a retry around it', async () => {
    const { runtime } = patient();
    const outer = retry({ attempts: 2, backoff: 0, runtime });
    const inner = retry({ attempts: 2, backoff: 0, runtime });
    const seen: number[] = [];
    const call = pipeline(outer, inner).run(({ attempt }) => {
      seen.push(attempt);
      throw new Error('down');
    });
    await expect(runtime.clock.settle(call)).rejects.toThrow('down');
    expect(seen).toEqual([1, 2, 2, 3]);
  });

  it('keeps the default waits within full jitter of exponential()', async () => {
    const runtime = testRuntime({ seed: 7 });
    const policy = retry({ attempts: 6, runtime });
    const waits: number[] = [];
    policy.on('retried', ({ wait }) => waits.push(wait));
    await runtime.clock.settle(policy.run(failing(9)).catch(() => {}));
    expect(waits).toHaveLength(5);
    waits.forEach((wait, n) => {
      expect(wait).toBeGreaterThanOrEqual(0);
      expect(wait).toBeLessThan(100 * 2 ** n);
    });
  });

  it.each([
    { attempts: 0 },
    { attempts: 1.5 },
    { attempts: Number.NaN },
    { backoff: '1 s' },
    { backoff: { base: -1 } },
    { backoff: { jitter: 'some' } },
    { retryIf: 3 },
    { maxRetryAfter: -1 },
    { tries: 3 },
  ])('refuses %o', (options) => {
    expect(() => retry(options as never)).toThrow(InvalidOptionsError);
  });
});
