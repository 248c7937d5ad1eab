import pRetry from 'p-retry';
import { enter } from '../core/abort.ts';
import { sleep } from '../core/clock.ts';
import { Emitter, type Unsubscribe } from '../core/emitter.ts';
import { warnOf } from '../core/log.ts';
import {
  abortSource,
  Call,
  type CallContext,
  type RetryAllowance,
  type RunOptions,
  type Work,
  wrapWith,
} from '../core/policy.ts';
import { type Runtime, resolveRuntime } from '../core/runtime.ts';
import { withoutStack } from './refusal.ts';
import {
  type GiveUpReason,
  parseRetryOptions,
  type RetryEvents,
  type RetryOptions,
  type RetryPolicy,
  type RetrySettings,
} from './retry-options.ts';
import { attemptIn, pays, spending } from './spend.ts';
import { askBackoff, retryAfterOf } from './wait.ts';

/**
 * A policy that tries work again when it fails, after a wait. It gives up with the last error (or refused result) when
 * the attempts or the budget are used up, when the error says `retryable: false` or asks for too long a wait, when the
 * next attempt would begin after the call's deadline, and when the caller gives up, also in the middle of a wait.
 *
 * Only retry what may be done twice.
 *
 * @throws InvalidOptionsError naming each option that is wrong.
 */
export function retry(options: RetryOptions = {}): RetryPolicy {
  return new Retry(parseRetryOptions(options));
}

/** How an attempt failed: by an error, or by a result that is not good enough. */
type Failure = { readonly error: unknown; readonly result?: never } | { readonly result: unknown };

/**
 * Carries a failed attempt through p-retry, which treats some errors specially and changes what is no Error, and out of
 * it again.
 */
class FailedAttempt extends Error {
  readonly failure: Failure;

  constructor(failure: Failure) {
    super();
    this.failure = failure;
  }
}

const failedAttempt = (failure: Failure): FailedAttempt => withoutStack(() => new FailedAttempt(failure));

/** What the call gives in the end after this failure. */
function concede<T>(failure: Failure): T {
  if ('error' in failure) throw failure.error;
  return failure.result as T;
}

/** The implementation of {@link retry}. */
export class Retry implements RetryPolicy {
  readonly #options: RetrySettings;
  readonly #runtime: Runtime;
  readonly #emitter: Emitter<RetryEvents>;

  constructor(options: RetrySettings) {
    this.#options = options;
    this.#runtime = resolveRuntime(options.runtime);
    this.#emitter = new Emitter('retry', options.name, this.#runtime.telemetry);
  }

  /** Whether it has a budget of its own, which retries inside inherit. */
  get hasBudget(): boolean {
    return this.#options.budget !== undefined;
  }

  run<T>(work: Work<T>, options?: RunOptions): Promise<T> {
    return enter(this.#runtime.clock, options, (outer) => {
      const context = spending(outer, this.#options.budget);
      const first = attemptIn(work, context);
      const failed = (failure: Failure): T | Promise<T> => {
        const wait = this.#waitAfter(1, failure, context);
        return wait === undefined ? concede(failure) : this.#again(work, context, failure, wait);
      };
      if (this.#options.retryIfResult === undefined) return first.catch((error) => failed({ error }));
      return first.then(
        (result) => (this.#refuses(result, 1) ? failed({ result }) : result),
        (error) => failed({ error }),
      );
    });
  }

  wrap<A extends unknown[], R>(work: (...args: A) => R): (...args: A) => Promise<Awaited<R>> {
    return wrapWith(this, work);
  }

  on<K extends keyof RetryEvents & string>(
    event: K,
    listener: (payload: RetryEvents[K]) => void,
  ): Unsubscribe {
    return this.#emitter.on(event, listener);
  }

  /** Every attempt after the first, by p-retry: it counts and loops, we decide and sleep. */
  async #again<T>(work: Work<T>, context: CallContext, first: Failure, firstWait: number): Promise<T> {
    const source = abortSource(context);
    const { deadline, retryBudget } = context;
    let wait: number | undefined = firstWait;
    const attempt = async (number: number): Promise<T> => {
      // p-retry's first attempt is the one that has been made already.
      if (number === 1) throw failedAttempt(first);
      const repeated = new Call(source, context.attempt + number - 1, deadline, retryBudget);
      const failure = await this.#try(work, repeated, number);
      if (!('failure' in failure)) return failure.result;
      wait = this.#waitAfter(number, failure.failure, context, wait);
      throw failedAttempt(failure.failure);
    };
    try {
      return await pRetry(attempt, {
        retries: this.#options.attempts - 1,
        // It would sleep on real timers; with no wait it makes none, and the sleep below is on our clock.
        minTimeout: 0,
        onFailedAttempt: async ({ error }) => {
          if (wait === undefined) throw error;
          await sleep(this.#runtime.clock, wait, source);
        },
      });
    } catch (thrown) {
      if (thrown instanceof FailedAttempt) return concede(thrown.failure);
      throw thrown;
    }
  }

  /** One repeated attempt. */
  async #try<T>(
    work: Work<T>,
    context: CallContext,
    number: number,
  ): Promise<{ readonly result: T } | { readonly failure: Failure }> {
    try {
      const result = await attemptIn(work, context);
      if (this.#refuses(result, number)) return { failure: { result } };
      if (this.#emitter.wants('recovered')) this.#emitter.emit('recovered', { attempt: number });
      return { result };
    } catch (error) {
      return { failure: { error } };
    }
  }

  /** Whether a result is as bad as an error. */
  #refuses(result: unknown, attempt: number): boolean {
    const { retryIfResult } = this.#options;
    return retryIfResult !== undefined && allows(retryIfResult, result, attempt);
  }

  /** How long to wait for the next attempt, or undefined to give up; tells either. */
  #waitAfter(attempt: number, failure: Failure, context: CallContext, previous?: number): number | undefined {
    const wait = this.#decide(attempt, failure, context, previous);
    const failed =
      'error' in failure ? { error: failure.error } : { error: undefined, result: failure.result };
    if (typeof wait === 'number') {
      if (this.#emitter.wants('retried')) this.#emitter.emit('retried', { attempt, ...failed, wait });
      return wait;
    }
    if (this.#emitter.wants('gaveUp')) this.#emitter.emit('gaveUp', { attempt, ...failed, reason: wait });
    return undefined;
  }

  #decide(
    attempt: number,
    failure: Failure,
    context: CallContext,
    previous: number | undefined,
  ): number | GiveUpReason {
    const { attempts, backoff, maxRetryAfter, retryIf } = this.#options;
    const { clock, random } = this.#runtime;
    if (abortSource(context)?.aborted) return 'aborted';
    if (attempt >= attempts) return 'attempts-exhausted';
    if ('error' in failure && !isRetryable(failure.error, retryIf, attempt)) return 'not-retryable';
    const asked = retryAfterOf('error' in failure ? failure.error : failure.result, () => clock.wallTime());
    if (asked > maxRetryAfter) return 'retry-after-too-long';
    const wait = Math.max(asked, askBackoff(backoff, attempt, random, 1_000, previous));
    const tooLate = context.deadline !== undefined && clock.now() + wait >= context.deadline;
    if (tooLate) return 'deadline-too-near';
    // Asked last: what is charged is really tried again, unless the caller leaves during the wait.
    return pays(this.#budgetOf(context)) ? wait : 'budget-exhausted';
  }

  #budgetOf(context: CallContext): RetryAllowance | undefined {
    return this.#options.budget ?? context.retryBudget;
  }
}

function isRetryable(error: unknown, retryIf: RetryOptions['retryIf'], attempt: number): boolean {
  if ((error as { readonly retryable?: unknown } | null | undefined)?.retryable === false) return false;
  return retryIf === undefined || allows(retryIf, error, attempt);
}

function allows(
  predicate: (outcome: unknown, attempt: number) => boolean,
  outcome: unknown,
  attempt: number,
): boolean {
  try {
    return predicate(outcome, attempt);
  } catch (thrown) {
    warnOf('a predicate of a retry threw; the work is not tried again', thrown);
    return false;
  }
}
