import { type Backoff, exponential } from '../core/backoff.ts';
import type { Duration } from '../core/duration.ts';
import type { Unsubscribe } from '../core/emitter.ts';
import {
  durationOption,
  functionOption,
  nameOption,
  parseOptions,
  runtimeOption,
  z,
} from '../core/options.ts';
import type { Policy, RetryAllowance } from '../core/policy.ts';
import type { Runtime } from '../core/runtime.ts';
import { retryBudgetOption } from './spend.ts';
import { type Wait, waitOption } from './wait.ts';

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
   * Whether to try again after this result, such as a response with status 503. When no attempt is left, the last
   * result is the call's. One that throws counts as false. Default: never.
   */
  readonly retryIfResult?: ((result: unknown, attempt: number) => boolean) | undefined;
  /**
   * Who pays for every attempt after the first; when it cannot, the retrying ends. Share one among all that call the
   * same dependency. The work and all that it calls inherit it, so that retries in several layers together stay within
   * it. Default: the one that the call inherits, if any.
   */
  readonly budget?: RetryAllowance | undefined;
  /**
   * The longest wait that an outcome may ask for, by `retryAfter` (milliseconds) or by a `Retry-After` in its `headers`
   * or in those of its `response`: a shorter one is waited for, a longer one ends the retrying, because the answer is
   * known to come too late. Default 30 s.
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
  | 'budget-exhausted'
  | 'aborted';

/** An attempt failed and another follows. */
export interface Retried {
  /** The attempt that failed; 1 for the first. */
  readonly attempt: number;
  /** What it failed with; undefined when it failed by its result. */
  readonly error: unknown;
  /** The result that `retryIfResult` refused, if it is that. */
  readonly result?: unknown;
  /** Milliseconds until the next attempt. */
  readonly wait: number;
}

/** An attempt failed and none follows. */
export interface GaveUp {
  /** The attempt that failed; 1 for the first. */
  readonly attempt: number;
  /** What it failed with; undefined when it failed by its result. */
  readonly error: unknown;
  /** The result that `retryIfResult` refused, if it is that. */
  readonly result?: unknown;
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
  retryIfResult: functionOption<(result: unknown, attempt: number) => boolean>().optional(),
  budget: retryBudgetOption(),
  maxRetryAfter: durationOption().default(30_000),
  runtime: runtimeOption(),
});

/** The options with their defaults. */
export interface RetrySettings
  extends Pick<RetryOptions, 'retryIf' | 'retryIfResult' | 'budget' | 'runtime'> {
  readonly name: string;
  readonly attempts: number;
  readonly backoff: Backoff;
  readonly maxRetryAfter: number;
}

/** @throws InvalidOptionsError naming each option that is wrong. */
export function parseRetryOptions(options: RetryOptions): RetrySettings {
  return parseOptions('retry', optionsSchema, options);
}
