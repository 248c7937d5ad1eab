import { getEventListeners } from 'node:events';
import { describe, expect, it, vi } from 'vitest';
import { withCallContext } from '../../src/core/ambient.ts';
import type { Clock } from '../../src/core/clock.ts';
import {
  BulkheadFullError,
  CircuitOpenError,
  InvalidOptionsError,
  TimeoutError,
} from '../../src/core/errors.ts';
import { Call } from '../../src/core/policy.ts';
import { CircuitBreaker } from '../../src/resilience/circuit-breaker.ts';
import { timeout } from '../../src/resilience/timeout.ts';
import { ManualClock } from '../../src/testing/manual-clock.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { deferred, flush, never, smallBreaker } from './support.ts';

describe('CircuitBreaker', () => {
  it('opens, rejects, probes and closes, and tells each once, in order', async () => {
    const { breaker, runtime, ok, fail } = smallBreaker();
    const seen: string[] = [];
    for (const event of ['opened', 'halfOpened', 'closed'] as const)
      breaker.on(event, () => seen.push(event));
    await fail();
    await fail();
    expect(breaker.state).toBe('open');
    await expect(ok()).rejects.toBeInstanceOf(CircuitOpenError);
    await runtime.clock.advance(1_000);
    expect(breaker.state).toBe('half-open');
    await expect(ok()).resolves.toBe('ok');
    await expect(ok()).resolves.toBe('ok');
    expect(breaker.state).toBe('closed');
    expect(seen).toEqual(['opened', 'halfOpened', 'closed']);
    expect(runtime.events.filter((e) => e.type === 'opened')).toMatchObject([
      { primitive: 'circuit-breaker', name: 'test', payload: { reason: 'failure-rate', wait: 1_000 } },
    ]);
  });

  it('keeps arguments, this, result and error of a wrapped function', async () => {
    const { breaker } = smallBreaker();
    const counter = {
      base: 40,
      add: breaker.wrap(function add(this: { base: number }, a: number) {
        return this.base + a;
      }),
    };
    await expect(counter.add(2)).resolves.toBe(42);
    const broken = new RangeError('as it was');
    await expect(breaker.run(() => Promise.reject(broken))).rejects.toBe(broken);
  });

  it('rejects with what was thrown, whatever it is', async () => {
    const { breaker } = smallBreaker({ window: { calls: 100 }, minimumCalls: 100 });
    const oddities = [undefined, null, 0, 'text', { code: 7 }, Promise.resolve('not an answer')];
    for (const thrown of oddities) {
      const outcome = breaker
        .run(() => Promise.reject(thrown))
        .then(
          () => 'resolved',
          (error) => ({ error }),
        );
      expect(await outcome).toEqual({ error: thrown });
    }
    expect(breaker.metrics.totals.failed).toBe(oddities.length);
  });

  it.each([
    { failureRate: 0 },
    { failureRate: 1.01 },
    { failureRate: Number.NaN },
    { slowRate: 0.5 },
    { window: { calls: 0 } },
    { window: { calls: 1, seconds: 1 } },
    { window: 5 },
    { window: '10 s' },
    { minimumCalls: 0 },
    { openFor: -1 },
    { openFor: { base: '1s' } },
    { halfOpen: { permits: 0 } },
    { halfOpen: { maxWait: 0 } },
    { halfOpen: { permit: 1 } },
    { isFailure: true },
    { failurerate: 0.5 },
    { name: '' },
  ])('refuses %j', (options) => {
    expect(() => new CircuitBreaker({ name: 'test', ...options } as never)).toThrow(InvalidOptionsError);
  });

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

  describe('rule 16: forced states', () => {
    it('open rejects, disabled and metrics-only let pass', async () => {
      const { breaker, ok, open } = smallBreaker();
      const told: object[] = [];
      breaker.on('forced', (event) => told.push(event));
      breaker.on('wouldTrip', ({ reason }) => told.push({ reason }));
      breaker.force('open');
      await expect(ok()).rejects.toMatchObject({
        state: 'forced-open',
        retryAfter: Number.POSITIVE_INFINITY,
        message: 'circuit breaker test is forced-open; until force(undefined) is called',
      });
      breaker.force('disabled');
      await open();
      await expect(ok()).resolves.toBe('ok');
      breaker.force('metrics-only');
      await open();
      await expect(ok()).resolves.toBe('ok');
      expect(told).toEqual([
        { from: 'closed', to: 'forced-open' },
        { from: 'forced-open', to: 'disabled' },
        { from: 'disabled', to: 'metrics-only' },
        { reason: 'failure-rate' },
      ]);
      breaker.force(undefined);
      expect(breaker.metrics).toMatchObject({ state: 'closed', window: { calls: 0, failureRate: 0 } });
    });
  });

  describe('rule 18: commit, then emit once', () => {
    it('a listener that calls the breaker sees the new state', async () => {
      const { breaker, open } = smallBreaker();
      const seen: unknown[] = [];
      breaker.on('opened', () => {
        seen.push(breaker.state);
        breaker.run(() => 'through').catch((error: CircuitOpenError) => seen.push(error.code));
      });
      await open();
      expect(seen).toEqual(['open', 'HOLDFAST_CIRCUIT_OPEN']);
    });

    it('a listener of halfOpened cannot take the permit of the call that came first', async () => {
      const { breaker, runtime, open, ok } = smallBreaker({ halfOpen: { permits: 1 } });
      await open();
      runtime.clock.advanceSync(1_000);
      const late: Promise<unknown>[] = [];
      breaker.on('halfOpened', () => late.push(ok().catch(() => 'rejected')));
      await expect(ok()).resolves.toBe('ok');
      expect(await late[0]).toBe('rejected');
    });

    it('a listener that throws disturbs neither call nor state nor the next listener', async () => {
      const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
      const { breaker, ok, open } = smallBreaker();
      const after = vi.fn();
      for (const event of ['succeeded', 'failed', 'opened', 'rejected'] as const) {
        breaker.on(event, () => {
          throw new Error('a bug');
        });
        breaker.on(event, after);
      }
      await expect(ok()).resolves.toBe('ok');
      expect(breaker.metrics.totals).toMatchObject({ succeeded: 1, failed: 0 });
      await open();
      await expect(ok()).rejects.toBeInstanceOf(CircuitOpenError);
      expect(after).toHaveBeenCalledTimes(warn.mock.calls.length);
      warn.mockRestore();
    });
  });

  it('rule 19: a synchronous throw, a plain value and undefined behave as if asynchronous', async () => {
    const { breaker, runtime, open } = smallBreaker();
    const thrown = new RangeError('sync');
    const works = [
      () => 42,
      () => undefined,
      // biome-ignore lint/suspicious/noThenProperty: any thenable must do
      () => ({ then: (resolve: (value: string) => void) => resolve('thenable') }),
    ];
    for (const state of ['closed', 'half-open', 'disabled']) {
      breaker.reset();
      if (state === 'half-open') {
        await open();
        runtime.clock.advanceSync(1_000);
      }
      if (state === 'disabled') breaker.force('disabled');
      expect(breaker.state).toBe(state);
      const results = [];
      for (const work of works) results.push(await breaker.run<unknown>(work));
      expect(results).toEqual([42, undefined, 'thenable']);
      breaker.reset();
      await expect(
        breaker.run(() => {
          throw thrown;
        }),
      ).rejects.toBe(thrown);
    }
  });

  describe('rule 20: the rejection', () => {
    it('names breaker, state, wait and cause, and has no stack', async () => {
      const { breaker, runtime, fail, ok } = smallBreaker();
      await fail();
      const last = await fail(new Error('the last straw'));
      runtime.clock.advanceSync(400);
      const error: CircuitOpenError = await ok().then(
        () => expect.unreachable(),
        (caught) => caught,
      );
      expect(error).toMatchObject({
        code: 'HOLDFAST_CIRCUIT_OPEN',
        breaker: 'test',
        state: 'open',
        retryAfter: 600,
        retryable: true,
      });
      expect(error.cause).toBe(last);
      expect(error.stack).not.toContain('\n    at ');
      expect(Error.stackTraceLimit).toBeGreaterThan(0);
      expect(breaker.metrics.totals.rejected).toBe(1);
    });

    it('while half-open, too', async () => {
      const { breaker, runtime, open, ok } = smallBreaker({ halfOpen: { permits: 1 } });
      await open();
      runtime.clock.advanceSync(1_000);
      void breaker.run(never);
      await expect(ok()).rejects.toMatchObject({
        state: 'half-open',
        retryAfter: 0,
        cause: new Error('down'),
      });
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
