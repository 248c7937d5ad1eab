/**
 * What the HTTP wrappers share: a breaker for each origin, made on demand and bounded in number, and the outcome of one
 * request. A request is over at the end of its body, not at its headers: a service that stalls half-way is not well.
 */

import type { Clock } from '../core/clock.ts';
import { TimeoutError, UpstreamError } from '../core/errors.ts';
import { entryToForget } from '../core/eviction.ts';
import { warnOf } from '../core/log.ts';
import { functionOption, runtimeOption, z } from '../core/options.ts';
import { parseRetryAfter } from '../core/retry-after.ts';
import { type Runtime, resolveRuntime } from '../core/runtime.ts';
import { type HttpClientSettled, settledChannel } from './http-channel.ts';

/** Leave to make one request, whose outcome is told on it. The tokens of `CircuitBreaker` are such. */
export interface OutcomeToken {
  /** Whether the call is a half-open probe. */
  readonly isProbe: boolean;
  /** For a probe: aborts when its lease ends. */
  readonly signal: AbortSignal;
  /** The request succeeded. */
  success(): void;
  /** The request failed. */
  failure(error: unknown): void;
  /** The request says nothing about the origin. */
  ignore(reason?: unknown): void;
}

/** What gives leave to call one origin. A `CircuitBreaker` is one. */
export interface OriginBreaker {
  /** Ask leave for one request; throws when it must not be made. */
  acquire(): OutcomeToken;
  /** Where it is. One that tells, and is not `closed`, is kept while there are others that can be forgotten. */
  readonly state?: string;
}

/** A response came, and its status counts as a failure. */
export class FailedResponse extends UpstreamError {
  /** The response's. */
  readonly status: number;
  /** Milliseconds for which the origin asks to be left alone, by `Retry-After`; undefined when it does not. */
  readonly retryAfter: number | undefined;

  /** @param origin such as `https://api.example.com` */
  constructor(origin: string, status: number, retryAfter: number | undefined) {
    super(origin, `answered with status ${status}`, { retryable: true });
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** What a response's status says about its origin. */
export type StatusVerdict = 'success' | 'failure' | 'ignored';

/** Options of every HTTP wrapper. */
export interface OriginBreakersOptions<B extends OriginBreaker> {
  /**
   * Makes the breaker of an origin, such as `https://api.example.com`, when it is first called. `name` is the origin in
   * letters that a breaker's name may have: `https-api.example.com`.
   */
  readonly breaker: (origin: string, name: string) => B;
  /**
   * How many breakers are kept. Beyond, one gives way: of the 256 used longest ago the first that is closed (or tells no
   * state), so that an open one stays; where none of those is closed, the very first. Default 1,000.
   */
  readonly capacity?: number | undefined;
  /**
   * What a status counts as. A failure is counted at the headers, a success at the end of the body. One that throws
   * counts as a failure. Default: 5xx and 429 are failures, all others successes.
   */
  readonly countStatus?: ((status: number) => StatusVerdict) | undefined;
  /** Clock, for dates in `Retry-After`. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

type MakeBreaker = (origin: string, name: string) => OriginBreaker;
type CountStatus = (status: number) => StatusVerdict;

/** The options of {@link OriginBreakersOptions} as a schema's shape, to be spread into a wrapper's own. */
export const originBreakersShape: {
  readonly breaker: z.ZodCustom<MakeBreaker, MakeBreaker>;
  readonly capacity: z.ZodDefault<z.ZodInt>;
  readonly countStatus: z.ZodOptional<z.ZodCustom<CountStatus, CountStatus>>;
  readonly runtime: ReturnType<typeof runtimeOption>;
} = {
  breaker: functionOption<MakeBreaker>('a function of (origin, name) that gives a circuit breaker'),
  capacity: z.int().min(1).default(1_000),
  countStatus: functionOption<CountStatus>('a function of (status)').optional(),
  runtime: runtimeOption(),
};

/** Breakers by origin, the one used last at the end. */
export class OriginBreakers<B extends OriginBreaker> {
  /** Those that are kept now. */
  readonly breakers: Map<string, B> = new Map();
  readonly #make: (origin: string, name: string) => B;
  readonly #capacity: number;
  readonly #context: RequestContext;

  constructor(
    client: HttpClientSettled['client'],
    options: OriginBreakersOptions<B> & { readonly capacity: number },
  ) {
    const { clock } = resolveRuntime(options.runtime);
    this.#make = options.breaker;
    this.#capacity = options.capacity;
    this.#context = { client, countStatus: options.countStatus ?? usualVerdict, clock };
  }

  /** Ask leave for one request to an origin; throws what its breaker throws. */
  begin(origin: string): RequestOutcome {
    const { breakers } = this;
    const breaker = breakers.get(origin) ?? this.#make(origin, nameOf(origin));
    breakers.delete(origin);
    breakers.set(origin, breaker);
    if (breakers.size > this.#capacity) this.#forgetOne();
    return new RequestOutcome(origin, this.#acquire(origin, breaker), this.#context);
  }

  #acquire(origin: string, breaker: B): OutcomeToken {
    try {
      return breaker.acquire();
    } catch (error) {
      if (settledChannel.hasSubscribers) {
        const { client } = this.#context;
        const told = { client, origin, outcome: 'refused', status: undefined, error, duration: 0 } as const;
        settledChannel.publish(told satisfies HttpClientSettled);
      }
      throw error;
    }
  }

  #forgetOne(): void {
    const entry = entryToForget(this.breakers, ({ state = 'closed' }) => state === 'closed');
    if (entry !== undefined) this.breakers.delete(entry[0]);
  }
}

const usualVerdict: CountStatus = (status) => (status >= 500 || status === 429 ? 'failure' : 'success');

/** An origin in the letters of a name: `http://[::1]:80` is `http-1-80`. */
function nameOf(origin: string): string {
  const name = origin.replace(/[^A-Za-z0-9._]+/g, '-').replace(/^[^A-Za-z0-9]+/, '');
  return name.slice(0, 128) || 'origin';
}

/** What all requests of one wrapper share. */
interface RequestContext {
  readonly client: HttpClientSettled['client'];
  readonly countStatus: CountStatus;
  readonly clock: Clock;
}

/** How one request goes. The first word about it counts. */
export class RequestOutcome {
  readonly token: OutcomeToken;
  readonly #origin: string;
  readonly #context: RequestContext;
  /** Undefined when nobody wants to know. */
  readonly #startedAt: number | undefined;
  #status: number | undefined;
  #settled = false;

  constructor(origin: string, token: OutcomeToken, context: RequestContext) {
    this.token = token;
    this.#origin = origin;
    this.#context = context;
    this.#startedAt = settledChannel.hasSubscribers ? context.clock.now() : undefined;
  }

  /** The headers are here. Gives the error that this status counts as, if it is one. */
  answered(status: number, retryAfter: string | null | undefined): FailedResponse | undefined {
    this.#status = status;
    const verdict = this.#judge(status);
    if (verdict === 'ignored') this.#settle('ignored', undefined);
    if (verdict !== 'failure') return undefined;
    const asked = parseRetryAfter(retryAfter, this.#context.clock.wallTime());
    const error = new FailedResponse(this.#origin, status, asked);
    this.#settle('failure', error);
    return error;
  }

  /** The body has ended, or nobody wants more of it. */
  ended(): void {
    this.#settle('success', undefined);
  }

  /** The request or its body broke off. */
  broke(error: unknown): void {
    this.#settle('failure', error);
  }

  /** The caller broke it off: that says nothing, unless it was because a time limit of ours passed. */
  gaveUp(reason: unknown): void {
    this.#settle(reason instanceof TimeoutError ? 'failure' : 'ignored', reason);
  }

  #settle(outcome: StatusVerdict, error: unknown): void {
    if (this.#settled) return;
    this.#settled = true;
    if (outcome === 'success') this.token.success();
    else if (outcome === 'failure') this.token.failure(error);
    else this.token.ignore(error);
    if (settledChannel.hasSubscribers) this.#publish(outcome, error);
  }

  #publish(outcome: StatusVerdict, error: unknown): void {
    const { client, clock } = this.#context;
    const duration = this.#startedAt === undefined ? undefined : clock.now() - this.#startedAt;
    const told: HttpClientSettled = {
      client,
      origin: this.#origin,
      outcome,
      status: this.#status,
      error,
      duration,
    };
    settledChannel.publish(told);
  }

  #judge(status: number): StatusVerdict {
    const { countStatus } = this.#context;
    try {
      return countStatus(status);
    } catch (error) {
      warnOf('countStatus threw; the response counts as a failure', error);
      return 'failure';
    }
  }
}
