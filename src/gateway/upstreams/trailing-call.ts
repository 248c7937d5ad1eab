/**
 * Calls over HTTP/1.1 whose requests end in trailers. undici cannot send those, so these exchanges go by `node:http`,
 * each on a connection of its own. A call reports as one over undici does.
 */
import {
  type Agent,
  type ClientRequest,
  Agent as HttpAgent,
  type IncomingMessage,
  request as plain,
  type RequestOptions,
} from 'node:http';
import { Agent as HttpsAgent, request as secure } from 'node:https';
import type { LookupFunction } from 'node:net';
import type { Clock, Timer } from '../../core/clock.ts';
import { rawBuffers } from '../http/raw-buffers.ts';
import type { UpstreamCall } from './upstream-call.ts';
import type { UpstreamRequest } from './upstream-request.ts';
import type { UpstreamTls } from './upstream-tls.ts';

/** Options of {@link TrailingCalls}. */
export interface TrailingCallsOptions {
  /** The most connections. */
  readonly connections: number;
  readonly lookup: LookupFunction;
  readonly tls?: UpstreamTls | undefined;
  readonly clock: Clock;
}

/** Makes such calls to one origin. */
export class TrailingCalls {
  readonly #origin: URL;
  readonly #agent: Agent;
  readonly #options: TrailingCallsOptions;

  constructor(origin: string, options: TrailingCallsOptions) {
    this.#origin = new URL(origin);
    this.#options = options;
    const { lookup, tls, connections: maxSockets } = options;
    const isSecure = this.#origin.protocol === 'https:';
    this.#agent = isSecure
      ? new HttpsAgent({ ...tls, lookup, maxSockets })
      : new HttpAgent({ lookup, maxSockets });
  }

  /** Make a call. */
  begin(call: UpstreamCall, request: UpstreamRequest): void {
    const { method, path } = request;
    const { hostname, port, protocol, host: ownHost } = this.#origin;
    const options: RequestOptions = {
      host: hostname.replace(/^\[|\]$/g, ''),
      port,
      method,
      path,
      headers: chunkedHeaders(request, ownHost),
      setHost: false,
      agent: this.#agent,
    };
    const sent = protocol === 'https:' ? secure(options) : plain(options);
    new TrailingCall(call, request, sent, this.#options).begin();
  }

  /** Break off every call. */
  destroy(): void {
    this.#agent.destroy();
  }
}

function chunkedHeaders({ headers, trailerNames = '' }: UpstreamRequest, ownHost: string): string[] {
  const list: string[] = [];
  let host = false;
  for (let index = 0; index < headers.length; index += 2) {
    const lower = headers[index]!.toLowerCase();
    host ||= lower === 'host';
    if (lower !== 'content-length') list.push(headers[index]!, headers[index + 1]!);
  }
  if (!host) list.unshift('Host', ownHost);
  list.push('Trailer', trailerNames, 'Transfer-Encoding', 'chunked', 'Connection', 'close');
  return list;
}

/** One of them. */
class TrailingCall {
  readonly #call: UpstreamCall;
  readonly #request: UpstreamRequest;
  readonly #sent: ClientRequest;
  readonly #options: TrailingCallsOptions;
  #connected = false;
  #timer: Timer | undefined;
  #over = false;

  constructor(
    call: UpstreamCall,
    request: UpstreamRequest,
    sent: ClientRequest,
    options: TrailingCallsOptions,
  ) {
    this.#call = call;
    this.#request = request;
    this.#sent = sent;
    this.#options = options;
  }

  begin(): void {
    const sent = this.#sent;
    const { timeouts, body } = this.#request;
    this.#call.onConnect((reason) => this.#fail(reason ?? new Error('given up')));
    sent.on('error', (error) => this.#fail(error));
    sent.once('close', () => this.#fail(Object.assign(new Error('closed'), { code: 'ECONNRESET' })));
    sent.once('socket', (socket) => {
      this.#limit(timeouts.connect, 'UND_ERR_CONNECT_TIMEOUT');
      socket.once('encrypted' in socket ? 'secureConnect' : 'connect', () => {
        this.#connected = true;
        this.#limit(timeouts.firstByte, 'UND_ERR_HEADERS_TIMEOUT');
      });
    });
    sent.on('information', ({ statusCode, rawHeaders }) => this.#tell(statusCode, rawHeaders, () => {}, ''));
    sent.once('response', (response) => this.#answered(response));
    if (body === null || Buffer.isBuffer(body)) {
      this.#end(body ?? undefined);
      return;
    }
    body.once('error', (error) => this.#fail(error));
    body.once('end', () => this.#end(undefined));
    body.pipe(sent, { end: false });
  }

  #end(last: Buffer | undefined): void {
    this.#sent.addTrailers((this.#request.trailers?.() ?? []) as [string, string][]);
    this.#sent.end(last);
  }

  #answered(response: IncomingMessage): void {
    const { idle } = this.#request.timeouts;
    this.#call.onResponseStarted();
    response.on('error', (error) => this.#fail(error));
    response.on('data', (chunk: Buffer) => {
      this.#limit(idle, 'UND_ERR_BODY_TIMEOUT');
      if (!this.#over && !this.#call.onData(chunk)) response.pause();
    });
    response.on('end', () => {
      if (response.complete) this.#complete(response.rawTrailers);
    });
    this.#limit(idle, 'UND_ERR_BODY_TIMEOUT');
    if (response.httpVersion === '1.0') this.#call.version = '1.0';
    const { statusCode = 0, rawHeaders, statusMessage = '' } = response;
    this.#tell(statusCode, rawHeaders, () => response.resume(), statusMessage);
  }

  /** What the call does not accept ends it, as it does over undici. */
  #tell(status: number, headers: readonly string[], resume: () => void, reason: string): void {
    if (this.#over) return;
    try {
      this.#call.onHeaders(status, rawBuffers(headers), resume, reason);
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #complete(trailers: readonly string[]): void {
    if (this.#over) return;
    this.#leave();
    // The raw handler takes buffers, whatever its type says.
    this.#call.onComplete(rawBuffers(trailers) as unknown as string[]);
  }

  #fail(error: Error): void {
    if (this.#over) return;
    if (!this.#connected) this.#call.written = false;
    this.#leave();
    this.#call.onError(error);
  }

  /** An answer may come before the request is over: nobody wants the rest of that. */
  #leave(): void {
    this.#over = true;
    this.#timer?.cancel();
    const { body } = this.#request;
    if (body !== null && !Buffer.isBuffer(body)) body.destroy();
    this.#sent.destroy();
  }

  #limit(milliseconds: number, code: string): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (milliseconds === 0 || this.#over) return;
    this.#timer = this.#options.clock.schedule(milliseconds, () => {
      this.#fail(Object.assign(new Error('it took too long'), { code }));
    });
  }
}
