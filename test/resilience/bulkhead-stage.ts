import { Bulkhead, type BulkheadOptions } from '../../src/resilience/bulkhead.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { type Deferred, deferred } from './support.ts';

export function bulkheadOf(options: Partial<BulkheadOptions> = {}) {
  const runtime = testRuntime();
  const bulkhead = new Bulkhead({ name: 'pool', limit: 1, queue: 2, runtime, ...options });
  const begun: string[] = [];
  const gates: Record<string, Deferred<string>> = {};
  /** A call that says when it begins and runs until its gate is opened. */
  const call = (name: string, options?: { signal?: AbortSignal; timeout?: number }): Promise<string> =>
    bulkhead.run(() => {
      begun.push(name);
      const gate = deferred<string>();
      gates[name] = gate;
      return gate.promise;
    }, options);
  return { runtime, bulkhead, begun, gates, call };
}
