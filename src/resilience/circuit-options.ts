import { type Backoff, constant } from '../core/backoff.ts';
import type { Duration } from '../core/duration.ts';
import { InvalidOptionsError } from '../core/errors.ts';
import {
  durationOption,
  functionOption,
  nameOption,
  parseOptions,
  runtimeOption,
  z,
} from '../core/options.ts';
import type { Runtime } from '../core/runtime.ts';
import type { CircuitSnapshot } from './circuit-snapshot.ts';
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
  /**
   * The longest wait that a failure may ask for, by `retryAfter` (milliseconds) or by a `Retry-After` in its `headers`
   * or those of its `response`. The longer of that and `openFor` is waited for. Default 60 s.
   */
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
  /**
   * How long after its construction it only records and does not open by itself: for caches and connections that are
   * cold at the start. Default 0.
   */
  readonly warmUp?: Duration | undefined;
  /**
   * Measure how long calls take, for `metrics.latency`: over the last one to two of these durations. At least 1 ms.
   * Default: not measured, which saves each call a reading of the clock.
   */
  readonly latency?: Duration | undefined;
  /** Begin as another breaker was when `exportState()` was called on it. Default: closed and empty. */
  readonly initialState?: CircuitSnapshot | undefined;
  /** Clock, randomness and telemetry. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

/** What `reconfigure` may change: every option but those that only matter at the beginning. */
export type CircuitReconfiguration = Partial<
  Omit<CircuitBreakerOptions, 'name' | 'warmUp' | 'initialState' | 'runtime'>
>;

/** The user's judgement of outcomes. */
export interface CircuitPredicates {
  readonly isFailure: ((error: unknown) => boolean) | undefined;
  readonly isFailureResult: ((result: unknown) => boolean) | undefined;
  readonly ignore: ((error: unknown) => boolean) | undefined;
}

const defaultOpenFor = 5_000;
const defaultBackoff = constant(defaultOpenFor);
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
    openFor: waitOption().default(() => defaultBackoff),
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
    warmUp: durationOption().default(0),
    latency: durationOption(1).optional(),
    // Checked where it is taken up.
    initialState: z.custom<CircuitSnapshot>(isObject, { error: 'what exportState() gave' }).optional(),
    runtime: runtimeOption(),
  })
  .refine((o) => o.slowRate === undefined || o.slowThreshold !== undefined, {
    path: ['slowThreshold'],
    error: 'a duration, because slowRate is given',
  });

/** A breaker's options, checked. Breakers that differ in name only share one set of settings. */
export class CircuitConfiguration {
  readonly name: string;
  readonly settings: CircuitSettings;
  readonly predicates: CircuitPredicates;
  readonly runtime: Partial<Runtime> | undefined;
  readonly initialState: CircuitSnapshot | undefined;
  readonly #given: CircuitBreakerOptions;

  constructor(given: CircuitBreakerOptions, parsed: Omit<CircuitConfiguration, 'named' | 'changed'>) {
    this.name = parsed.name;
    this.settings = parsed.settings;
    this.predicates = parsed.predicates;
    this.runtime = parsed.runtime;
    this.initialState = parsed.initialState;
    this.#given = given;
  }

  /** The same under another name, which is not checked: keys of keyed breakers may be anything. */
  named(name: string): CircuitConfiguration {
    return new CircuitConfiguration(this.#given, { ...this, name });
  }

  /**
   * The same with some options changed; one that is `undefined` goes back to its default.
   *
   * @throws InvalidOptionsError naming each option that is wrong.
   */
  changed(changes: CircuitReconfiguration): CircuitConfiguration {
    refuseFixed(changes);
    const halfOpen =
      'halfOpen' in changes
        ? changes.halfOpen && { ...this.#given.halfOpen, ...changes.halfOpen }
        : this.#given.halfOpen;
    const parsed = parseCircuitOptions({ ...this.#given, ...changes, halfOpen });
    return parsed.named(this.name);
  }
}

const fixed = ['name', 'warmUp', 'initialState', 'runtime'];

function refuseFixed(changes: object): void {
  const issues = fixed
    .filter((field) => field in changes)
    .map((field) => ({ field, received: 'a change', accepts: 'no change; make a new breaker' }));
  if (issues.length > 0) throw new InvalidOptionsError('reconfigure', issues);
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

/**
 * Check a breaker's options and complete them. What is a configuration already is taken as it is.
 *
 * @throws InvalidOptionsError naming each field that is wrong.
 */
export function parseCircuitOptions(
  options: CircuitBreakerOptions | CircuitConfiguration,
): CircuitConfiguration {
  if (options instanceof CircuitConfiguration) return options;
  const parsed = parseOptions('CircuitBreaker', schema, options);
  const { name, initialState, runtime } = parsed;
  const isPlain = Object.keys(options).every((option) => option === 'name' || option === 'runtime');
  const { settings, predicates } = isPlain ? defaults : conductOf(parsed);
  return new CircuitConfiguration(options, { name, settings, predicates, initialState, runtime });
}

interface Conduct {
  readonly settings: CircuitSettings;
  readonly predicates: CircuitPredicates;
}

function conductOf(parsed: z.output<typeof schema>): Conduct {
  const { isFailure, isFailureResult, ignore } = parsed;
  return { settings: settingsOf(parsed), predicates: { isFailure, isFailureResult, ignore } };
}

function settingsOf(parsed: z.output<typeof schema>): CircuitSettings {
  const { halfOpen } = parsed;
  return {
    window: parsed.window,
    failureRate: parsed.failureRate,
    slowThreshold: parsed.slowThreshold ?? Number.POSITIVE_INFINITY,
    slowRate: parsed.slowRate ?? 0.5,
    minimumCalls: parsed.minimumCalls,
    consecutiveFailures: parsed.consecutiveFailures ?? Number.POSITIVE_INFINITY,
    openFor: parsed.openFor === defaultBackoff ? defaultBackoff : safely(parsed.openFor),
    maxRetryAfter: parsed.maxRetryAfter,
    probes: halfOpen.permits,
    maxWait: halfOpen.maxWait,
    early: halfOpen.early,
    failFast: halfOpen.failFast,
    warmUp: parsed.warmUp,
    latency: parsed.latency,
  };
}

function safely(openFor: Backoff): Backoff {
  return (attempt, random) => askBackoff(openFor, attempt, random, defaultOpenFor);
}

/** Ten thousand breakers without options of their own need not have ten thousand copies of these. */
const defaults: Conduct = conductOf(schema.parse({ name: 'default' }));
