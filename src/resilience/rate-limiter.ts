import { enter, within } from '../core/abort.ts';
import type { Clock } from '../core/clock.ts';
import type { Duration } from '../core/duration.ts';
import { Emitter, type Unsubscribe } from '../core/emitter.ts';
import { InvalidOptionsError, RateLimitedError } from '../core/errors.ts';
import { type GcraDecision, type GcraLimit, GcraTable } from '../core/gcra.ts';
import {
  describe,
  durationOption,
  methodsOption,
  nameOption,
  parseOptions,
  runtimeOption,
  z,
} from '../core/options.ts';
import {
  abortSource,
  type CallContext,
  type Policy,
  type RunOptions,
  settle,
  unlimitedCall,
  type Work,
  wrapWith,
} from '../core/policy.ts';
import { type Runtime, resolveRuntime } from '../core/runtime.ts';
import type { RateStore } from '../ports/rate-store.ts';
import { withoutStack } from './refusal.ts';
import { rejected } from './rejection.ts';

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
  /**
   * Where the use of the limit is kept, for all processes that share the store. Default: in this process. Limiters that
   * share a store are kept apart by their names.
   */
  readonly store?: RateStore | undefined;
  /** How long the store may take to answer; ≥ 1 ms. Default 250 ms. */
  readonly storeTimeout?: Duration | undefined;
  /**
   * What to do while the store does not answer: limit within this process alone (`local`), `allow` every call, or
   * `refuse` every call. Default `local`.
   */
  readonly onStoreError?: 'local' | 'allow' | 'refuse' | undefined;
  /**
   * How many keys this process remembers; beyond, those idle longest are forgotten and are then full again. Default
   * 100,000.
   */
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

/** The store did not answer; `onStoreError` decides. */
export interface RateStoreFailed {
  readonly key: string;
  readonly error: unknown;
}

/** Events of {@link RateLimiter}. */
export interface RateLimiterEvents {
  readonly rejected: RateLimiterRejected;
  readonly storeFailed: RateStoreFailed;
}

const optionsSchema = z.strictObject({
  name: nameOption(),
  limit: z.number().gt(0),
  per: durationOption(1),
  burst: z.number().min(1).optional(),
  store: methodsOption<RateStore>('a rate store', 'take').optional(),
  storeTimeout: durationOption(1).default(250),
  onStoreError: z.enum(['local', 'allow', 'refuse']).default('local'),
  capacity: z.int().min(1).default(100_000),
  runtime: runtimeOption(),
});

/** The decision where nobody can tell. The wait is a guess: the store may be back by then. */
const unknownDecision = (allowed: boolean): GcraDecision => ({
  allowed,
  remaining: 0,
  retryAfter: allowed ? 0 : 1_000,
  resetAfter: 0,
  arrival: 0,
});

/**
 * Lets calls pass at a limited rate, by key; the others are refused at once and cost nothing. It counts within this
 * process, or with a `store` within all that share it. The algorithm is GCRA, which is exact at the borders of periods.
 */
export class RateLimiter implements Policy {
  readonly #name: string;
  readonly #rule: GcraLimit & { readonly burst: number };
  readonly #table: GcraTable;
  readonly #store: RateStore | undefined;
  readonly #storeTimeout: number;
  readonly #onStoreError: 'local' | 'allow' | 'refuse';
  readonly #clock: Clock;
  readonly #emitter: Emitter<RateLimiterEvents>;

  /** @throws InvalidOptionsError naming each option that is wrong. */
  constructor(options: RateLimiterOptions) {
    const parsed = parseOptions('RateLimiter', optionsSchema, options);
    const { name, limit, per, burst, capacity, store, storeTimeout, onStoreError, runtime } = parsed;
    const { clock, telemetry } = resolveRuntime(runtime);
    this.#name = name;
    this.#rule = { limit, period: per, burst: burst ?? Math.max(1, limit) };
    this.#table = new GcraTable(capacity);
    this.#store = store;
    this.#storeTimeout = storeTimeout;
    this.#onStoreError = onStoreError;
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
   * Rejects with `InvalidOptionsError` when the cost is not above 0 or is more than `burst`, which no wait would ever
   * allow.
   */
  async take(key = '', cost = 1): Promise<GcraDecision> {
    return this.#decide(key, cost);
  }

  /** Make the call if the rate allows it. Rejects with `RateLimitedError` when it does not. */
  run<T>(work: Work<T>, options?: RateLimitedRunOptions): Promise<T> {
    return enter(this.#clock, options, (context) => {
      const decision = this.#decide(options?.key ?? '', options?.cost ?? 1);
      if (!(decision instanceof Promise)) return this.#proceed(decision, work, context);
      return decision.then((decided) => this.#proceed(decided, work, context));
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

  #proceed<T>({ allowed, retryAfter }: GcraDecision, work: Work<T>, context: CallContext): Promise<T> {
    // The caller may have left while the store was asked.
    const source = abortSource(context);
    if (source?.aborted) return Promise.reject(source.reason);
    if (allowed) return settle(work, context);
    return rejected(withoutStack(() => new RateLimitedError(this.#name, retryAfter)));
  }

  #decide(key: string, cost: number): GcraDecision | Promise<GcraDecision> {
    if (!(cost > 0 && cost <= this.#rule.burst)) {
      const accepts = `a number > 0 and ≤ ${this.#rule.burst}, the burst`;
      throw new InvalidOptionsError('RateLimiter', [{ field: 'cost', received: describe(cost), accepts }]);
    }
    if (this.#store === undefined) return this.#told(key, this.#decideLocally(key, cost));
    return this.#ask(this.#store, key, cost).then((decision) => this.#told(key, decision));
  }

  #decideLocally(key: string, cost: number): GcraDecision {
    return this.#table.take(key, this.#clock.now(), this.#rule, cost);
  }

  async #ask(store: RateStore, key: string, cost: number): Promise<GcraDecision> {
    try {
      return await within(this.#clock, this.#storeTimeout, unlimitedCall, () =>
        store.take(`${this.#name}:${key}`, this.#rule, cost),
      );
    } catch (error) {
      if (this.#emitter.wants('storeFailed')) this.#emitter.emit('storeFailed', { key, error });
      if (this.#onStoreError === 'local') return this.#decideLocally(key, cost);
      return unknownDecision(this.#onStoreError === 'allow');
    }
  }

  #told(key: string, decision: GcraDecision): GcraDecision {
    if (!decision.allowed && this.#emitter.wants('rejected')) {
      this.#emitter.emit('rejected', { key, retryAfter: decision.retryAfter });
    }
    return decision;
  }
}
