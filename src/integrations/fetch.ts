/**
 * `fetch` behind a circuit breaker for each origin.
 *
 * @module
 */
import type { Clock, Timer } from '../core/clock.ts';
import type { Duration } from '../core/duration.ts';
import { TimeoutError, UpstreamError } from '../core/errors.ts';
import { durationOption, functionOption, methodsOption, parseOptions, z } from '../core/options.ts';
import { abortSource, type CallContext, type Policy } from '../core/policy.ts';
import { resolveRuntime } from '../core/runtime.ts';
import {
  type FailedResponse,
  type OriginBreaker,
  OriginBreakers,
  type OriginBreakersOptions,
  originBreakersShape,
  type RequestOutcome,
} from './origin-breakers.ts';
import { followBody } from './tracked-response.ts';

export type { HttpClientSettled } from './http-channel.ts';
export {
  FailedResponse,
  type OriginBreaker,
  type OriginBreakersOptions,
  type OutcomeToken,
  type StatusVerdict,
} from './origin-breakers.ts';

/** The signature of `fetch`. */
export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;

/** Options of {@link resilientFetch}. */
export interface ResilientFetchOptions<B extends OriginBreaker> extends OriginBreakersOptions<B> {
  /**
   * Runs around each request, outside the breakers: `retry()`, a bulkhead, a pipeline. It sees a response whose status
   * counts as a failure as a `FailedResponse`; when it gives up with it, the caller gets that response after all.
   * Default: none.
   */
  readonly policy?: Policy | undefined;
  /** How long one attempt may take, to the end of its body; then it fails with `TimeoutError`. Default: no limit. */
  readonly timeout?: Duration | undefined;
  /** What makes the requests. Default: the global `fetch`, as it is when called. */
  readonly fetch?: Fetch | undefined;
}

/** What {@link resilientFetch} gives: call it as you call `fetch`. */
export interface ResilientFetch<B extends OriginBreaker> extends Fetch {
  /** The breakers that are kept now, by origin. */
  readonly breakers: ReadonlyMap<string, B>;
}

const optionsSchema = z.strictObject({
  ...originBreakersShape,
  policy: methodsOption<Policy>('a policy', 'run').optional(),
  timeout: durationOption(1).optional(),
  fetch: functionOption<Fetch>().optional(),
});

/**
 * A `fetch` with a breaker for each origin: it rejects with `CircuitOpenError` while the origin's breaker is open, and
 * tells the breaker how each request went. A request succeeds at the end of its body, or when its body is cancelled.
 * It fails when no response comes, when its status counts as a failure, or when its body breaks off. It says nothing
 * when the caller's signal aborts it. `Retry-After` lengthens the breaker's open wait.
 *
 * URLs that are not of HTTP are passed on untouched.
 *
 * @throws InvalidOptionsError naming each option that is wrong.
 *
 * @example
 * const request = resilientFetch({ breaker: (origin, name) => new CircuitBreaker({ name }), policy: retry() });
 * const response = await request('https://api.example.com/items');
 */
export function resilientFetch<B extends OriginBreaker>(
  options: ResilientFetchOptions<B>,
): ResilientFetch<B> {
  const parsed = parseOptions('resilientFetch', optionsSchema, options);
  const origins = new OriginBreakers('fetch', { ...parsed, breaker: options.breaker });
  const { clock } = resolveRuntime(parsed.runtime);
  const { timeout, policy } = parsed;
  const send: Fetch = parsed.fetch ?? ((input, init) => globalThis.fetch(input, init));
  const fetchFrom: Fetch = async (input, init) => {
    const origin = originOf(input);
    if (origin === undefined) return send(input, init);
    const request: OutgoingRequest = { origin, input, init, signal: signalOf(input, init), sent: false };
    const attempt = (context: CallContext | undefined): Promise<Answer> => {
      const limits = new AttemptLimits([request.signal, context && abortSource(context)], clock, timeout);
      return makeAttempt(send, request, origins, limits);
    };
    if (policy === undefined) return (await attempt(undefined)).response;
    return underPolicy(policy, request, attempt);
  };
  return Object.assign(fetchFrom, { breakers: origins.breakers });
}

interface OutgoingRequest {
  readonly origin: string;
  readonly input: string | URL | Request;
  readonly init: RequestInit | undefined;
  /** The caller's. */
  readonly signal: AbortSignal | undefined;
  /** Whether an attempt has been made that no breaker refused. */
  sent: boolean;
}

/** A response, and the error that its status counts as, if it is one. */
interface Answer {
  readonly response: Response;
  readonly failure: FailedResponse | undefined;
}

async function makeAttempt(
  send: Fetch,
  request: OutgoingRequest,
  origins: OriginBreakers<OriginBreaker>,
  limits: AttemptLimits,
): Promise<Answer> {
  const outcome = origins.begin(request.origin);
  const signal = limits.begin(outcome.token.isProbe ? outcome.token.signal : undefined);
  const broke = (error: unknown): void => {
    limits.end();
    if (signal?.aborted) outcome.gaveUp(signal.reason);
    else outcome.broke(error);
  };
  request.sent = true;
  try {
    const response = await send(request.input, { ...request.init, signal: signal ?? null });
    const failure = outcome.answered(response.status, response.headers.get('retry-after'));
    return { response: follow(response, outcome, limits, broke), failure };
  } catch (error) {
    broke(error);
    throw error;
  }
}

function follow(
  response: Response,
  outcome: RequestOutcome,
  limits: AttemptLimits,
  broke: (error: unknown) => void,
): Response {
  const ended = (): void => {
    limits.end();
    outcome.ended();
  };
  if (response.body !== null) return followBody(response, response.body, { ended, broke });
  ended();
  return response;
}

/** Make attempts until the policy is content; what it gives up with may be a response. */
async function underPolicy(
  policy: Policy,
  request: OutgoingRequest,
  attempt: (context: CallContext) => Promise<Answer>,
): Promise<Response> {
  let last: { readonly error: unknown; readonly response?: Response } | undefined;
  const work = async (context: CallContext): Promise<Response> => {
    if (request.sent && isSentOnce(request)) throw sentAlready(request, last?.error);
    // Nobody reads the response that is tried again for; until it is cancelled it occupies a connection.
    void last?.response?.body?.cancel().catch(() => {});
    try {
      const { response, failure } = await attempt(context);
      if (failure === undefined) return response;
      last = { error: failure, response };
    } catch (error) {
      last = { error };
    }
    throw last.error;
  };
  try {
    return await policy.run(work, request.signal === undefined ? {} : { signal: request.signal });
  } catch (error) {
    if (last?.response !== undefined && (error === last.error || isAbout(error, last.error)))
      return last.response;
    throw error;
  }
}

/** A stream can be read once, so its request can be sent once. */
function isSentOnce({ input, init }: OutgoingRequest): boolean {
  const body: unknown = init?.body ?? requestOf(input)?.body;
  return typeof body === 'object' && body !== null && Symbol.asyncIterator in body;
}

function sentAlready({ origin }: OutgoingRequest, cause: unknown): UpstreamError {
  const why = 'the request cannot be sent again, because its body is a stream; give it as text or bytes';
  return new UpstreamError(origin, why, { cause, retryable: false });
}

function isAbout(error: unknown, earlier: unknown): boolean {
  return error instanceof UpstreamError && error.cause === earlier;
}

/** Everything that may end one attempt early: the caller, a policy's limit, a probe's lease, the attempt's timeout. */
class AttemptLimits {
  readonly #sources: AbortSignal[];
  readonly #clock: Clock;
  readonly #timeout: number | undefined;
  #controller: AbortController | undefined;
  #timer: Timer | undefined;

  constructor(sources: readonly (AbortSignal | undefined)[], clock: Clock, timeout: number | undefined) {
    this.#sources = [...new Set(sources.filter((signal) => signal !== undefined))];
    this.#clock = clock;
    this.#timeout = timeout;
  }

  /** The signal of all; undefined when nothing can end the attempt. */
  begin(lease: AbortSignal | undefined): AbortSignal | undefined {
    if (lease !== undefined) this.#sources.push(lease);
    const timeout = this.#timeout;
    if (timeout === undefined && this.#sources.length < 2) return this.#sources[0];
    this.#controller = new AbortController();
    for (const source of this.#sources) {
      source.addEventListener('abort', this.#onAbort, { once: true });
      if (source.aborted) this.#controller.abort(source.reason);
    }
    if (timeout !== undefined) {
      const expire = (): void => this.#controller?.abort(new TimeoutError(timeout));
      this.#timer = this.#clock.schedule(timeout, expire, { hold: true });
    }
    return this.#controller.signal;
  }

  /** Leave no timer and no listener behind. */
  end(): void {
    this.#timer?.cancel();
    for (const source of this.#sources) source.removeEventListener('abort', this.#onAbort);
  }

  readonly #onAbort = ({ target }: Event): void => this.#controller?.abort((target as AbortSignal).reason);
}

function signalOf(input: string | URL | Request, init: RequestInit | undefined): AbortSignal | undefined {
  if (init?.signal !== undefined) return init.signal ?? undefined;
  return requestOf(input)?.signal;
}

/** By its shape, since another copy of undici has a `Request` of its own. */
function requestOf(input: string | URL | Request): Request | undefined {
  return typeof input === 'object' && 'url' in input ? input : undefined;
}

/** The origin of an HTTP URL; undefined for others, and for what is no URL, about which `fetch` itself complains. */
function originOf(input: string | URL | Request): string | undefined {
  const address = String(requestOf(input)?.url ?? input);
  if (!URL.canParse(address)) return undefined;
  const { origin, protocol } = new URL(address);
  return protocol === 'http:' || protocol === 'https:' ? origin : undefined;
}
