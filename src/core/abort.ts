import { abortController } from './abort-controller.ts';
import { currentCallContext } from './ambient.ts';
import type { Clock } from './clock.ts';
import { durationAccepts, parseDuration } from './duration.ts';
import { InvalidOptionsError, TimeoutError } from './errors.ts';
import { describe } from './options.ts';
import {
  abortSource,
  Call,
  type CallContext,
  type RunOptions,
  settle,
  unlimitedCall,
  type Work,
} from './policy.ts';

/**
 * Turn a verb's options into the context of its work, and enforce `signal`, `deadline` and `timeout` around it:
 * the promise rejects as soon as one of them says so, whether or not the work listens.
 *
 * A {@link Call} is passed through untouched, since who made it enforces it already.
 */
export function enter<T>(clock: Clock, options: RunOptions | undefined, work: Work<T>): Promise<T> {
  if (options instanceof Call) return settle(work, options);
  const outer = currentCallContext();
  if (options === undefined && outer === undefined) return settle(work, unlimitedCall);
  return enterWith(clock, options ?? {}, outer, work);
}

function enterWith<T>(
  clock: Clock,
  options: RunOptions,
  outer: CallContext | undefined,
  work: Work<T>,
): Promise<T> {
  const limit = options.timeout === undefined ? undefined : parseDuration(options.timeout);
  if (limit === undefined && options.timeout !== undefined) return Promise.reject(invalidTimeout(options));
  const deadline = earlier(options.deadline, outer?.deadline);
  const outerSource = outer === undefined ? undefined : abortSource(outer);
  const both = options.signal !== undefined && outerSource !== undefined && options.signal !== outerSource;
  const joined = both ? joinSignals(options.signal, outerSource) : undefined;
  const source = joined?.signal ?? options.signal ?? outerSource;
  const context = new Call(source, options.attempt ?? 1, deadline);
  const enforced = enforce(clock, limit, context, work);
  return joined === undefined ? enforced : enforced.finally(joined.dispose);
}

function invalidTimeout({ timeout }: RunOptions): InvalidOptionsError {
  const received = describe(timeout);
  return new InvalidOptionsError('run', [{ field: 'timeout', received, accepts: durationAccepts }]);
}

function enforce<T>(clock: Clock, limit: number | undefined, context: Call, work: Work<T>): Promise<T> {
  const left = context.deadline === undefined ? undefined : context.deadline - clock.now();
  const shortest = earlier(limit, left);
  if (shortest !== undefined) return within(clock, shortest, context, work);
  if (context.source === undefined) return settle(work, context);
  return withinSignal(context.source, () => settle(work, context));
}

function earlier(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined) return b;
  return b === undefined ? a : Math.min(a, b);
}

/** The promise, or the signal's reason as soon as it aborts. Leaves no listener behind. */
export function withinSignal<T>(signal: AbortSignal, begin: () => Promise<T>): Promise<T> {
  if (signal.aborted) return Promise.reject(signal.reason);
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    const off = (): void => signal.removeEventListener('abort', onAbort);
    signal.addEventListener('abort', onAbort, { once: true });
    begin().finally(off).then(resolve, reject);
  });
}

/** A signal that aborts with the first of two; `dispose` takes its listeners off both. */
export function joinSignals(
  a: AbortSignal | undefined,
  b: AbortSignal | undefined,
): { readonly signal: AbortSignal; readonly dispose: () => void; readonly abort: (reason: unknown) => void } {
  const controller = abortController();
  const sources = [a, b].filter((s) => s !== undefined);
  const listeners = sources.map((s) => ({ s, on: () => controller.abort(s.reason) }));
  const dispose = (): void => {
    for (const { s, on } of listeners) s.removeEventListener('abort', on);
  };
  for (const { s, on } of listeners) {
    if (s.aborted) on();
    else s.addEventListener('abort', on, { once: true });
  }
  return { signal: controller.signal, dispose, abort: (reason) => controller.abort(reason) };
}

/** A context with a limit of its own: its controller is made only when the work reads the signal. */
class LimitedCall extends Call {
  #controller: AbortController | undefined;
  #reason: unknown;
  #aborted = false;

  /** Its limit and its caller can both abort it, so what runs inside must listen. */
  override get source(): AbortSignal {
    return this.signal;
  }

  override get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = abortController();
      if (this.#aborted) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  abort(reason: unknown): void {
    this.#aborted = true;
    this.#reason = reason;
    this.#controller?.abort(reason);
  }
}

/**
 * Run work within a time limit: reject with {@link TimeoutError} when it passes, or with the outer signal's reason,
 * and abort the work's own signal, and only that one. What the work does later is ignored. Where no time is left, the
 * work is not begun.
 */
export function within<T>(clock: Clock, limit: number, outer: CallContext, work: Work<T>): Promise<T> {
  const outerSource = abortSource(outer);
  if (outerSource?.aborted) return Promise.reject(outerSource.reason);
  const now = clock.now();
  const deadline = earlier(outer.deadline, now + limit);
  const effective = Math.max(0, Math.min(limit, (deadline ?? Number.POSITIVE_INFINITY) - now));
  if (effective === 0) return Promise.reject(new TimeoutError(0));
  const context = new LimitedCall(undefined, outer.attempt, deadline);
  return new Promise<T>((resolve, reject) => {
    const finish = (): void => {
      timer.cancel();
      outerSource?.removeEventListener('abort', onAbort);
    };
    const giveUp = (reason: unknown): void => {
      finish();
      reject(reason);
      context.abort(reason);
    };
    const onAbort = (): void => giveUp(outerSource?.reason);
    const timer = clock.schedule(effective, () => giveUp(new TimeoutError(effective)), { hold: true });
    outerSource?.addEventListener('abort', onAbort, { once: true });
    settle(work, context).finally(finish).then(resolve, reject);
  });
}
