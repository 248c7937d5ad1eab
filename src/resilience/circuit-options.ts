import { constant } from '../core/backoff.ts';
import type { Duration } from '../core/duration.ts';
import {
  durationOption,
  functionOption,
  nameOption,
  parseOptions,
  runtimeOption,
  z,
} from '../core/options.ts';
import type { Runtime } from '../core/runtime.ts';
import type { CircuitSettings } from './circuit-types.ts';
import { askBackoff, type Wait, waitOption } from './wait.ts';

/** How a breaker finds out, after its open wait, whether the dependency is well again. */
export interface HalfOpenOptions {
  /** How many calls may pass as probes; the others are rejected at once. Default 3. */
  readonly permits?: number | undefined;
  /**
   * How long a probe may take: then its signal aborts, its call rejects with `TimeoutError`, and the breaker opens
   * again. So a hung dependency cannot hold the breaker half-open. At least 1 ms. Default 30 s.
   */
  readonly maxWait?: Duration | undefined;
  /** Decide as soon as the missing probes can no longer change the result. Default false: wait for all of them. */
  readonly early?: boolean | undefined;
  /** Open again at the first probe that fails, whatever the rate. Default false. */
  readonly failFast?: boolean | undefined;
}

/** Options of `CircuitBreaker`. */
export interface CircuitBreakerOptions {
  /** Names it in errors, events and metrics. */
  readonly name: string;
  /** Opens when this share of the calls in the window failed, or more; in (0, 1]. Default 0.5. */
  readonly failureRate?: number | undefined;
  /** A call that takes longer is slow, whether it succeeds or fails. Default: slow calls do not matter. */
  readonly slowThreshold?: Duration | undefined;
  /** Opens when this share of the calls was slow, or more; in (0, 1]. Needs `slowThreshold`. Default 0.5. */
  readonly slowRate?: number | undefined;
  /** Opens at this many failures in a row, whatever the rates and `minimumCalls`. Default: it does not. */
  readonly consecutiveFailures?: number | undefined;
  /** What the rates are computed over: a length of time of at least 10 ms, or a number of calls. Default 10 s. */
  readonly window?: Duration | { readonly calls: number } | undefined;
  /** Rates mean nothing before this many calls are in the window; at most the size of a count window. Default 10. */
  readonly minimumCalls?: number | undefined;
  /**
   * How long it stays open before it lets probes through: a fixed time, options of `exponential`, or a backoff, which
   * is asked with 1 at the first opening and with one more at each that follows without a close between. Default 5 s.
   */
  readonly openFor?: Wait | undefined;
  /** A failure that asks for a longer wait by `retryAfter` (milliseconds) gets it, up to this. Default 60 s. */
  readonly maxRetryAfter?: Duration | undefined;
  /** How it probes. */
  readonly halfOpen?: HalfOpenOptions | undefined;
  /**
   * Whether an error counts as a failure; other errors count as successes (a 404 proves that the service answers).
   * Default: every error. One that throws counts as true.
   */
  readonly isFailure?: ((error: unknown) => boolean) | undefined;
  /** Whether a result counts as a failure, such as a response with status 503. Default: none. One that throws counts as true. */
  readonly isFailureResult?: ((result: unknown) => boolean) | undefined;
  /**
   * Whether an error says nothing about the dependency and is counted nowhere. Asked before `isFailure`. Calls whose
   * caller gave up, and those that a bulkhead, a rate limiter or another breaker refused, are never counted.
   * Default: none. One that throws counts the error as a failure.
   */
  readonly ignore?: ((error: unknown) => boolean) | undefined;
  /** Clock, randomness and telemetry. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

/** The user's judgement of outcomes. */
export interface CircuitPredicates {
  readonly isFailure: ((error: unknown) => boolean) | undefined;
  readonly isFailureResult: ((result: unknown) => boolean) | undefined;
  readonly ignore: ((error: unknown) => boolean) | undefined;
}

const defaultOpenFor = 5_000;
const shortestWindow = 10;
const largestWindow = 1_000_000;

const rateOption = z.number().gt(0).max(1);
const countOption = z.int().min(1);

const windowOption = z.union([
  durationOption(shortestWindow).transform((time) => ({ time })),
  z.strictObject({ calls: z.int().min(1).max(largestWindow) }),
]);

const schema = z
  .strictObject({
    name: nameOption(),
    failureRate: rateOption.default(0.5),
    slowThreshold: durationOption().optional(),
    slowRate: rateOption.optional(),
    consecutiveFailures: countOption.optional(),
    window: windowOption.default({ time: 10_000 }),
    minimumCalls: countOption.default(10),
    openFor: waitOption().default(() => constant(defaultOpenFor)),
    maxRetryAfter: durationOption().default(60_000),
    halfOpen: z
      .strictObject({
        permits: countOption.default(3),
        maxWait: durationOption(1).default(30_000),
        early: z.boolean().default(false),
        failFast: z.boolean().default(false),
      })
      .prefault({}),
    isFailure: functionOption<(error: unknown) => boolean>().optional(),
    isFailureResult: functionOption<(result: unknown) => boolean>().optional(),
    ignore: functionOption<(error: unknown) => boolean>().optional(),
    runtime: runtimeOption(),
  })
  .refine((o) => o.slowRate === undefined || o.slowThreshold !== undefined, {
    path: ['slowThreshold'],
    error: 'a duration, because slowRate is given',
  });

/** What the options of a breaker come to. */
export interface ParsedCircuitOptions {
  readonly name: string;
  readonly settings: CircuitSettings;
  readonly predicates: CircuitPredicates;
  readonly runtime: Partial<Runtime> | undefined;
}

/**
 * Check a breaker's options and complete them.
 *
 * @throws InvalidOptionsError naming each field that is wrong.
 */
export function parseCircuitOptions(options: CircuitBreakerOptions): ParsedCircuitOptions {
  const parsed = parseOptions('CircuitBreaker', schema, options);
  const { name, halfOpen, isFailure, isFailureResult, ignore, runtime } = parsed;
  const settings: CircuitSettings = {
    window: parsed.window,
    failureRate: parsed.failureRate,
    slowThreshold: parsed.slowThreshold ?? Number.POSITIVE_INFINITY,
    slowRate: parsed.slowRate ?? 0.5,
    minimumCalls: parsed.minimumCalls,
    consecutiveFailures: parsed.consecutiveFailures ?? Number.POSITIVE_INFINITY,
    openFor: (attempt, random) => askBackoff(parsed.openFor, attempt, random, defaultOpenFor),
    maxRetryAfter: parsed.maxRetryAfter,
    probes: halfOpen.permits,
    maxWait: halfOpen.maxWait,
    early: halfOpen.early,
    failFast: halfOpen.failFast,
  };
  return { name, settings, predicates: { isFailure, isFailureResult, ignore }, runtime };
}
