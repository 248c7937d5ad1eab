import { abortController } from './abort-controller.ts';
import { currentCallContext } from './ambient.ts';
import type { Clock, Timer } from './clock.ts';
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
import { type QueueEntry, type TimerQueue, timerQueue } from './timer-queue.ts';

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
  const context = new Call(source, options.attempt ?? 1, deadline, options.retryBudget ?? outer?.retryBudget);
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

/** A context that whoever made it can abort: its controller is made only when the work reads the signal. */
export class AbortableCall extends Call {
  #controller: AbortController | undefined;
  #reason: unknown;
  #aborted = false;

  /** It can be aborted, so what runs inside must listen. */
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

  /** Abort the signal, also where it is read only later. */
  abort(reason: unknown): void {
    this.#aborted = true;
    this.#reason = reason;
    this.#controller?.abort(reason);
  }
}

/** Options of {@link within}. */
export interface WithinOptions {
  /** Whether the error says when the event loop was blocked for most of the limit. Default true. */
  readonly noticeLag?: boolean;
}

/**
 * Run work within a time limit: reject with {@link TimeoutError} when it passes, or with the outer signal's reason,
 * and abort the work's own signal, and only that one. What the work does later is ignored. Where no time is left, the
 * work is not begun.
 */
export function within<T>(
  clock: Clock,
  limit: number,
  outer: CallContext,
  work: Work<T>,
  options?: WithinOptions,
): Promise<T> {
  const source = abortSource(outer);
  if (source?.aborted) return Promise.reject(source.reason);
  const now = clock.now();
  const own = now + limit;
  const outerFirst = outer.deadline !== undefined && outer.deadline < own;
  const deadline = outerFirst ? (outer.deadline ?? own) : own;
  const effective = deadline - now;
  if (effective <= 0) return Promise.reject(new TimeoutError(0));
  const call = new TimedCall(
    clock,
    outer,
    deadline,
    outerFirst ? effective : limit,
    options?.noticeLag ?? true,
  );
  return new Promise<T>((resolve, reject) => {
    call.begin(now, outerFirst, source, reject);
    settle(work, call).then(
      (result) => call.settled(resolve, result),
      (error) => call.settled(reject, error),
    );
  });
}

/** A timeout is put down to the event loop where that was blocked for this share of the limit, or more. */
const blamedShare = 0.75;

/**
 * The context of work under a time limit, and the limit itself. For whoever cannot afford the promise of {@link within}:
 * `begin`, then `settled` when the work has settled, which passes the outcome on unless the call was over before.
 */
export class TimedCall extends AbortableCall implements QueueEntry {
  dueAt = 0;
  blockedBefore = 0;
  before: QueueEntry | undefined = undefined;
  after: QueueEntry | undefined = undefined;
  readonly #clock: Clock;
  readonly #limit: number;
  readonly #noticeLag: boolean;
  #queue: TimerQueue | undefined;
  #timer: Timer | undefined;
  #outer: AbortSignal | undefined;
  #onAbort: (() => void) | undefined;
  #reject: ((error: unknown) => void) | undefined;

  constructor(clock: Clock, outer: CallContext, deadline: number, limit: number, noticeLag: boolean) {
    super(undefined, outer.attempt, deadline, outer.retryBudget);
    this.#clock = clock;
    this.#limit = limit;
    this.#noticeLag = noticeLag;
  }

  /**
   * Start the clock, and listen to the outer signal.
   *
   * @param alone whether its limit is seldom as long as another one, so that it gets a timer of its own
   */
  begin(now: number, alone: boolean, outer: AbortSignal | undefined, reject: (error: unknown) => void): void {
    this.#reject = reject;
    if (alone) {
      // What is left of an outer limit is seldom as long as anything else.
      const due = now + this.#limit;
      this.#timer = this.#clock.schedule(this.#limit, () => this.expire(this.#clock.now() - due), {
        hold: true,
      });
    } else {
      this.#queue = timerQueue(this.#clock, this.#limit);
      this.#queue.add(this, now);
    }
    if (outer === undefined) return;
    this.#outer = outer;
    this.#onAbort = () => this.giveUp(outer.reason);
    outer.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** The work has settled: pass that on, unless the call is over. */
  settled<V>(pass: (value: V) => void, value: V): void {
    if (this.#end() !== undefined) pass(value);
  }

  expire(blocked: number): void {
    this.#queue = undefined;
    if (!this.#noticeLag || blocked < this.#limit * blamedShare) {
      this.giveUp(new TimeoutError(this.#limit));
      return;
    }
    // Timers come before input in each turn of the loop: one more turn takes in what arrived while it was blocked.
    const lag = blocked;
    const giveUp = (): void => this.giveUp(new TimeoutError(this.#limit, { lag }));
    this.#timer = this.#clock.schedule(0, giveUp, { hold: true });
  }

  /** End it now: reject, unless it is over, and abort its signal. */
  giveUp(reason: unknown): void {
    this.#end()?.(reason);
    this.abort(reason);
  }

  /** Stop everything; gives how to reject, the first time. */
  #end(): ((error: unknown) => void) | undefined {
    const reject = this.#reject;
    if (reject === undefined) return undefined;
    this.#reject = undefined;
    this.#queue?.remove(this);
    this.#timer?.cancel();
    if (this.#onAbort !== undefined) this.#outer?.removeEventListener('abort', this.#onAbort);
    return reject;
  }
}
