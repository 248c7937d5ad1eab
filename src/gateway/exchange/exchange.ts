import type { AddedHeaders, RequestHeaders } from '../http/headers.ts';
import type { AnswerFilter } from './answer-filter.ts';
import type { ExchangeOutcome } from './exchange-record.ts';
import type { Principal } from './principal.ts';

/** One request's life, as guards and route functions see it. */
export interface Exchange {
  /** Unique id of this exchange; made when first read. */
  readonly id: string;
  /** Upper case. */
  readonly method: string;
  /** The host asked for: lower case, without port; of an absolute-form request, the one in its target. */
  readonly host: string;
  /** Host and port as they were asked for. */
  readonly authority: string;
  /** How the client speaks, as far as it is known: a trusted proxy's X-Forwarded-Proto counts. */
  readonly scheme: 'http' | 'https';
  /** The canonical path; this very string is matched, guarded and forwarded. */
  readonly path: string;
  /** The query as it came, without `?`; empty when there is none. */
  readonly query: string;
  /** The query, parsed when first read. */
  readonly searchParams: URLSearchParams;
  /** Decoded values of the route's `:name`s and `*`. */
  readonly params: Readonly<Record<string, string>>;
  /** The pattern of the route that was matched. */
  readonly route: string;
  /** The request's headers; what a guard sets or deletes here is what the upstream gets. */
  readonly headers: RequestHeaders;
  /** Fields to add to the answer, whoever gives it; a problem leaves out those that are about another body or its keeping. */
  readonly response: AddedHeaders;
  /** Who asks: the peer, or, when the peer is a trusted proxy, the client behind it. `unknown` when not known. */
  readonly clientAddress: string;
  /** Who is connected. */
  readonly peerAddress: string;
  /** Whether who is connected is among the router's `trustedProxies`, whose word counts. */
  readonly trusted: boolean;
  /** Bytes of the request's body; undefined when it is sent in chunks of unknown number. */
  readonly bodyLength: number | undefined;
  /** When the answer must have begun, on the monotonic clock, by a trusted proxy or `timeouts.total`; undefined for no limit. */
  readonly deadline: number | undefined;
  /** Set by the guard that authenticates. */
  principal: Principal | undefined;
  /** Set by the guard that traces; what is told of the exchange when it is over carries it. */
  traceId: string | undefined;
  /**
   * Read the whole body; what was read is still forwarded.
   *
   * @param limit bytes, default 1 MiB.
   * @throws ProblemError 413 when it is longer, 400 when it breaks off.
   */
  readBody(limit?: number): Promise<Buffer>;
  /** Refuse, with 413, a body of more bytes. Only ever makes the router's own limit smaller. */
  limitBody(bytes: number): void;
  /** Aborts when the client goes away before its answer is whole, or its time is over. Made when first read. */
  readonly signal: AbortSignal;
  /** Change or watch the answer on its way out, whoever gives it. Of several filters the one added last sees it first. */
  filterAnswer(filter: AnswerFilter): void;
  /** Be told once when the exchange is over, however it ends. The callback must not throw. */
  onFinished(callback: (outcome: ExchangeOutcome) => void): void;
}

/**
 * Runs before a route is served. Returns nothing to let the exchange pass, or a `Response` to answer it; refuses by
 * throwing a `ProblemError`. Synchronous when it can be.
 */
export type Guard = (exchange: Exchange) => GuardResult | Promise<GuardResult>;

/** What a guard gives back; a function without a return gives back nothing. */
// biome-ignore lint/suspicious/noConfusingVoidType: a guard may be a function without a return.
export type GuardResult = Response | undefined | void;
