/** Requests over HTTP/2, by the core API of `node:http2`: the compatibility layer knows no trailers of requests. */
import { randomBytes } from 'node:crypto';
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { Readable } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '../../core/clock.ts';
import type { IncomingHead } from '../http/admit.ts';
import { mustFit, RequestHeaders } from '../http/headers.ts';
import { http2Fields, trailerPairs } from '../http/http2-fields.ts';
import type { Door, Ending, Upgradable } from './door.ts';

/** What a request asks for, other than its ordinary fields. */
interface Pseudo {
  method: string;
  path: string;
  authority: string;
  protocol: string | undefined;
}

/**
 * What a request says, as an HTTP/1.1 request would (RFC 9113, 8.3): `:authority` is its Host, the crumbs of its cookie
 * are one, and a body of unknown length is a chunked one. A CONNECT that asks for a protocol (RFC 8441) is the GET with
 * `Upgrade` that it stands for.
 *
 * What has no place in HTTP/2 (fields of a connection, pseudo-fields late or twice, a length other than that of the
 * data) never comes here: nghttp2 resets such streams.
 *
 * @param rawHeaders a flat list, as `node:http2` gives it.
 */
export function http2Head(
  stream: ServerHttp2Stream,
  rawHeaders: readonly string[],
  endsAtHead: boolean,
): IncomingHead {
  const { pseudo, raw } = readFields(rawHeaders);
  const tunnel = pseudo.method === 'CONNECT' && pseudo.protocol !== undefined;
  if (tunnel) raw.push('upgrade', pseudo.protocol ?? '', ...webSocketKey(pseudo.protocol));
  else if (!endsAtHead && !raw.some((text, at) => at % 2 === 0 && text === 'content-length')) {
    raw.push('transfer-encoding', 'chunked');
  }
  const socket = stream.session?.socket;
  return {
    method: tunnel ? 'GET' : pseudo.method,
    target: pseudo.path,
    version: '2',
    headers: new RequestHeaders(raw),
    peer: socket?.remoteAddress ?? 'unknown',
    secure: (socket as TLSSocket | undefined)?.encrypted === true,
  };
}

/** HTTP/2 does without the key of WebSocket's handshake (RFC 8441, 5.1), on which an HTTP/1.1 server insists. */
function webSocketKey(protocol: string | undefined): string[] {
  return protocol === 'websocket' ? ['sec-websocket-key', randomBytes(16).toString('base64')] : [];
}

function readFields(rawHeaders: readonly string[]): { pseudo: Pseudo; raw: string[] } {
  const pseudo: Pseudo = { method: 'GET', path: '', authority: '', protocol: undefined };
  const raw: string[] = [];
  const cookies: string[] = [];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!;
    const value = rawHeaders[index + 1]!;
    if (name.startsWith(':')) readPseudo(pseudo, name, value);
    else if (name === 'cookie') cookies.push(value);
    else if (name !== 'host' || value !== pseudo.authority) raw.push(name, value);
  }
  // Beside a `host` that says something else it makes two of them, which is refused as it is in HTTP/1.1.
  if (pseudo.authority !== '') raw.unshift('host', pseudo.authority);
  if (cookies.length > 0) raw.push('cookie', cookies.join('; '));
  return { pseudo, raw };
}

function readPseudo(pseudo: Pseudo, name: string, value: string): void {
  if (name === ':method') pseudo.method = value;
  else if (name === ':path') pseudo.path = value;
  else if (name === ':authority') pseudo.authority = value;
  else if (name === ':protocol') pseudo.protocol = value;
}

/** How long a request may take to arrive when its answer has not begun, in milliseconds: as long as over HTTP/1.1. */
const requestTime = 300_000;

/** A request over HTTP/2, and its answer. */
export class Http2Door implements Door {
  readonly #stream: ServerHttp2Stream;
  readonly #tunnel: boolean;
  #waits: boolean;
  #started = false;
  #saysOk = false;
  #ended = false;
  #pending: Record<string, number | string | string[]> | undefined;
  #onDrain: (() => void) | undefined;
  #trailers: readonly (readonly [string, string])[] = [];
  #received: [string, string][] = [];

  /**
   * @param waits whether the client waits to be told before it sends its body.
   * @param tunnel whether it asks for another protocol, so that any success would mean that it got it.
   */
  constructor(stream: ServerHttp2Stream, waits: boolean, tunnel: boolean) {
    this.#stream = stream;
    this.#waits = waits;
    this.#tunnel = tunnel;
    // What went wrong with a stream is told by how it closes.
    stream.on('error', ignore);
    stream.once('aborted', () => process.nextTick(() => stream.destroy()));
    stream.on('trailers', (_fields: IncomingHttpHeaders, _flags: number, raw: readonly string[]) => {
      this.#received = trailerPairs(raw);
    });
  }

  /** Reset the stream when its request is not whole after five minutes; not once the answer has begun, which may last. */
  limitRequest(clock: Clock): void {
    const stream = this.#stream;
    const timer = clock.schedule(requestTime, () => {
      if (!this.#started && !stream.readableEnded) stream.close(constants.NGHTTP2_CANCEL);
    });
    stream.once('close', () => timer.cancel());
  }

  get started(): boolean {
    return this.#started;
  }

  body(): Readable {
    return this.#stream;
  }

  trailers(): readonly (readonly [string, string])[] {
    return this.#received;
  }

  proceed(): void {
    if (!this.#waits) return;
    this.#waits = false;
    this.inform(100, []);
  }

  inform(status: number, headers: readonly string[]): void {
    if (this.#started || this.#stream.destroyed || this.#stream.closed) return;
    try {
      this.#stream.additionalHeaders({ ...http2Fields(headers), ':status': status });
    } catch {
      // What cannot be passed on is left out; the answer itself does not depend on them.
    }
  }

  sayOk(): void {
    this.#saysOk = true;
  }

  begin(given: number, _reason: string, headers: readonly string[]): void {
    const status = this.#saysOk ? 200 : given;
    for (let at = 0; at < headers.length; at += 2) mustFit(headers[at]!, headers[at + 1]!);
    if (status > 599) throw new TypeError(`HTTP/2 has no status ${status}`);
    this.#started = true;
    // To CONNECT, a success would say that it got what it asked for.
    if (this.#tunnel && status < 300) this.#pending = { ':status': 501 };
    else this.#pending = { ...http2Fields(headers), ':status': status };
  }

  /** The head waits for what comes behind it: of some answers, such as gRPC's failures, it is the end as well. */
  #respond(): void {
    const fields = this.#pending;
    this.#pending = undefined;
    if (fields === undefined || this.#stream.destroyed || this.#stream.closed) return;
    const whole = this.#ended && this.#trailers.length === 0;
    try {
      this.#stream.respond(fields, whole ? { endStream: true } : { waitForTrailers: true });
    } catch {
      // Node has rules of its own for what may stand in a head; by now it is too late for another answer.
      this.destroy();
      return;
    }
    if (whole) {
      this.#stopTheRest();
      return;
    }
    this.#stream.on('wantTrailers', () => {
      // Node ends a stream before it resets it: without trailers that end is not sent.
      if (!this.#ended) return;
      try {
        this.#stream.sendTrailers(http2Fields(this.#trailers.flat()));
      } catch {
        this.destroy();
        return;
      }
      this.#stopTheRest();
    });
  }

  /** A client whose request is not over yet is told to stop, without an error (RFC 9113, 8.1). */
  #stopTheRest(): void {
    setImmediate(() => {
      if (!this.#stream.readableEnded) this.#stream.close(constants.NGHTTP2_NO_ERROR);
    });
  }

  /** The stream as a connection for another protocol, agreed to by 200 (RFC 8441, 5). */
  get upgradable(): Upgradable {
    return {
      socket: this.#stream,
      detach: () => Buffer.alloc(0),
      agree: (headers) => {
        this.#started = true;
        this.#ended = true;
        this.#stream.respond({ ...http2Fields(headers), ':status': 200 });
      },
    };
  }

  flush(): void {
    this.#respond();
  }

  write(chunk: Uint8Array): boolean {
    this.#respond();
    if (this.#stream.destroyed || this.#stream.writableEnded) return true;
    return this.#stream.write(chunk);
  }

  onDrain(callback: () => void): void {
    if (this.#onDrain === undefined) this.#stream.on('drain', () => this.#onDrain?.());
    this.#onDrain = callback;
  }

  end(trailers: readonly (readonly [string, string])[] = []): void {
    this.#trailers = trailers;
    this.#ended = true;
    this.#respond();
    this.#stream.end();
    // What has come meanwhile of a request that was answered early goes by unread.
    if (!this.#stream.readableEnded) this.#stream.resume();
  }

  /** A stream ends alone; its connection stays for the others. */
  closeAfter(): void {}

  destroy(): void {
    // One that its client has reset is closed, but not done with while something of it waits to be sent.
    if (this.#stream.closed) this.#stream.destroy();
    else this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }

  onClosed(callback: (ending: Ending) => void): void {
    const stream = this.#stream;
    const told = (): void => {
      const whole = this.#ended && stream.rstCode === constants.NGHTTP2_NO_ERROR;
      callback(whole ? 'complete' : 'broken');
    };
    if (stream.destroyed) told();
    else stream.once('close', told);
  }
}

function ignore(): void {}
