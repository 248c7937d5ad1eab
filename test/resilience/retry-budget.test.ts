import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { currentCallContext } from '../../src/core/ambient.ts';
import { InvalidOptionsError } from '../../src/core/errors.ts';
import { RetryBudget, type RetryBudgetOptions } from '../../src/core/retry-budget.ts';
import { pipeline } from '../../src/resilience/pipeline.ts';
import { retry } from '../../src/resilience/retry.ts';
import { timeout } from '../../src/resilience/timeout.ts';
import { type TestRuntime, testRuntime } from '../../src/testing/test-runtime.ts';

function budgetOf(options: RetryBudgetOptions = {}): { runtime: TestRuntime; budget: RetryBudget } {
  const runtime = testRuntime();
  return { runtime, budget: new RetryBudget({ free: 0, runtime, ...options }) };
}

const down = async (): Promise<never> => {
  throw new Error('down');
};

describe('RetryBudget', () => {
  it('five calls pay for one more attempt', () => {
    const { budget } = budgetOf();
    for (let call = 0; call < 4; call += 1) budget.deposit();
    expect(budget.withdraw()).toBe(false);
    budget.deposit();
    expect(budget.available).toBe(1);
    expect([budget.withdraw(), budget.withdraw()]).toEqual([true, false]);
  });

  it('gives some for free, so that a caller with little traffic can retry', () => {
    const { runtime, budget } = budgetOf({ free: 0.2 });
    expect([budget.withdraw(), budget.withdraw(), budget.withdraw()]).toEqual([true, true, false]);
    runtime.clock.advanceSync(10_000);
    expect(budget.available).toBe(2);
  });

  it('forgets what calls paid after the window', () => {
    const { runtime, budget } = budgetOf({ ratio: 1 });
    budget.deposit();
    runtime.clock.advanceSync(8_999);
    expect(budget.available).toBe(1);
    runtime.clock.advanceSync(1_001);
    expect(budget.withdraw()).toBe(false);
  });

  it('tells when it is exhausted', () => {
    const { budget, runtime } = budgetOf({ ratio: 1, name: 'billing' });
    const told = vi.fn();
    budget.on('exhausted', told);
    budget.deposit();
    budget.withdraw();
    budget.withdraw();
    expect(told).toHaveBeenCalledExactlyOnceWith({ calls: 1, retries: 1 });
    expect(runtime.events).toMatchObject([{ primitive: 'retry-budget', name: 'billing', type: 'exhausted' }]);
  });

  it('within any window allows no more than it says, whatever comes when', () => {
    const step = fc.record({
      wait: fc.integer({ min: 0, max: 3_000 }),
      calls: fc.integer({ min: 0, max: 5 }),
      asks: fc.integer({ min: 0, max: 5 }),
    });
    const settings = fc.record({
      ratio: fc.double({ min: 0, max: 2, noNaN: true }),
      free: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(settings, fc.array(step, { maxLength: 60 }), ({ ratio, free }, steps) => {
        const { runtime, budget } = budgetOf({ ratio, free });
        const log: { readonly at: number; readonly retry: boolean }[] = [];
        for (const { wait, calls, asks } of steps) {
          runtime.clock.advanceSync(wait);
          const at = runtime.clock.now();
          for (let call = 0; call < calls; call += 1) {
            budget.deposit();
            log.push({ at, retry: false });
          }
          for (let ask = 0; ask < asks; ask += 1) {
            if (!budget.withdraw()) continue;
            log.push({ at, retry: true });
            const recent = log.filter((entry) => entry.at > at - 10_000);
            const retries = recent.filter((entry) => entry.retry).length;
            // Retries leave the window a bucket's width before calls of the same moment would at most.
            const kept = log.filter((entry) => entry.at > at - 9_000 && entry.retry).length;
            expect(kept).toBeLessThanOrEqual(ratio * (recent.length - retries) + free * 10 + 1e-6);
          }
        }
      }),
    );
  });

  it.each([{ ratio: -1 }, { ratio: Number.NaN }, { free: -1 }, { window: '10ms' }, { tokens: 3 }])(
    'refuses %o',
    (options) => {
      expect(() => new RetryBudget(options as never)).toThrow(InvalidOptionsError);
    },
  );
});

describe('retry with a budget', () => {
  it('adds at most a fifth to the load of a dependency that is down', async () => {
    const { runtime, budget } = budgetOf();
    const policy = retry({ attempts: 4, backoff: 0, budget, runtime });
    const reasons: string[] = [];
    policy.on('gaveUp', ({ reason }) => reasons.push(reason));
    const work = vi.fn(down);
    for (let call = 0; call < 100; call += 1) await runtime.clock.settle(policy.run(work).catch(() => {}));
    expect(work).toHaveBeenCalledTimes(120);
    expect(new Set(reasons)).toEqual(new Set(['budget-exhausted']));
  });

  it('gives the error of the work when nothing is left', async () => {
    const { runtime, budget } = budgetOf();
    await expect(retry({ budget, runtime }).run(down)).rejects.toThrow('down');
  });

  it('is not charged for what would not be tried again anyway', async () => {
    const { runtime, budget } = budgetOf({ ratio: 1 });
    const policy = retry({ attempts: 3, budget, retryIf: () => false, runtime });
    await policy.run(down).catch(() => {});
    expect(budget.available).toBe(1);
  });

  it('nested in one pipeline, counts one call and pays for the retries of all layers', async () => {
    const { runtime, budget } = budgetOf({ ratio: 2 });
    const layer = (): ReturnType<typeof retry> => retry({ attempts: 3, backoff: 0, budget, runtime });
    const work = vi.fn(down);
    const policy = pipeline(layer(), timeout('1s', { runtime }), layer(), layer());
    await runtime.clock.settle(policy.run(work).catch(() => {}));
    // 27 without a budget.
    expect(work).toHaveBeenCalledTimes(3);
    expect(budget.available).toBe(0);
  });

  it('reaches retries without a budget of their own, through code that knows nothing of it', async () => {
    const { runtime, budget } = budgetOf({ ratio: 1 });
    const work = vi.fn(down);
    const library = retry({ attempts: 5, backoff: 0, runtime }).wrap(work);
    const outer = retry({ attempts: 5, backoff: 0, budget, runtime });
    const call = outer.run(async () => {
      await Promise.resolve();
      await library();
    });
    await runtime.clock.settle(call.catch(() => {}));
    // 25 without the budget.
    expect(work).toHaveBeenCalledTimes(2);
  });

  it('keeps the attempt and the deadline in the ambient context of the work', async () => {
    const { runtime, budget } = budgetOf({ ratio: 3 });
    const seen: unknown[] = [];
    const call = retry({ attempts: 3, backoff: 0, budget, runtime }).run(
      async () => {
        await Promise.resolve();
        const context = currentCallContext();
        seen.push([context?.attempt, context?.deadline, context?.retryBudget === budget]);
        return down();
      },
      { deadline: 5_000 },
    );
    await runtime.clock.settle(call.catch(() => {}));
    expect(seen).toEqual([
      [1, 5_000, true],
      [2, 5_000, true],
      [3, 5_000, true],
    ]);
    expect(currentCallContext()).toBeUndefined();
  });

  it('a budget of its own is asked in place of the one it inherits', async () => {
    const [outer, inner] = [budgetOf({ ratio: 10 }), budgetOf()];
    const work = vi.fn(down);
    const { runtime } = outer;
    await pipeline(
      retry({ attempts: 1, budget: outer.budget, runtime }),
      retry({ attempts: 3, backoff: 0, budget: inner.budget, runtime }),
    )
      .run(work)
      .catch(() => {});
    expect(work).toHaveBeenCalledOnce();
  });

  it('refuses what is no budget', () => {
    expect(() => retry({ budget: {} as never })).toThrow(/budget/);
  });
});
