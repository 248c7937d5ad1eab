import { AsyncLocalStorage } from 'node:async_hooks';
import type { CallContext } from './policy.ts';

/**
 * The context of the call that the current code serves, carried by `AsyncLocalStorage`: a request's deadline, signal
 * and retry budget reach every policy below it without being passed by hand. Off the hot path: until somebody enters a
 * context, reading it is one comparison.
 */
let storage: AsyncLocalStorage<CallContext> | undefined;

/** Run `work` so that every call of the library inside it inherits this context's signal, deadline and retry budget. */
export function withCallContext<T>(context: CallContext, work: () => T): T {
  storage ??= new AsyncLocalStorage();
  return storage.run(context, work);
}

/** The context that the current code runs in, or undefined. */
export function currentCallContext(): CallContext | undefined {
  return storage?.getStore();
}
