import { describe, expect, expectTypeOf, it } from 'vitest';
import { InvalidOptionsError, TimeoutError } from '../../src/core/errors.ts';
import type { CallContext, Policy, RunOptions, Work } from '../../src/core/policy.ts';
import { wrapWith } from '../../src/core/policy.ts';
import type { AnsweringPolicy } from '../../src/resilience/answering-policy.ts';
import { Bulkhead } from '../../src/resilience/bulkhead.ts';
import { CircuitBreaker } from '../../src/resilience/circuit-breaker.ts';
import { fallback } from '../../src/resilience/fallback.ts';
import { pipeline } from '../../src/resilience/pipeline.ts';
import { retry } from '../../src/resilience/retry.ts';
import { timeout } from '../../src/resilience/timeout.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { never } from './support.ts';

/** A policy that says when it is entered and left, and whatever context it was given. */
function tracing(name: string, trace: string[]): Policy {
  const policy: Policy = {
    run: async <T>(work: Work<T>, options?: RunOptions): Promise<T> => {
      trace.push(`> ${name}`);
      const result = await work({ ...(options as CallContext) });
      trace.push(`< ${name}`);
      return result;
    },
    wrap: (work) => wrapWith(policy, work),
  };
  return policy;
}

describe('pipeline', () => {
  it('the first policy is the outermost', async () => {
    const trace: string[] = [];
    const policy = pipeline(tracing('a', trace), tracing('b', trace), tracing('c', trace));
    await expect(policy.run(() => trace.push('work'))).resolves.toBe(4);
    expect(trace).toEqual(['> a', '> b', '> c', 'work', '< c', '< b', '< a']);
  });

  it('hands signal, attempt and deadline on to the innermost work', async () => {
    const runtime = testRuntime();
    const breaker = new CircuitBreaker({ name: 'test', runtime });
    const bulkhead = new Bulkhead({ name: 'pool', limit: 1, runtime });
    const policy = pipeline(
      retry({ attempts: 2, backoff: 10, runtime }),
      breaker,
      timeout(100, { runtime }),
      bulkhead,
    );
    const seen: { attempt: number; deadline: number | undefined; aborted: () => boolean }[] = [];
    const call = policy.run(({ attempt, deadline, signal }) => {
      seen.push({ attempt, deadline, aborted: () => signal.aborted });
      if (attempt === 1) throw new Error('down');
      return never();
    });
    const timedOut = expect(call).rejects.toBeInstanceOf(TimeoutError);
    await runtime.clock.advance(110);
    await timedOut;
    expect(seen.map(({ attempt, deadline }) => [attempt, deadline])).toEqual([
      [1, 100],
      [2, 110],
    ]);
    expect(seen.map(({ aborted }) => aborted())).toEqual([false, true]);
    expect(breaker.metrics.totals.failed).toBe(2);
    expect(runtime.clock.pending).toBe(0);
  });

  it('an abort of the caller reaches the innermost work, and no policy counts it', async () => {
    const runtime = testRuntime();
    const breaker = new CircuitBreaker({ name: 'test', runtime });
    const policy = pipeline(
      timeout('1s', { runtime }),
      retry({ runtime }),
      breaker,
      timeout('1s', { runtime }),
    );
    const caller = new AbortController();
    let inner: AbortSignal | undefined;
    const call = policy.run(
      ({ signal }) => {
        inner = signal;
        return never();
      },
      { signal: caller.signal },
    );
    caller.abort(new Error('gone'));
    await expect(call).rejects.toThrow('gone');
    expect(inner?.reason).toEqual(new Error('gone'));
    await runtime.clock.advance(10_000);
    expect(breaker.metrics.totals).toMatchObject({ failed: 0, ignored: 1 });
    expect(runtime.clock.pending).toBe(0);
  });

  it('of pipelines is a pipeline; of nothing it just runs the work', async () => {
    const trace: string[] = [];
    const nested = pipeline(
      pipeline(tracing('a', trace), tracing('b', trace)),
      pipeline(tracing('c', trace)),
    );
    await nested.run(() => {});
    expect(trace).toEqual(['> a', '> b', '> c', '< c', '< b', '< a']);
    await expect(pipeline().run(() => 42)).resolves.toBe(42);
    await expect(pipeline().run(never, { signal: AbortSignal.abort(new Error('gone')) })).rejects.toThrow(
      'gone',
    );
  });

  it('keeps arguments, this and result of a wrapped function', async () => {
    const base = { value: 40, add: pipeline(timeout('1s')).wrap(add) };
    function add(this: { value: number }, a: number): number {
      return this.value + a;
    }
    await expect(base.add(2)).resolves.toBe(42);
  });

  it('refuses what is no policy, by its place', () => {
    expect(() => pipeline(timeout('1s'), {} as never)).toThrow(InvalidOptionsError);
    expect(() => pipeline(timeout('1s'), undefined as never)).toThrow(/pipeline: 1: got nothing/);
  });

  it('knows by its types what a fallback in it may answer', () => {
    const plain = pipeline(retry(), timeout('1s'));
    expectTypeOf(plain).toExtend<Policy>();
    const answering = pipeline(
      fallback(() => 'none' as const),
      pipeline(
        fallback(async () => 404),
        timeout('1s'),
      ),
    );
    expectTypeOf(answering).toEqualTypeOf<AnsweringPolicy<'none' | number>>();
    expectTypeOf(() => answering.run(() => true)).returns.toEqualTypeOf<Promise<boolean | 'none' | number>>();
    expectTypeOf(answering).not.toExtend<Policy>();
  });
});
