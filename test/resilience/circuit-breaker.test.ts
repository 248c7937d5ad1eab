import { describe, expect, it, vi } from 'vitest';
import { CircuitOpenError, InvalidOptionsError } from '../../src/core/errors.ts';
import { CircuitBreaker } from '../../src/resilience/circuit-breaker.ts';
import { never, smallBreaker } from './support.ts';

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
});
