import { CircuitBreaker } from '../../src/resilience/circuit-breaker.ts';
import type { CircuitBreakerOptions } from '../../src/resilience/circuit-options.ts';
import { type TestRuntime, testRuntime } from '../../src/testing/test-runtime.ts';

/** Work that never settles. */
export const never = <T>(): Promise<T> => new Promise(() => {});

/** A promise that a test settles by hand. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}

export function deferred<T = void>(): Deferred<T> {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

/** Lets promises settle that can without time passing. */
export const flush = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A breaker that opens at two failures among its last four calls, for 1 s, and probes with two calls. */
export function smallBreaker(options: Partial<CircuitBreakerOptions> = {}): {
  readonly breaker: CircuitBreaker;
  readonly runtime: TestRuntime;
  readonly ok: () => Promise<string>;
  readonly fail: (error?: unknown) => Promise<unknown>;
  readonly open: () => Promise<void>;
} {
  const runtime = testRuntime();
  const breaker = new CircuitBreaker({
    name: 'test',
    window: { calls: 4 },
    minimumCalls: 2,
    openFor: 1_000,
    halfOpen: { permits: 2, maxWait: '10s' },
    runtime,
    ...options,
  });
  const ok = (): Promise<string> => breaker.run(async () => 'ok');
  const fail = (error: unknown = new Error('down')): Promise<unknown> =>
    breaker.run(() => Promise.reject(error)).catch((caught: unknown) => caught);
  const open = async (): Promise<void> => {
    for (let call = 0; call < 4; call += 1) await fail();
  };
  return { breaker, runtime, ok, fail, open };
}
