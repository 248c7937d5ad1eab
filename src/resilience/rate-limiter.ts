import { enter } from '../core/abort.ts';
import type { Clock } from '../core/clock.ts';
import type { Duration } from '../core/duration.ts';
import { Emitter, type Unsubscribe } from '../core/emitter.ts';
import { InvalidOptionsError, RateLimitedError } from '../core/errors.ts';
import { type GcraDecision, type GcraLimit, GcraTable } from '../core/gcra.ts';
import { describe, durationOption, nameOption, parseOptions, runtimeOption, z } from '../core/options.ts';
import { type Policy, type RunOptions, settle, type Work, wrapWith } from '../core/policy.ts';
import { type Runtime, resolveRuntime } from '../core/runtime.ts';
import { withoutStack } from './refusal.ts';

/** Options of {@link RateLimiter}. */
export interface RateLimiterOptions {
  /** Names it in errors, events and metrics. */
  readonly name: string;
  /** How many calls are allowed per period on average; > 0. */
  readonly limit: number;
  /** The period; ≥ 1 ms. */
  readonly per: Duration;
  /** How many calls may come at once; ≥ 1. Default: `limit`, and at least 1. */
  readonly burst?: number | undefined;
  /** How many keys are remembered; beyond, those idle longest are forgotten and are then full again. Default 100,000. */
  readonly capacity?: number | undefined;
  /** Clock and telemetry. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

/** Options of {@link RateLimiter.run}. */
export interface RateLimitedRunOptions extends RunOptions {
  /** Whose limit the call is charged to, such as a tenant. Default: one that all calls without a key share. */
  readonly key?: string | undefined;
  /** How many calls it counts as; from above 0 to `burst`. Default 1. */
  readonly cost?: number | undefined;
}

/** A call was refused without being made. */
export interface RateLimiterRejected {
  readonly key: string;
  /** Milliseconds after which it would be allowed. */
  readonly retryAfter: number;
}

/** Events of {@link RateLimiter}. */
export interface RateLimiterEvents {
  readonly rejected: RateLimiterRejected;
}

const optionsSchema = z.strictObject({
  name: nameOption(),
  limit: z.number().gt(0),
  per: durationOption(1),
  burst: z.number().min(1).optional(),
  capacity: z.int().min(1).default(100_000),
  runtime: runtimeOption(),
});

/**
 * Lets calls pass at a limited rate, by key, within this process; the others are refused at once and cost nothing.
 * The algorithm is GCRA, which is exact at the borders of periods.
 */
export class RateLimiter implements Policy {
  readonly #name: string;
  readonly #rule: GcraLimit & { readonly burst: number };
  readonly #table: GcraTable;
  readonly #clock: Clock;
  readonly #emitter: Emitter<RateLimiterEvents>;

  /** @throws InvalidOptionsError naming each option that is wrong. */
  constructor(options: RateLimiterOptions) {
    const { name, limit, per, burst, capacity, runtime } = parseOptions(
      'RateLimiter',
      optionsSchema,
      options,
    );
    const { clock, telemetry } = resolveRuntime(runtime);
    this.#name = name;
    this.#rule = { limit, period: per, burst: burst ?? Math.max(1, limit) };
    this.#table = new GcraTable(capacity);
    this.#clock = clock;
    this.#emitter = new Emitter('rate-limiter', name, telemetry);
  }

  /** The name that it was given. */
  get name(): string {
    return this.#name;
  }

  /**
   * Charge `cost` calls to a key, and say whether they may be made.
   *
   * @throws InvalidOptionsError when the cost is not above 0 or is more than `burst`, which no wait would ever allow.
   */
  take(key = '', cost = 1): GcraDecision {
    if (!(cost > 0 && cost <= this.#rule.burst)) {
      const accepts = `a number > 0 and ≤ ${this.#rule.burst}, the burst`;
      throw new InvalidOptionsError('RateLimiter', [{ field: 'cost', received: describe(cost), accepts }]);
    }
    const decision = this.#table.take(key, this.#clock.now(), this.#rule, cost);
    if (!decision.allowed && this.#emitter.wants('rejected')) {
      this.#emitter.emit('rejected', { key, retryAfter: decision.retryAfter });
    }
    return decision;
  }

  /** Make the call if the rate allows it. Rejects with `RateLimitedError` when it does not. */
  run<T>(work: Work<T>, options?: RateLimitedRunOptions): Promise<T> {
    return enter(this.#clock, options, (context) => {
      const { allowed, retryAfter } = this.take(options?.key, options?.cost);
      if (allowed) return settle(work, context);
      return Promise.reject(withoutStack(() => new RateLimitedError(this.#name, retryAfter)));
    });
  }

  /** The same function under this limit: same arguments, a promise of the same result. */
  wrap<A extends unknown[], R>(work: (...args: A) => R): (...args: A) => Promise<Awaited<R>> {
    return wrapWith(this, work);
  }

  /** Listen to what happens; returns how to stop listening. */
  on<K extends keyof RateLimiterEvents & string>(
    event: K,
    listener: (payload: RateLimiterEvents[K]) => void,
  ): Unsubscribe {
    return this.#emitter.on(event, listener);
  }
}
