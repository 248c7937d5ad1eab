import { retry } from '../../src/resilience/retry.ts';
import type { RetryOptions } from '../../src/resilience/retry-options.ts';
import { type TestRuntime, testRuntime } from '../../src/testing/test-runtime.ts';

/** A retry that waits 100, 200, 400 … ms, and work that fails the given number of times. */
export function patient(options: RetryOptions = {}): {
  readonly runtime: TestRuntime;
  readonly policy: ReturnType<typeof retry>;
  readonly told: [string, object][];
} {
  const runtime = testRuntime();
  const policy = retry({ backoff: { base: 100, jitter: 'none' }, runtime, ...options });
  const told: [string, object][] = [];
  for (const event of ['retried', 'gaveUp', 'recovered'] as const)
    policy.on(event, (e) => told.push([event, e]));
  return { runtime, policy, told };
}

export const down = new Error('down');

export function failing(times: number, ...errors: [unknown?]): () => Promise<string> {
  const error = errors.length === 0 ? down : errors[0];
  let left = times;
  return async () => {
    left -= 1;
    if (left >= 0) throw error;
    return 'ok';
  };
}
