/** What an attempt at an upstream is made of, and what its end means. */
import type { Readable } from 'node:stream';
import { UpstreamError } from '../../core/errors.ts';
import { warnOf } from '../../core/log.ts';
import type { GateSet, Permit, Policy } from '../../core/policy.ts';
import { parseRetryAfter } from '../../core/retry-after.ts';
import type { Runtime } from '../../core/runtime.ts';
import type { Pick as ChosenInstance, PickOutcome, Resolver } from '../../ports/resolver.ts';
import type { HttpExchange } from '../exchange/http-exchange.ts';
import { BodyStream } from '../exchange/request-body.ts';
import type { Target } from '../exchange/target.ts';
import { rawHeader } from '../http/headers.ts';
import type { CallEnding, UpstreamCall } from '../upstreams/upstream-call.ts';
import type { ForwardTimeouts } from '../upstreams/upstream-request.ts';
import type { Upstreams } from '../upstreams/upstreams.ts';
import type { RepeatRules, Repetition, RetryBudgets } from './repeat-rules.ts';

/** A request to send on. */
export interface Outbound {
  /** Pattern of the route, for events. */
  readonly route: string;
  readonly target: Target;
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: string[];
  /** A body that is taken in whole first is put here before anything is sent. */
  body: Buffer | Readable | null;
  /** The protocol to switch to. */
  readonly upgrade: string | undefined;
  readonly policy: Policy | undefined;
  /** When to make it once more; undefined for never. */
  readonly repeats?: RepeatRules | undefined;
  readonly timeouts: ForwardTimeouts;
  /** A breaker for each instance. */
  readonly instanceBreakers?: GateSet | undefined;
  /** Whether the upstream speaks HTTP/2. */
  readonly http2?: boolean | undefined;
  /** The request's trailers, once its body is over. */
  readonly trailers?: (() => readonly (readonly [string, string])[]) | undefined;
  /** The names of trailers that the client has announced. */
  readonly trailerNames?: string | undefined;
  readonly interimTo?: Pick<HttpExchange, 'inform'> | undefined;
  /** Who waits for the answer. */
  readonly client: Client;
}

/** Whoever waits for an answer and may go away. */
export interface Client {
  readonly signal: AbortSignal;
  readonly gone: Error | undefined;
  /** When the answer must have begun, on the monotonic clock; undefined for no limit. */
  readonly deadline?: number | undefined;
  whenGone(callback: (reason: Error) => void): () => void;
}

/** An attempt that failed. */
export interface FailedAttempt {
  readonly attempt: number;
  readonly service: string | undefined;
  readonly instance: string | undefined;
  readonly status: number | undefined;
  readonly error: unknown;
}

/** An answer, and who gave it. */
export interface Answer {
  readonly call: UpstreamCall;
  readonly instance: string | undefined;
}

/** What the policy sees of an answer with a status of 500 or more. Holds the answer, in case it is the last word. */
export class FailedAnswer extends UpstreamError {
  readonly answer: Answer;
  /** Milliseconds after which the upstream asks to be called again; undefined when it did not say. */
  readonly retryAfter: number | undefined;

  constructor(name: string, answer: Answer, retryable: boolean, retryAfter: number | undefined) {
    super(name, `answered ${answer.call.status}`, { retryable });
    this.answer = answer;
    this.retryAfter = retryAfter;
  }
}

/** What every request to an upstream needs. */
export interface ProxyContext {
  readonly registry: Resolver | undefined;
  readonly upstreams: Upstreams;
  readonly runtime: Runtime;
  readonly budgets: RetryBudgets;
  readonly onFailed: (route: string, failure: FailedAttempt) => void;
  readonly onRepeated: (route: string, service: string | undefined, repetition: Repetition) => void;
}

/** How many stale connections one call may meet; more of them tell of an upstream that fails. */
export const maxStale = 3;

const idempotent: ReadonlySet<string> = new Set(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'TRACE']);

/** Whether a request may be made again although an upstream may have received it. */
export function isRepeatable({ method, body, upgrade }: Outbound): boolean {
  return idempotent.has(method) && !(body instanceof BodyStream) && upgrade === undefined;
}

/** What a policy is told of an answer that it must take for a failure. */
export function failedAnswer(context: ProxyContext, outbound: Outbound, answer: Answer): FailedAnswer {
  const { clock } = context.runtime;
  const wait = parseRetryAfter(rawHeader(answer.call.rawHeaders, 'retry-after'), clock.wallTime());
  const name = outbound.target.service ?? outbound.target.origin;
  return new FailedAnswer(name, answer, isRepeatable(outbound), wait);
}

/** Finish a pick. A fault in the registry must not reach the parser that called us. */
export function tell(pick: ChosenInstance, outcome: PickOutcome): void {
  try {
    pick.done(outcome);
  } catch (error) {
    warnOf(`the pick of ${pick.instance.service} threw`, error);
  }
}

/** What the end of an answered call says of its instance. */
export function outcomeOf(ending: CallEnding, status: number): PickOutcome {
  if (status >= 500 || ending === 'failed') return 'failure';
  return ending === 'complete' ? 'success' : 'cancelled';
}

/**
 * Leave to call an instance, from its own breaker.
 *
 * @throws what the breaker says when it is open.
 */
export function instancePermit({ instanceBreakers, target }: Outbound, instance: string): Permit | undefined {
  if (instanceBreakers === undefined) return undefined;
  const key = target.service === undefined ? instance : `${target.service}/${instance}`;
  return instanceBreakers.for(key).acquire();
}
