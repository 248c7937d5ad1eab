import { joinSignals, withinSignal } from '../core/abort.ts';
import type { Unsubscribe } from '../core/emitter.ts';
import { abortSource, Call, type CallContext, settle, type Work } from '../core/policy.ts';
import type { CircuitPermit } from './circuit-token.ts';

/** Work under a probe's lease: its signal also aborts, and its promise rejects, when the lease expires. */
export function probe<T>(permit: CircuitPermit, context: CallContext, work: Work<T>): Promise<T> {
  const { signal, dispose } = joinSignals(abortSource(context), permit.signal);
  const deadline = Math.min(context.deadline ?? Number.POSITIVE_INFINITY, permit.expiresAt);
  const leased = new Call(signal, context.attempt, deadline);
  return withinSignal(signal, () => settle(work, leased)).finally(dispose);
}

/** Call the listener when the signal aborts. Work that ignores its signal would otherwise never be counted. */
export function onAbort(signal: AbortSignal, listener: (reason: unknown) => void): Unsubscribe {
  const heard = (): void => listener(signal.reason);
  signal.addEventListener('abort', heard, { once: true });
  return () => signal.removeEventListener('abort', heard);
}
