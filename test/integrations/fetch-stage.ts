import { type Fetch, resilientFetch } from '../../src/integrations/fetch.ts';
import { CircuitBreaker } from '../../src/resilience/circuit-breaker.ts';
import type { CircuitBreakerOptions } from '../../src/resilience/circuit-options.ts';
import { type TestRuntime, testRuntime } from '../../src/testing/test-runtime.ts';

export const url = 'http://api.test/items';

/** A response whose body is given out by hand. */
export function slowResponse(init?: ResponseInit) {
  let controller!: ReadableStreamDefaultController<Uint8Array>;
  const body = new ReadableStream<Uint8Array>({
    start: (given) => {
      controller = given;
    },
  });
  const write = (text: string): void => controller.enqueue(new TextEncoder().encode(text));
  return {
    response: new Response(body, init),
    write,
    end: () => controller.close(),
    fail: controller.error.bind(controller),
  };
}

/** One breaker that opens at its second failure, in front of a `fetch` of our own. */
export function stage(fetch: Fetch, options: Partial<CircuitBreakerOptions> = {}) {
  const runtime: TestRuntime = testRuntime();
  const made = new Map<string, string>();
  const client = resilientFetch({
    breaker: (origin, name) => {
      made.set(origin, name);
      return new CircuitBreaker({ name, minimumCalls: 2, openFor: '5s', runtime, ...options });
    },
    fetch,
    runtime,
  });
  const totals = () => client.breakers.get('http://api.test')?.metrics.totals;
  const state = () => client.breakers.get('http://api.test')?.state;
  return { runtime, client, made, totals, state };
}
