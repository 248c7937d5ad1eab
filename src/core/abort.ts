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

/** Options of {@link TimeLimit} and {@link within}. */
export interface WithinOptions {
  /** Whether the error says when the event loop was blocked for most of the limit. Default true. */
  readonly noticeLag?: boolean;
}

/** A time limit for any number of calls, each of which has it for itself. */
export class TimeLimit {
  readonly clock: Clock;
  /** Milliseconds. */
  readonly length: number;
  readonly noticeLag: boolean;
  #queue: TimerQueue | undefined;

  constructor(clock: Clock, length: number, { noticeLag = true }: WithinOptions = {}) {
    this.clock = clock;
    this.length = length;
    this.noticeLag = noticeLag;
  }

  /** The queue that all limits of this length share. */
  get queue(): TimerQueue {
    if (this.#queue?.isListed !== true) this.#queue = timerQueue(this.clock, this.length);
    return this.#queue;
  }

  /**
   * Run work within the limit: reject with {@link TimeoutError} when it passes, or with the outer signal's reason, and
   * abort the work's own signal, and only that one. What the work does later is ignored. Where no time is left, the work
   * is not begun.
   */
  run<T>(outer: CallContext, work: Work<T>): Promise<T> {
    const source = abortSource(outer);
    if (source?.aborted) return Promise.reject(source.reason);
    const now = this.clock.now();
    const own = now + this.length;
    const outerFirst = outer.deadline !== undefined && outer.deadline < own;
    const deadline = outerFirst ? (outer.deadline ?? own) : own;
    const effective = deadline - now;
    if (effective <= 0) return Promise.reject(new TimeoutError(0));
    const limit = outerFirst ? new TimeLimit(this.clock, effective, this) : this;
    const call = new TimedCall(outer, deadline, limit);
    const promise = new Promise<T>(takeSettlers);
    const { resolve, reject } = taken as Settlers<T>;
    // What is kept here would keep the result.
    taken.resolve = nothing;
    taken.reject = nothing;
    call.begin(now, outerFirst, source, reject);
    settle(work, call).then(
      (result) => call.settled(resolve, result),
      (error) => call.settled(reject, error),
    );
    return promise;
  }
}

interface Settlers<T> {
  resolve: (value: T) => void;
  reject: (error: unknown) => void;
}

const nothing = (): void => {};

/** What the promise made last is settled by: read at once, so one executor serves all and no call makes its own. */
const taken: Settlers<never> = { resolve: nothing, reject: nothing };

function takeSettlers(resolve: (value: never) => void, reject: (error: unknown) => void): void {
  taken.resolve = resolve;
  taken.reject = reject;
}

/** Run work within a time limit, as {@link TimeLimit.run} does, where the limit is that of one call. */
export function within<T>(
  clock: Clock,
  limit: number,
  outer: CallContext,
  work: Work<T>,
  options?: WithinOptions,
): Promise<T> {
  return new TimeLimit(clock, limit, options).run(outer, work);
}

/** A timeout is put down to the event loop where that was blocked for this share of the limit, or more. */
const blamedShare = 0.75;

/**
 * The context of work under a time limit, and its share of that limit. For whoever cannot afford the promise of
 * {@link within}: `begin`, then `settled` when the work has settled, which passes the outcome on unless the call was over
 * before.
 */
export class TimedCall extends AbortableCall implements QueueEntry {
  dueAt = 0;
  blockedBefore = 0;
  before: QueueEntry | undefined = undefined;
  after: QueueEntry | undefined = undefined;
  readonly #limit: TimeLimit;
  #queue: TimerQueue | undefined = undefined;
  #reject: ((error: unknown) => void) | undefined = undefined;
  /** Takes a timer of its own and a listener away, where it has any. */
  #tidy: (() => void) | undefined = undefined;

  constructor(outer: CallContext, deadline: number, limit: TimeLimit) {
    super(undefined, outer.attempt, deadline, outer.retryBudget);
    this.#limit = limit;
  }

  /**
   * Start the clock, and listen to the outer signal.
   *
   * @param alone whether its limit is seldom as long as another one, so that it gets a timer of its own
   */
  begin(now: number, alone: boolean, outer: AbortSignal | undefined, reject: (error: unknown) => void): void {
    this.#reject = reject;
    if (alone) {
      this.#wait(now);
    } else {
      this.#queue = this.#limit.queue;
      this.#queue.add(this, now);
    }
    if (outer !== undefined) this.#listen(outer);
  }

  /** What is left of an outer limit is seldom as long as anything else, so it has a timer of its own. */
  #wait(now: number): void {
    const { clock, length } = this.#limit;
    const due = now + length;
    const timer = clock.schedule(length, () => this.expire(clock.now() - due), { hold: true });
    this.#tidy = () => timer.cancel();
  }

  #listen(outer: AbortSignal): void {
    const tidy = this.#tidy;
    const onAbort = (): void => this.giveUp(outer.reason);
    outer.addEventListener('abort', onAbort, { once: true });
    this.#tidy = () => {
      tidy?.();
      outer.removeEventListener('abort', onAbort);
    };
  }

  /** The work has settled: pass that on, unless the call is over. */
  settled<V>(pass: (value: V) => void, value: V): void {
    if (this.#end() !== undefined) pass(value);
  }

  expire(blocked: number): void {
    this.#queue = undefined;
    const { clock, length, noticeLag } = this.#limit;
    if (!noticeLag || blocked < length * blamedShare) {
      this.giveUp(new TimeoutError(length));
      return;
    }
    // Timers come before input in each turn of the loop: one more turn takes in what arrived while it was blocked.
    const tidy = this.#tidy;
    const giveUp = (): void => this.giveUp(new TimeoutError(length, { lag: blocked }));
    const timer = clock.schedule(0, giveUp, { hold: true });
    this.#tidy = () => {
      tidy?.();
      timer.cancel();
    };
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
    this.#tidy?.();
    return reject;
  }
}
