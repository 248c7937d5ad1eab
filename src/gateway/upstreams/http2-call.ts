/** One call over HTTP/2: a stream of a connection, reported as undici would report it. */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  constants,
  type IncomingHttpHeaders,
} from 'node:http2';
import type { Clock, Timer } from '../../core/clock.ts';
import { http2Fields } from '../http/http2-fields.ts';
import { rawBuffers } from '../http/raw-buffers.ts';
import type { UpstreamCall } from './upstream-call.ts';
import type { UpstreamRequest } from './upstream-request.ts';

/** A connection and what is known of it. */
export interface Session {
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

/** What says of an HTTP/1.1 connection that it was closed just as it was used again. */
const closedWhileIdle = 'ECONNRESET';

/** One stream, reported to a call as undici would. */
export class Http2Call {
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
      this.#unsent(error as Error & { code?: string });
      return;
    }
    this.#listen(this.#stream);
    this.#send(this.#stream);
    this.#limit(this.#request.timeouts.firstByte, 'UND_ERR_HEADERS_TIMEOUT');
  }

  /** There is no stream, and none is missed. A request that Node does not take says nothing of the upstream. */
  #unsent(error: Error & { code?: string }): void {
    this.#session.streams -= 1;
    if (/^ERR_(?:INVALID_|HTTP2_(?:HEADER|INVALID_(?!SESSION|STREAM)|PSEUDO))/.test(error.code ?? '')) {
      error.code = 'UND_ERR_INVALID_ARG';
    }
    this.#fail(error);
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
      try {
        stream.sendTrailers(http2Fields((this.#request.trailers?.() ?? []).flat()));
      } catch (error) {
        this.#abort(error as Error);
      }
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
      this.#tell(fields, raw, () => {});
    });
    stream.on('response', (fields: IncomingHttpHeaders, flags: number, raw: readonly string[]) => {
      this.#limit(this.#request.timeouts.idle, 'UND_ERR_BODY_TIMEOUT');
      this.#call.onResponseStarted();
      this.#tell(fields, raw, () => stream.resume());
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

  /** What the call does not accept ends it, as it does over undici. */
  #tell(fields: IncomingHttpHeaders, raw: readonly string[], resume: () => void): void {
    if (this.#over) return;
    try {
      this.#call.onHeaders(Number(fields[':status']), rawBuffers(raw), resume, '');
    } catch (error) {
      this.#abort(error as Error);
    }
  }

  #complete(): void {
    if (this.#over || !this.#call.begun) return;
    this.#over = true;
    this.#timer?.cancel();
    this.#call.onComplete(this.#trailers as unknown as string[]);
  }

  /** A stream that the upstream says it has not looked at (RFC 9113, 8.7) may be made again, whatever it asks for. */
  #fail(error: Error & { code?: string }): void {
    if (this.#over) return;
    this.#over = true;
    this.#timer?.cancel();
    const call = this.#call;
    if (!this.#session.connected) {
      call.written = false;
      call.reused = false;
    } else if (this.#stream === undefined && error.code === 'UND_ERR_INVALID_ARG') {
      call.written = false;
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
