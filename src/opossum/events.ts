import { warnOf } from '../core/log.ts';

/** The events of opossum, and what their listeners get. Latencies are in milliseconds. */
export interface Events<TI extends unknown[], TR> {
  /** It was called. */
  fire: [args: TI];
  /** A call succeeded, or failed with an error that `errorFilter` lets pass. */
  success: [result: TR, latency: number];
  /** A call failed, timed out, or found no free slot. */
  failure: [error: Error, latency: number, args: TI];
  /** A call took too long; `failure` follows. */
  timeout: [error: Error, latency: number, args: TI];
  /** A call was rejected because it is open. */
  reject: [error: Error];
  /** A call found no free slot; `failure` follows. */
  semaphoreLocked: [error: Error, latency: number];
  /** The fallback answered. */
  fallback: [answer: unknown, error: Error];
  /** It opened. */
  open: [];
  /** It tries one call; with `resetTimeout`. */
  halfOpen: [resetTimeout: number];
  /** It closed. */
  close: [];
  /** It was shut down. */
  shutdown: [];
  /** The health check rejected. */
  healthCheckFailed: [error: Error];
}

/** Call each listener; what one throws disturbs neither the others nor the call, and is reported as a warning. */
export function tellEach(
  emitter: { rawListeners(event: string): readonly unknown[] },
  event: string,
  payload: readonly unknown[],
): void {
  for (const listener of emitter.rawListeners(event)) {
    try {
      (listener as (...args: unknown[]) => void).apply(emitter, [...payload]);
    } catch (error) {
      warnOf(`a listener of '${event}' threw`, error);
    }
  }
}

const own: WeakSet<Error> = new WeakSet();

/** An error with opossum's code. */
export function ownError(message: string, code: string): Error {
  const error = Object.assign(new Error(message), { code });
  own.add(error);
  return error;
}

/** Whether {@link ownError} made it. */
export function isOwnError(error: unknown): boolean {
  return error instanceof Error && own.has(error);
}
