import { BulkheadFullError, CircuitOpenError, RateLimitedError } from '../core/errors.ts';

/**
 * Make an error without collecting its stack: a refusal is an answer, not a fault, it comes thousands of times a
 * second when a dependency is down, and the stack is most of its cost.
 */
export function withoutStack<E extends Error>(make: () => E): E {
  const limit = Error.stackTraceLimit;
  // Reflect.set: on a frozen Error an assignment would throw.
  Reflect.set(Error, 'stackTraceLimit', 0);
  try {
    return make();
  } finally {
    Reflect.set(Error, 'stackTraceLimit', limit);
  }
}

/** Whether a policy of ours refused the call before it was made, which says nothing about the dependency. */
export function isRefusal(error: unknown): boolean {
  return (
    error instanceof BulkheadFullError ||
    error instanceof RateLimitedError ||
    error instanceof CircuitOpenError
  );
}
