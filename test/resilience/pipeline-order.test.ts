import { afterEach, describe, expect, it, vi } from 'vitest';
import { RetryBudget } from '../../src/core/retry-budget.ts';
import { Bulkhead } from '../../src/resilience/bulkhead.ts';
import { CircuitBreaker } from '../../src/resilience/circuit-breaker.ts';
import { fallback } from '../../src/resilience/fallback.ts';
import { pipeline } from '../../src/resilience/pipeline.ts';
import { adviceOn } from '../../src/resilience/pipeline-order.ts';
import { retry } from '../../src/resilience/retry.ts';
import { timeout } from '../../src/resilience/timeout.ts';

const breaker = new CircuitBreaker({ name: 'test' });
const bulkhead = new Bulkhead({ name: 'pool', limit: 1 });
const [again, limit] = [retry(), timeout('1s')];
const answer = fallback(() => null);

describe('advice on the order of a pipeline', () => {
  it.each([
    ['the usual order', [answer, again, breaker, limit, bulkhead]],
    ['limits for all and for each attempt', [limit, again, breaker, limit]],
    ['a timeout around a breaker', [limit, breaker]],
    ['a policy of somebody else', [{ run: () => {}, wrap: () => {} }, again]],
    ['retries in layers that share a budget', [retry({ budget: new RetryBudget() }), again]],
    ['nothing', []],
  ])('has nothing to say of %s', (_name, policies) => {
    expect(adviceOn(policies)).toEqual([]);
  });

  it.each([
    ['breaker, retry', [breaker, again], /one outcome for all attempts together/],
    ['timeout, retry', [limit, again, breaker], /limits all attempts and the waits between them together/],
    ['bulkhead, timeout', [again, bulkhead, limit], /free as soon as the time is over/],
    ['retry, fallback', [again, answer], /takes its answer for a success/],
    ['breaker, fallback', [breaker, answer], /takes its answer for a success/],
    ['retry, retry', [again, retry(), breaker], /attempts multiply/],
  ])('says of %s what it means', (_name, policies, sentence) => {
    expect(adviceOn(policies)).toEqual([expect.stringMatching(sentence)]);
  });
});

describe('the warning of a pipeline', () => {
  afterEach(() => {
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
  });

  /** The module afresh, as a new process has it. */
  async function fresh(): Promise<() => void> {
    vi.resetModules();
    const { pipeline: build } = await import('../../src/resilience/pipeline.ts');
    const kinds = await import('../../src/resilience/retry.ts');
    const { CircuitBreaker: Breaker } = await import('../../src/resilience/circuit-breaker.ts');
    const parts = { breaker: new Breaker({ name: 'test' }), retry: kinds.retry() };
    return () => void build(build(parts.breaker), build(parts.retry));
  }

  it('comes once in a process, for pipelines within pipelines too', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const build = await fresh();
    build();
    build();
    expect(warn).toHaveBeenCalledExactlyOnceWith(
      expect.stringMatching(/^pipeline: a breaker is around a retry/),
      {
        type: 'HoldfastWarning',
        code: 'HOLDFAST_PIPELINE_ORDER',
      },
    );
  });

  it('does not come in production', async () => {
    vi.stubEnv('NODE_ENV', 'production');
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    (await fresh())();
    expect(warn).not.toHaveBeenCalled();
  });

  it('does not come for the usual order', () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    pipeline(answer, again, breaker, limit, bulkhead);
    expect(warn).not.toHaveBeenCalled();
  });
});
