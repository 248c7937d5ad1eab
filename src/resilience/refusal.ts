import { BulkheadFullError, CircuitOpenError, RateLimitedError, TimeoutError } from '../core/errors.ts';
import { HoldfastError } from '../core/holdfast-error.ts';

/**
 * Make an error without collecting its stack: a refusal is an answer, not a fault, it comes thousands of times a
 * second when a dependency is down, and the stack is most of its cost.
 */
export function withoutStack<E extends Error>(make: () => E): E {
  const limit = Error.stackTraceLimit;
  limitStacks(0);
  try {
    return make();
  } finally {
    limitStacks(limit);
  }
}

function limitStacks(limit: number): void {
  try {
    Error.stackTraceLimit = limit;
  } catch {
    // Error is frozen here (node --frozen-intrinsics); stacks stay as they are.
  }
}

const refusals: ReadonlySet<string> = new Set([
  BulkheadFullError.code,
  RateLimitedError.code,
  CircuitOpenError.code,
]);

/**
 * Whether an error says nothing about the dependency: a policy of ours refused the call before it was made, or our own
 * event loop was blocked until the time was over.
 */
export function isRefusal(error: unknown): boolean {
  // All of ours have a code. Most errors of others have none, which is seen sooner than that they are not ours.
  if (typeof (error as { code?: unknown } | null | undefined)?.code !== 'string') return false;
  if (!(error instanceof HoldfastError)) return false;
  return refusals.has(error.code) || (error instanceof TimeoutError && error.lag > 0);
}
