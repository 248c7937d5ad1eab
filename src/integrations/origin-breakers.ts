/**
 * What the HTTP wrappers share: a breaker for each origin, made on demand and bounded in number, and the outcome of one
 * request. A request is over at the end of its body, not at its headers: a service that stalls half-way is not well.
 */
import { TimeoutError, UpstreamError } from '../core/errors.ts';
import { warnOf } from '../core/log.ts';
import { functionOption, runtimeOption, z } from '../core/options.ts';
import { parseRetryAfter } from '../core/retry-after.ts';
import { type Runtime, resolveRuntime } from '../core/runtime.ts';

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
  /** How many breakers are kept; the one that was used longest ago gives way. Default 1,000. */
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
  readonly #countStatus: CountStatus;
  readonly #wallTime: () => number;

  constructor(options: OriginBreakersOptions<B> & { readonly capacity: number }) {
    const { clock } = resolveRuntime(options.runtime);
    this.#make = options.breaker;
    this.#capacity = options.capacity;
    this.#countStatus = options.countStatus ?? usualVerdict;
    this.#wallTime = () => clock.wallTime();
  }

  /** Ask leave for one request to an origin; throws what its breaker throws. */
  begin(origin: string): RequestOutcome {
    const { breakers } = this;
    const breaker = breakers.get(origin) ?? this.#make(origin, nameOf(origin));
    breakers.delete(origin);
    breakers.set(origin, breaker);
    if (breakers.size > this.#capacity) breakers.delete(breakers.keys().next().value as string);
    return new RequestOutcome(origin, breaker.acquire(), this.#countStatus, this.#wallTime);
  }
}

const usualVerdict: CountStatus = (status) => (status >= 500 || status === 429 ? 'failure' : 'success');

/** An origin in the letters of a name: `http://[::1]:80` is `http-1-80`. */
function nameOf(origin: string): string {
  const name = origin.replace(/[^A-Za-z0-9._]+/g, '-').replace(/^[^A-Za-z0-9]+/, '');
  return name.slice(0, 128) || 'origin';
}

/** How one request goes. The first word about it counts; the token sees to that. */
export class RequestOutcome {
  readonly token: OutcomeToken;
  readonly #origin: string;
  readonly #countStatus: CountStatus;
  readonly #wallTime: () => number;

  constructor(origin: string, token: OutcomeToken, countStatus: CountStatus, wallTime: () => number) {
    this.token = token;
    this.#origin = origin;
    this.#countStatus = countStatus;
    this.#wallTime = wallTime;
  }

  /** The headers are here. Gives the error that this status counts as, if it is one. */
  answered(status: number, retryAfter: string | null | undefined): FailedResponse | undefined {
    const verdict = this.#judge(status);
    if (verdict === 'ignored') this.token.ignore();
    if (verdict !== 'failure') return undefined;
    const error = new FailedResponse(this.#origin, status, parseRetryAfter(retryAfter, this.#wallTime()));
    this.token.failure(error);
    return error;
  }

  /** The body has ended, or nobody wants more of it. */
  ended(): void {
    this.token.success();
  }

  /** The request or its body broke off. */
  broke(error: unknown): void {
    this.token.failure(error);
  }

  /** The caller broke it off: that says nothing, unless it was because a time limit of ours passed. */
  gaveUp(reason: unknown): void {
    if (reason instanceof TimeoutError) this.token.failure(reason);
    else this.token.ignore(reason);
  }

  #judge(status: number): StatusVerdict {
    try {
      return this.#countStatus(status);
    } catch (error) {
      warnOf('countStatus threw; the response counts as a failure', error);
      return 'failure';
    }
  }
}
