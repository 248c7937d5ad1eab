import { getEventListeners } from 'node:events';
import { describe, expect, it, vi } from 'vitest';
import { InvalidOptionsError } from '../../src/core/errors.ts';
import type { CallContext } from '../../src/core/policy.ts';
import { RetryBudget } from '../../src/core/retry-budget.ts';
import { type HedgeOptions, hedge } from '../../src/resilience/hedge.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';

function hedged(options: Partial<HedgeOptions> = {}) {
  const runtime = testRuntime();
  const policy = hedge({ delay: 100, runtime, ...options });
  const told: [string, object][] = [];
  for (const event of ['hedged', 'won'] as const) policy.on(event, (e) => told.push([event, e]));
  /** Work whose attempts take these times, one after the other; a negative one fails. */
  const attempts: CallContext[] = [];
  const taking =
    (...durations: number[]) =>
    (context: CallContext): Promise<number> => {
      attempts.push(context);
      const { signal } = context;
      const number = attempts.length;
      const duration = durations[number - 1] ?? 0;
      return new Promise((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
        runtime.clock.schedule(Math.abs(duration), () =>
          duration < 0 ? reject(new Error(`attempt ${number}`)) : resolve(number),
        );
      });
    };
  return { runtime, policy, told, attempts, taking };
}

describe('hedge', () => {
  it('lets work that answers in time alone', async () => {
    const { runtime, policy, told, attempts, taking } = hedged();
    await expect(runtime.clock.settle(policy.run(taking(99)))).resolves.toBe(1);
    expect(attempts).toHaveLength(1);
    expect(told).toEqual([]);
    expect(runtime.clock.pending).toBe(0);
    expect(attempts[0]?.signal.aborted).toBe(false);
  });

  it('begins once more after the delay; the first answer wins and the other is aborted', async () => {
    const { runtime, policy, told, attempts, taking } = hedged();
    await expect(runtime.clock.settle(policy.run(taking(1_000, 50)))).resolves.toBe(2);
    expect(runtime.clock.now()).toBe(150);
    expect(attempts.map(({ attempt, signal }) => [attempt, signal.aborted])).toEqual([
      [1, true],
      [2, false],
    ]);
    expect(attempts[0]?.signal.reason).toMatchObject({ name: 'AbortError' });
    expect(told).toEqual([
      ['hedged', { attempt: 2, delay: 100 }],
      ['won', { attempt: 2 }],
    ]);
  });

  it('the first attempt may still win', async () => {
    const { runtime, policy, attempts, taking } = hedged();
    await expect(runtime.clock.settle(policy.run(taking(150, 1_000)))).resolves.toBe(1);
    expect(attempts.map(({ signal }) => signal.aborted)).toEqual([false, true]);
  });

  it('begins no more than its attempts, a delay apart', async () => {
    const { runtime, policy, told, attempts, taking } = hedged({ attempts: 3 });
    await expect(runtime.clock.settle(policy.run(taking(900, 900, 900, 0)))).resolves.toBe(1);
    expect(attempts).toHaveLength(3);
    expect(told.filter(([event]) => event === 'hedged')).toHaveLength(2);
  });

  it('does not repeat an attempt that fails before the delay', async () => {
    const { runtime, policy, attempts, taking } = hedged();
    await expect(runtime.clock.settle(policy.run(taking(-50)))).rejects.toThrow('attempt 1');
    expect(attempts).toHaveLength(1);
    await runtime.clock.advance(1_000);
    expect(attempts).toHaveLength(1);
  });

  it('waits for the other where one fails, and fails with the last when all do', async () => {
    const one = hedged();
    await expect(one.runtime.clock.settle(one.policy.run(one.taking(-150, 200)))).resolves.toBe(2);
    const all = hedged();
    await expect(all.runtime.clock.settle(all.policy.run(all.taking(-150, -200)))).rejects.toThrow(
      'attempt 2',
    );
    expect(all.runtime.clock.pending).toBe(0);
  });

  it('a synchronous throw fails like any other', async () => {
    const { policy, runtime } = hedged();
    const call = policy.run(() => {
      throw new Error('sync');
    });
    await expect(call).rejects.toThrow('sync');
    expect(runtime.clock.pending).toBe(0);
  });

  it('a caller that leaves aborts every attempt, with its reason, and no more begin', async () => {
    const { runtime, policy, attempts, taking } = hedged({ attempts: 3 });
    const caller = new AbortController();
    const call = expect(policy.run(taking(900, 900), { signal: caller.signal })).rejects.toThrow('gone');
    await runtime.clock.advance(150);
    caller.abort(new Error('gone'));
    await call;
    expect(attempts.map(({ signal }) => signal.reason.message)).toEqual(['gone', 'gone']);
    await runtime.clock.advance(1_000);
    expect(attempts).toHaveLength(2);
    expect(getEventListeners(caller.signal, 'abort')).toHaveLength(0);
  });

  it('spends the retry budget, its own or the one it inherits; without tokens there is no hedge', async () => {
    const { runtime, policy, attempts, taking } = hedged();
    const budget = new RetryBudget({ ratio: 0.5, free: 0, runtime });
    const own = hedge({ delay: 100, budget, runtime });
    for (let call = 0; call < 4; call += 1) {
      attempts.length = 0;
      await runtime.clock.settle(own.run(taking(200, 200)));
      expect(attempts).toHaveLength(1 + (call % 2));
    }
    attempts.length = 0;
    await runtime.clock.settle(policy.run(taking(200, 200), { retryBudget: budget }));
    expect(attempts).toHaveLength(1);
  });

  it('after a quantile: waits as long as that share of the calls takes, once it knows', async () => {
    const { runtime, policy, told, attempts, taking } = hedged({
      delay: { quantile: 0.9, initial: '1s', min: 20 },
    });
    const call = (duration: number): Promise<number> => {
      attempts.length = 0;
      return runtime.clock.settle(policy.run(taking(duration, 5)));
    };
    for (let n = 0; n < 32; n += 1) await call(n % 16 === 15 ? 500 : 50);
    expect(told).toEqual([]);
    await call(500);
    expect(told).toMatchObject([
      ['hedged', { attempt: 2, delay: expect.closeTo(50, 0) }],
      ['won', {}],
    ]);
    // After a night without calls it begins anew.
    await runtime.clock.advance(10 * 60_000);
    await call(900);
    expect(told).toHaveLength(2);
  });

  it('after a quantile: never sooner than its minimum', async () => {
    const { runtime, policy, told, attempts, taking } = hedged({ delay: { quantile: 0.5, min: 20 } });
    const run = vi.fn(() => {
      attempts.length = 0;
      return runtime.clock.settle(policy.run(taking(1)));
    });
    for (let n = 0; n < 40; n += 1) await run();
    attempts.length = 0;
    await runtime.clock.settle(policy.run(taking(500, 5)));
    expect(told[0]).toMatchObject(['hedged', { delay: 20 }]);
  });

  it.each([
    {},
    { delay: -1 },
    { delay: { quantile: 1 } },
    { delay: { quantile: 0.9, max: 1 } },
    { delay: 5, attempts: 1 },
    { delay: 5, attempts: 11 },
    { delay: 5, budget: {} },
  ])('refuses %o', (options) => {
    expect(() => hedge(options as never)).toThrow(InvalidOptionsError);
  });
});
