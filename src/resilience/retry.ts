import pRetry from 'p-retry';
import { enter } from '../core/abort.ts';
import { exponential } from '../core/backoff.ts';
import { sleep } from '../core/clock.ts';
import type { Duration } from '../core/duration.ts';
import { Emitter, type Unsubscribe } from '../core/emitter.ts';
import { warnOf } from '../core/log.ts';
import {
  durationOption,
  functionOption,
  nameOption,
  parseOptions,
  runtimeOption,
  z,
} from '../core/options.ts';
import {
  abortSource,
  Call,
  type CallContext,
  type Policy,
  type RunOptions,
  settle,
  type Work,
  wrapWith,
} from '../core/policy.ts';
import { type Runtime, resolveRuntime } from '../core/runtime.ts';
import { withoutStack } from './refusal.ts';
import { askBackoff, retryAfterOf, type Wait, waitOption } from './wait.ts';

/** Options of {@link retry}. */
export interface RetryOptions {
  /** Names it in events. Default `retry`. */
  readonly name?: string | undefined;
  /** How often the work is tried in all, the first time included; a whole number ≥ 1 or Infinity. Default 3. */
  readonly attempts?: number | undefined;
  /** How long to wait between attempts: a fixed time, options of `exponential`, or a backoff. Default `exponential()`. */
  readonly backoff?: Wait | undefined;
  /**
   * Whether to try again after this error. Asked only while attempts are left and `error.retryable` is not false.
   * One that throws counts as false. Default: always.
   */
  readonly retryIf?: ((error: unknown, attempt: number) => boolean) | undefined;
  /**
   * The longest wait that an error may ask for by `retryAfter` (milliseconds): a shorter one is waited for, a longer
   * one ends the retrying, because the answer is known to come too late. Default 30 s.
   */
  readonly maxRetryAfter?: Duration | undefined;
  /** Clock, randomness and telemetry. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

/** Why the work is not tried again. */
export type GiveUpReason =
  | 'attempts-exhausted'
  | 'not-retryable'
  | 'retry-after-too-long'
  | 'deadline-too-near'
  | 'aborted';

/** An attempt failed and another follows. */
export interface Retried {
  /** The attempt that failed; 1 for the first. */
  readonly attempt: number;
  readonly error: unknown;
  /** Milliseconds until the next attempt. */
  readonly wait: number;
}

/** An attempt failed and none follows. */
export interface GaveUp {
  /** The attempt that failed; 1 for the first. */
  readonly attempt: number;
  readonly error: unknown;
  readonly reason: GiveUpReason;
}

/** A later attempt succeeded. */
export interface Recovered {
  /** The attempt that succeeded. */
  readonly attempt: number;
}

/** Events of {@link retry}. Work that succeeds at once causes none. */
export interface RetryEvents {
  readonly retried: Retried;
  readonly gaveUp: GaveUp;
  readonly recovered: Recovered;
}

/** What {@link retry} gives. */
export interface RetryPolicy extends Policy {
  /** Listen to what happens; returns how to stop listening. */
  on<K extends keyof RetryEvents & string>(
    event: K,
    listener: (payload: RetryEvents[K]) => void,
  ): Unsubscribe;
}

const optionsSchema = z.strictObject({
  name: nameOption().default('retry'),
  attempts: z
    .custom<number>(
      (value) => value === Number.POSITIVE_INFINITY || (Number.isInteger(value) && Number(value) >= 1),
      {
        error: 'a whole number ≥ 1, or Infinity',
      },
    )
    .default(3),
  backoff: waitOption().default(() => exponential()),
  retryIf: functionOption<(error: unknown, attempt: number) => boolean>().optional(),
  maxRetryAfter: durationOption().default(30_000),
  runtime: runtimeOption(),
});

/**
 * A policy that tries work again when it fails, after a wait. It gives up with the last error when the attempts are
 * used up, when the error says `retryable: false` or asks for too long a wait, when the next attempt would begin after
 * the call's deadline, and when the caller gives up, also in the middle of a wait.
 *
 * Only retry what may be done twice.
 *
 * @throws InvalidOptionsError naming each option that is wrong.
 */
export function retry(options: RetryOptions = {}): RetryPolicy {
  return new Retry(parseOptions('retry', optionsSchema, options));
}

/** Carries what an attempt threw through p-retry, which treats some errors specially and changes what is no Error. */
class FailedAttempt extends Error {
  readonly error: unknown;

  constructor(error: unknown) {
    super();
    this.error = error;
  }
}

const failedAttempt = (error: unknown): FailedAttempt => withoutStack(() => new FailedAttempt(error));

class Retry implements RetryPolicy {
  readonly #options: z.output<typeof optionsSchema>;
  readonly #runtime: Runtime;
  readonly #emitter: Emitter<RetryEvents>;

  constructor(options: z.output<typeof optionsSchema>) {
    this.#options = options;
    this.#runtime = resolveRuntime(options.runtime);
    this.#emitter = new Emitter('retry', options.name, this.#runtime.telemetry);
  }

  run<T>(work: Work<T>, options?: RunOptions): Promise<T> {
    return enter(this.#runtime.clock, options, (context) =>
      settle(work, context).catch((error: unknown) => {
        const wait = this.#waitAfter(1, error, context);
        if (wait === undefined) throw error;
        return this.#again(work, context, error, wait);
      }),
    );
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
  async #again<T>(work: Work<T>, context: CallContext, firstError: unknown, firstWait: number): Promise<T> {
    const source = abortSource(context);
    let wait: number | undefined = firstWait;
    const attempt = async (number: number): Promise<T> => {
      // p-retry's first attempt is the one that has been made already.
      if (number === 1) throw failedAttempt(firstError);
      try {
        const result = await settle(work, new Call(source, context.attempt + number - 1, context.deadline));
        if (this.#emitter.wants('recovered')) this.#emitter.emit('recovered', { attempt: number });
        return result;
      } catch (error) {
        wait = this.#waitAfter(number, error, context);
        throw failedAttempt(error);
      }
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
    } catch (failure) {
      throw failure instanceof FailedAttempt ? failure.error : failure;
    }
  }

  /** How long to wait for the next attempt, or undefined to give up; tells either. */
  #waitAfter(attempt: number, error: unknown, context: CallContext): number | undefined {
    const wait = this.#decide(attempt, error, context);
    if (typeof wait === 'number') {
      if (this.#emitter.wants('retried')) this.#emitter.emit('retried', { attempt, error, wait });
      return wait;
    }
    if (this.#emitter.wants('gaveUp')) this.#emitter.emit('gaveUp', { attempt, error, reason: wait });
    return undefined;
  }

  #decide(attempt: number, error: unknown, context: CallContext): number | GiveUpReason {
    const { attempts, backoff, maxRetryAfter, retryIf } = this.#options;
    const { clock, random } = this.#runtime;
    if (abortSource(context)?.aborted) return 'aborted';
    if (attempt >= attempts) return 'attempts-exhausted';
    if (!isRetryable(error) || !allows(retryIf, error, attempt)) return 'not-retryable';
    const asked = retryAfterOf(error);
    if (asked > maxRetryAfter) return 'retry-after-too-long';
    const wait = Math.max(asked, askBackoff(backoff, attempt, random, 1_000));
    const tooLate = context.deadline !== undefined && clock.now() + wait >= context.deadline;
    return tooLate ? 'deadline-too-near' : wait;
  }
}

function isRetryable(error: unknown): boolean {
  return (error as { readonly retryable?: unknown } | null | undefined)?.retryable !== false;
}

function allows(retryIf: RetryOptions['retryIf'], error: unknown, attempt: number): boolean {
  try {
    return retryIf === undefined || retryIf(error, attempt);
  } catch (thrown) {
    warnOf('retryIf threw; the work is not tried again', thrown);
    return false;
  }
}
