import { abortController } from '../../core/abort-controller.ts';
import { warnOf } from '../../core/log.ts';
import type { Runtime } from '../../core/runtime.ts';
import type { Door } from '../doors/door.ts';
import type { Admission, IncomingHead } from '../http/admit.ts';
import { AddedHeaders, type RequestHeaders } from '../http/headers.ts';
import { type HttpVersion, isHttpVersion } from '../http/via.ts';
import { type AnswerFilter, FilteredDoor } from './answer-filter.ts';
import type { Exchange } from './exchange.ts';
import type { ExchangeOutcome, ExchangeRecord } from './exchange-record.ts';
import type { Principal } from './principal.ts';
import { noLongerThan, readUpTo } from './request-body.ts';
import type { Target } from './target.ts';

/** A route, as guards may ask it. */
export interface RouteInUse {
  /** Serve a copy, without the first so many guards. */
  serveRest(copy: HttpExchange, from: number): Promise<void>;
  /** Differs whenever another route, way of a split, service or path is chosen for an exchange. Decides, if need be. */
  choiceOf(exchange: HttpExchange): string;
}

/** How many interim answers go on to the client for one request, whoever gives them; more are left out. */
const mostInterim = 16;

const noFilters: readonly AnswerFilter[] = [];

const noParams: Readonly<Record<string, string>> = Object.freeze({});

/** The exchange behind the public face: it also knows its door, and who must be told when the client goes away. */
export class HttpExchange implements Exchange {
  readonly method: string;
  /** The version of HTTP by which the request came. */
  readonly version: HttpVersion;
  readonly host: string;
  readonly authority: string;
  readonly scheme: 'http' | 'https';
  readonly path: string;
  readonly query: string;
  readonly headers: RequestHeaders;
  readonly clientAddress: string;
  readonly peerAddress: string;
  readonly trusted: boolean;
  readonly bodyLength: number | undefined;
  deadline: number | undefined;
  /** Whether its time is limited, once that has been seen to. */
  bounded: boolean | undefined;
  /** The route that guards stand before. Set by whoever serves it. */
  serving: RouteInUse | undefined;
  /** Where it is sent on to, once that is decided. */
  target: Target | undefined;
  #informed = 0;
  /** How many guards have been asked. */
  step = 0;
  /** The call that is under way for it on the short way. */
  call: { abandon(reason: Error): void } | undefined;
  /** The most bytes of the body, by the router or by a guard; undefined for no limit. */
  bodyLimit: number | undefined;
  /** Where the request came in. */
  readonly entry: Door;
  /** Where the answer goes, through every filter. */
  door: Door;
  /** What the guards have given to see the answer, in the order of their turns. */
  filters: readonly AnswerFilter[] = noFilters;
  readonly record: ExchangeRecord;
  params: Readonly<Record<string, string>> = noParams;
  route = '';
  principal: Principal | undefined;
  #wholeBody: Promise<Buffer> | undefined;
  #id: string | undefined;
  #response: AddedHeaders | undefined;
  #searchParams: URLSearchParams | undefined;
  #filters: FilteredDoor[] | undefined;
  #controller: AbortController | undefined;
  #gone: Error | undefined;
  #unheard = false;
  #finished = false;
  #onFinished: ((outcome: ExchangeOutcome) => void)[] | undefined;
  #waiting: Set<(reason: Error) => void> | undefined;
  readonly #makeId: () => string;

  constructor(
    door: Door,
    head: IncomingHead,
    admission: Admission,
    record: ExchangeRecord,
    runtime: Runtime,
  ) {
    this.entry = door;
    this.door = door;
    this.record = record;
    this.method = head.method;
    this.version = isHttpVersion(head.version) ? head.version : '1.1';
    this.headers = head.headers;
    this.host = admission.host;
    this.authority = admission.authority;
    this.scheme = admission.scheme;
    this.path = admission.path;
    this.query = admission.query;
    this.clientAddress = admission.clientAddress;
    this.peerAddress = admission.peerAddress;
    this.trusted = admission.trusted;
    this.bodyLength = admission.bodyLength;
    this.bodyLimit = admission.bodyLimit;
    this.deadline = admission.timeout === undefined ? undefined : runtime.clock.now() + admission.timeout;
    this.#makeId = runtime.id;
    record.path = admission.path;
    record.query = admission.query;
    record.host = admission.host;
    record.clientAddress = admission.clientAddress;
  }

  get id(): string {
    this.#id ??= this.#makeId();
    return this.#id;
  }

  get response(): AddedHeaders {
    this.#response ??= new AddedHeaders();
    return this.#response;
  }

  /** What was added to the answer, if anything was. */
  get added(): AddedHeaders | undefined {
    return this.#response;
  }

  get searchParams(): URLSearchParams {
    this.#searchParams ??= new URLSearchParams(this.query);
    return this.#searchParams;
  }

  get signal(): AbortSignal {
    const controller = this.#controller ?? abortController();
    this.#controller = controller;
    if (this.#gone !== undefined) controller.abort(this.#gone);
    return controller.signal;
  }

  get traceId(): string | undefined {
    return this.record.traceId;
  }

  set traceId(id: string | undefined) {
    this.record.traceId = id;
  }

  /** Pass on an interim answer of an upstream, without what guards keep from the client. */
  inform(status: number, headers: readonly string[]): void {
    this.#informed += 1;
    if (this.#informed > mostInterim) return;
    const replaced = this.#response?.replaced;
    const kept =
      replaced === undefined
        ? headers
        : headers.filter((_text, index) => !replaced.has(headers[index & ~1]!.toLowerCase()));
    this.door.inform(status, kept);
  }

  filterAnswer(filter: AnswerFilter): void {
    this.filters = [filter, ...this.filters];
    const changing: AnswerFilter = (head) => {
      const through = filter(head);
      this.record.status = head.status;
      return through;
    };
    const filtered = new FilteredDoor(this.door, changing, (error) => {
      this.record.error ??= error;
    });
    this.door = filtered;
    this.#filters ??= [];
    this.#filters.push(filtered);
    this.onFinished(() => filtered.close());
  }

  onFinished(callback: (outcome: ExchangeOutcome) => void): void {
    if (this.#finished) {
      callback(this.record);
      return;
    }
    this.#onFinished ??= [];
    this.#onFinished.push(callback);
  }

  /** The exchange is over. */
  finish(): void {
    this.#finished = true;
    // The filter next to the client gives what is sent; one added later may change it before.
    const counted = this.#filters?.find(({ sent }) => sent !== undefined);
    if (counted?.sent !== undefined) this.record.bytes = counted.sent;
    const callbacks = this.#onFinished;
    this.#onFinished = undefined;
    if (callbacks === undefined) return;
    for (const callback of callbacks) {
      try {
        callback(this.record);
      } catch (error) {
        warnOf('what a guard wants to be told at the end of an exchange threw', error);
      }
    }
  }

  limitBody(bytes: number): void {
    this.bodyLimit = Math.min(bytes, this.bodyLimit ?? bytes);
  }

  readBody(limit = 1_048_576): Promise<Buffer> {
    const most = Math.min(limit, this.bodyLimit ?? limit);
    if (this.#wholeBody !== undefined) return this.#wholeBody.then((body) => noLongerThan(body, most));
    this.door.proceed();
    this.#wholeBody = readUpTo(this.door.body(), this.bodyLength, most);
    return this.#wholeBody;
  }

  /** The body, if it was read whole. */
  get wholeBody(): Promise<Buffer> | undefined {
    return this.#wholeBody;
  }

  /** Why no upstream's answer is wanted any more, or undefined. */
  get gone(): Error | undefined {
    return this.#gone;
  }

  /** Have `callback` called when the client goes away, at once if it has; returns how to take that back. */
  whenGone(callback: (reason: Error) => void): () => void {
    if (this.#gone !== undefined) {
      callback(this.#gone);
      return () => {};
    }
    this.#waiting ??= new Set();
    this.#waiting.add(callback);
    return () => void this.#waiting?.delete(callback);
  }

  /** Whether the client itself is gone, so that there is nobody to answer. */
  get unheard(): boolean {
    return this.#unheard;
  }

  /** The client went away. */
  abandon(): void {
    this.#unheard = true;
    this.record.aborted = true;
    this.giveUp(new DOMException('the client went away', 'AbortError'));
  }

  /** What is under way for this exchange has become pointless, through no fault of the upstream. */
  giveUp(reason: Error): void {
    if (this.#gone !== undefined) return;
    this.#gone = reason;
    this.call?.abandon(reason);
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting !== undefined) for (const callback of waiting) callback(reason);
    this.#controller?.abort(reason);
  }
}
