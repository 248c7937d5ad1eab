/**
 * Connections to upstreams that speak HTTP/2, by the core streams of `node:http2`. A call reports as one over undici
 * does, so that whoever makes it need not know which of the two it is.
 */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
} from 'node:http2';
import type { LookupFunction } from 'node:net';
import type { Clock, Timer } from '../../core/clock.ts';
import { BulkheadFullError } from '../../core/errors.ts';
import { http2Fields } from '../http/http2-fields.ts';
import { rawBuffers } from '../http/raw-buffers.ts';
import { type CallCounter, type CallListener, UpstreamCall } from './upstream-call.ts';
import type { UpstreamRequest } from './upstream-request.ts';
import type { UpstreamTls } from './upstream-tls.ts';

/** Options of {@link Http2Upstream}. */
export interface Http2UpstreamOptions {
  /** The most connections. */
  readonly connections: number;
  /** The most requests that wait for a stream. */
  readonly waiting: number;
  readonly lookup: LookupFunction;
  readonly tls?: UpstreamTls | undefined;
  readonly clock: Clock;
}

/** A connection and what is known of it. */
interface Session {
  readonly session: ClientHttp2Session;
  readonly origin: URL;
  connected: boolean;
  /** Whether it takes new streams. */
  open: boolean;
  streams: number;
  /** How many streams it has had. */
  served: number;
  readonly isOld: false;
  /** Why it was closed before it was there; its streams are only told that they are cancelled. */
  failure: Error | undefined;
}

/** How long a connection without a stream stays open, in milliseconds. */
const idleTime = 60_000;

/** One origin's connections. */
export class Http2Upstream implements CallCounter {
  readonly origin: string;
  /** How many calls are under way. */
  active = 0;
  readonly #options: Http2UpstreamOptions;
  readonly #sessions: Set<Session> = new Set();

  constructor(origin: string, options: Http2UpstreamOptions) {
    this.origin = origin;
    this.#options = options;
  }

  /**
   * Make a call.
   *
   * @throws BulkheadFullError when as many requests wait as may wait.
   */
  call(request: UpstreamRequest, listener: CallListener): UpstreamCall {
    const session = this.#choose(request.timeouts.connect);
    const { waiting } = this.#options;
    if (session.streams - roomOf(session) >= waiting) throw new BulkheadFullError(this.origin, waiting, 0);
    this.active += 1;
    const call = new UpstreamCall(this, request, listener);
    call.version = '2';
    new Http2Call(call, request, session, this.#options.clock).begin();
    return call;
  }

  leave(): void {
    this.active -= 1;
  }

  /** Let calls under way finish, take no new ones. */
  async close(): Promise<void> {
    for (const { session } of this.#sessions) session.close();
  }

  /** Break off every call. */
  async destroy(): Promise<void> {
    for (const { session } of this.#sessions) session.destroy();
  }

  /** The connection with the fewest streams; another one when it has no room and there may be more. */
  #choose(connectTimeout: number): Session {
    let best: Session | undefined;
    for (const session of this.#sessions) {
      if (session.open && (best === undefined || session.streams < best.streams)) best = session;
    }
    if (
      best !== undefined &&
      (best.streams < roomOf(best) || this.#sessions.size >= this.#options.connections)
    ) {
      return best;
    }
    return this.#connect(connectTimeout);
  }

  #connect(connectTimeout: number): Session {
    const { lookup, tls } = this.#options;
    const session = connect(this.origin, { ...tls, lookup } as Parameters<typeof connect>[1]);
    const origin = new URL(this.origin);
    const entry: Session = {
      session,
      origin,
      connected: false,
      open: true,
      streams: 0,
      served: 0,
      isOld: false,
      failure: undefined,
    };
    this.#sessions.add(entry);
    const late = this.#limitConnecting(entry, connectTimeout);
    const done = (): void => {
      entry.open = false;
      late?.cancel();
    };
    session.once('connect', () => {
      entry.connected = true;
      late?.cancel();
    });
    // Streams learn of what ends their connection themselves; after a GOAWAY it takes no new ones.
    session.on('error', done).on('goaway', done);
    session.once('close', () => {
      done();
      this.#sessions.delete(entry);
    });
    session.setTimeout(idleTime, () => {
      if (entry.streams === 0) session.close();
    });
    return entry;
  }

  #limitConnecting(entry: Session, timeout: number): Timer | undefined {
    if (timeout === 0) return undefined;
    const late = Object.assign(new Error('the connection took too long'), {
      code: 'UND_ERR_CONNECT_TIMEOUT',
    });
    return this.#options.clock.schedule(timeout, () => {
      entry.failure = late;
      entry.session.destroy(late);
    });
  }
}

/** How many streams a connection may have at once. */
function roomOf({ session }: Session): number {
  return session.remoteSettings?.maxConcurrentStreams ?? 100;
}

/** What says of an HTTP/1.1 connection that it was closed just as it was used again. */
const closedWhileIdle = 'ECONNRESET';

/** One stream, reported to a call as undici would. */
class Http2Call {
  readonly #call: UpstreamCall;
  readonly #request: UpstreamRequest;
  readonly #session: Session;
  readonly #clock: Clock;
  #stream: ClientHttp2Stream | undefined;
  #trailers: Buffer[] = [];
  #timer: Timer | undefined;
  #over = false;

  constructor(call: UpstreamCall, request: UpstreamRequest, session: Session, clock: Clock) {
    this.#call = call;
    this.#request = request;
    this.#session = session;
    this.#clock = clock;
  }

  begin(): void {
    const { session } = this.#session;
    this.#session.streams += 1;
    this.#call.connection = this.#session;
    this.#call.onConnect((reason) => this.#abort(reason));
    try {
      this.#stream = session.request(this.#head(), {
        endStream: this.#request.body === null,
        waitForTrailers: this.#request.body !== null,
      });
    } catch (error) {
      this.#fail(error as Error);
      return;
    }
    this.#listen(this.#stream);
    this.#send(this.#stream);
    this.#limit(this.#request.timeouts.firstByte, 'UND_ERR_HEADERS_TIMEOUT');
  }

  #head(): Record<string, string | string[]> {
    const { method, path, headers } = this.#request;
    const fields = http2Fields(headers);
    const { host, expect: _, ...rest } = fields;
    const { protocol, host: own } = this.#session.origin;
    return {
      ...rest,
      ':method': method,
      ':path': path,
      ':scheme': protocol.slice(0, -1),
      ':authority': typeof host === 'string' ? host : own,
    };
  }

  #send(stream: ClientHttp2Stream): void {
    const { body } = this.#request;
    if (body === null) return;
    stream.on('wantTrailers', () => {
      const trailers = this.#request.trailers?.() ?? [];
      stream.sendTrailers(http2Fields(trailers.flat()));
    });
    if (Buffer.isBuffer(body)) {
      stream.end(body);
      return;
    }
    body.once('error', (error) => this.#abort(error));
    body.pipe(stream);
  }

  #listen(stream: ClientHttp2Stream): void {
    stream.on('headers', (fields: IncomingHttpHeaders, _flags: number, raw: readonly string[]) => {
      this.#call.onHeaders(Number(fields[':status']), rawBuffers(raw), () => {}, '');
    });
    stream.on('response', (fields: IncomingHttpHeaders, flags: number, raw: readonly string[]) => {
      this.#limit(this.#request.timeouts.idle, 'UND_ERR_BODY_TIMEOUT');
      this.#call.onResponseStarted();
      this.#call.onHeaders(Number(fields[':status']), rawBuffers(raw), () => stream.resume(), '');
      // Known at once, so that whoever passes it on can say it at once.
      if ((flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0) this.#complete();
    });
    stream.on('trailers', (_fields: IncomingHttpHeaders, _flags: number, raw: readonly string[]) => {
      this.#trailers = rawBuffers(raw);
    });
    stream.on('data', (chunk: Buffer) => {
      this.#limit(this.#request.timeouts.idle, 'UND_ERR_BODY_TIMEOUT');
      if (!this.#call.onData(chunk)) stream.pause();
    });
    stream.on('end', () => {
      // A stream that was reset with CANCEL ends as if it were whole.
      if (stream.rstCode === constants.NGHTTP2_NO_ERROR) this.#complete();
    });
    stream.on('error', (error) => this.#fail(error));
    stream.once('close', () => {
      this.#session.streams -= 1;
      this.#fail(new Error(`the stream was reset with code ${stream.rstCode}`));
    });
  }

  #complete(): void {
    if (this.#over || !this.#call.begun) return;
    this.#over = true;
    this.#timer?.cancel();
    this.#call.onComplete(this.#trailers as unknown as string[]);
  }

  /** A stream that the upstream says it has not looked at (RFC 9113, 8.7) may be made again, whatever it asks for. */
  #fail(error: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#timer?.cancel();
    const call = this.#call;
    if (!this.#session.connected) {
      call.written = false;
      call.reused = false;
    } else if (this.#untouched && !call.begun) {
      call.written = false;
      call.reused = true;
      Object.assign(error, { code: closedWhileIdle });
    }
    call.onError((this.#session.connected ? undefined : this.#session.failure) ?? error);
  }

  get #untouched(): boolean {
    return this.#stream === undefined || this.#stream.rstCode === constants.NGHTTP2_REFUSED_STREAM;
  }

  #abort(reason: Error | undefined): void {
    const stream = this.#stream;
    if (stream !== undefined && !stream.closed) stream.close(constants.NGHTTP2_CANCEL);
    this.#fail(reason ?? new Error('given up'));
  }

  #limit(milliseconds: number, code: string): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (milliseconds === 0) return;
    this.#timer = this.#clock.schedule(milliseconds, () => {
      this.#abort(Object.assign(new Error('it took too long'), { code }));
    });
  }
}
