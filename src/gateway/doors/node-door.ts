import { type IncomingMessage, ServerResponse, STATUS_CODES } from 'node:http';
import { Readable } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { IncomingHead } from '../http/admit.ts';
import { fits, RequestHeaders } from '../http/headers.ts';
import { type BareConnection, closeAnswer, type OpenAnswer, openAnswer } from './client-connection.ts';
import type { Door, Ending } from './door.ts';

/** How much of an unread request is read away after its answer, to keep the connection. */
const drainedBytes = 1_048_576;

/** What a framework knows of a request that it hands over. */
export interface HandedOver {
  /** The body, when it was read already; its length and `contentType` take the place of what the headers say. */
  readonly body?: { readonly bytes: Uint8Array; readonly contentType?: string | undefined } | undefined;
  /** The path and query below the mount. Default: `request.url`. */
  readonly target?: string | undefined;
  /** Called in place of the answer 404 when no route leads there. */
  readonly unmatched?: (() => void) | undefined;
}

/** Fields that speak of a body as it was sent; not of one that was read, decoded and written again. */
const aboutTheBody =
  /^(?:content-length|transfer-encoding|content-encoding|content-md5|(?:content-|repr-)?digest|trailer|expect)$/i;

function headersOfRead(raw: readonly string[], body: NonNullable<HandedOver['body']>): string[] {
  const { bytes, contentType } = body;
  const headers: string[] = [];
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index]!;
    if (aboutTheBody.test(name)) continue;
    const replaced = contentType !== undefined && name.toLowerCase() === 'content-type';
    headers.push(name, replaced ? contentType : raw[index + 1]!);
  }
  headers.push('Content-Length', String(bytes.length));
  return headers;
}

/** What a request says, as Node's parser gives it. */
export function nodeHead(request: IncomingMessage, { body, target }: HandedOver = {}): IncomingHead {
  const { socket } = request;
  return {
    method: request.method ?? 'GET',
    target: target ?? request.url ?? '/',
    version: request.httpVersion,
    headers: new RequestHeaders(
      body === undefined ? request.rawHeaders : headersOfRead(request.rawHeaders, body),
    ),
    peer: socket.remoteAddress ?? 'unknown',
    secure: (socket as TLSSocket).encrypted === true,
  };
}

/** Options of {@link NodeDoor}. */
export interface NodeDoorOptions {
  /** Whether the client waits to be told before it sends the body. */
  readonly waits: boolean;
  /** Whether connections are to be closed after their answer. */
  readonly closing: () => boolean;
  /** The body, when it was read already. */
  readonly read?: Uint8Array | undefined;
}

/** A `node:http` request and its response. */
export class NodeDoor implements Door, OpenAnswer {
  earlier: OpenAnswer | undefined;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #options: NodeDoorOptions;
  #waits: boolean;
  #onDrain: (() => void) | undefined;
  #onClosed: ((ending: Ending) => void) | undefined;

  constructor(request: IncomingMessage, response: ServerResponse, options: NodeDoorOptions) {
    this.#request = request;
    this.#response = response;
    this.#options = options;
    this.#waits = options.waits;
    // A late write to a closed connection is told here; the answer has ended by then.
    response.on('error', ignore);
    request.on('error', ignore);
  }

  get started(): boolean {
    return this.#response.headersSent;
  }

  body(): Readable {
    const { read } = this.#options;
    if (read !== undefined) return Readable.from(read.length === 0 ? [] : [read], { objectMode: false });
    if (this.#request.readableEnded) {
      throw new Error(
        'the body was read before the router saw it; put the router before body parsers, or mount it by an integration',
      );
    }
    return this.#request;
  }

  trailers(): readonly (readonly [string, string])[] {
    const { rawTrailers } = this.#request;
    const pairs: [string, string][] = [];
    for (let at = 0; at < rawTrailers.length; at += 2) pairs.push([rawTrailers[at]!, rawTrailers[at + 1]!]);
    return pairs;
  }

  proceed(): void {
    if (!this.#waits) return;
    this.#waits = false;
    this.#response.writeContinue();
  }

  inform(status: number, headers: readonly string[]): void {
    const { socket } = this.#response;
    // An answer that is not yet its connection's turn, or whose client takes nothing, does without.
    if (this.started || socket === null || socket.writableNeedDrain) return;
    if (this.#request.httpVersion !== '1.1') return;
    let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`;
    for (let index = 0; index < headers.length; index += 2) {
      if (!fits(headers[index]!, headers[index + 1]!)) return;
      head += `${headers[index]}: ${headers[index + 1]}\r\n`;
    }
    // Node has ways for some of them only, and takes but some of the links that a 103 may have.
    socket.write(`${head}\r\n`, 'latin1');
  }

  begin(status: number, reason: string, headers: readonly string[]): void {
    const response = this.#response;
    // A client that was not told to go on may or may not send its body: what comes next cannot be told apart.
    if (this.#waits || this.#options.closing()) response.shouldKeepAlive = false;
    const list = headers as string[];
    // Node's own words are most often the upstream's, too.
    const usual = reason === '' || reason === STATUS_CODES[status] || !/^[\t\x20-\x7e]*$/.test(reason);
    if (usual) response.writeHead(status, list);
    else response.writeHead(status, reason, list);
  }

  whole(status: number, reason: string, headers: readonly string[], body: Buffer): void {
    this.begin(status, reason, headers);
    // As text it goes into one piece with the head; as bytes it would be a second one.
    this.#response.end(body.toString('latin1'), 'latin1');
    if (!this.#request.complete) this.#drainWhenSent();
  }

  flush(): void {
    this.#response.flushHeaders();
  }

  write(chunk: Uint8Array): boolean {
    return this.#response.write(chunk);
  }

  onDrain(callback: () => void): void {
    if (this.#onDrain === undefined) this.#response.on('drain', () => this.#onDrain?.());
    this.#onDrain = callback;
  }

  end(trailers?: readonly (readonly [string, string])[]): void {
    // Node sends them only when the answer is chunked.
    if (trailers !== undefined) this.#response.addTrailers(trailers as unknown as [string, string][]);
    this.#response.end();
    if (!this.#request.complete) this.#drainWhenSent();
  }

  #drainWhenSent(): void {
    if (this.#response.writableFinished) this.#drainRest();
    else this.#response.once('finish', () => this.#drainRest());
  }

  closeAfter(): void {
    this.#response.shouldKeepAlive = false;
  }

  destroy(): void {
    this.#response.destroy();
  }

  onClosed(callback: (ending: Ending) => void): void {
    const response = this.#response;
    const { socket } = this.#request;
    // Whoever handed the request over may have taken so long that the client is gone: no event tells of it then.
    if (response.closed || response.destroyed || socket.closed) {
      callback('broken');
      return;
    }
    this.#onClosed = callback;
    openAnswer(socket, this, response.socket === null);
    // `once` wraps the listener and takes it off again: more than to look twice costs, for each request.
    response.on('close', () => this.cutOff());
  }

  cutOff(): void {
    const callback = this.#onClosed;
    if (callback === undefined) return;
    this.#onClosed = undefined;
    callback(this.#response.writableFinished ? 'complete' : 'broken');
    closeAnswer(this.#request.socket, this);
  }

  drained(): void {
    if (this.#response.socket !== null) this.#response.emit('drain');
  }

  /** Read away what is left of the request so that the connection can serve another one, but not without end. */
  #drainRest(): void {
    let left = drainedBytes;
    this.#request.on('data', (chunk: Buffer) => {
      left -= chunk.length;
      if (left < 0) this.#request.destroy();
    });
    this.#request.resume();
  }
}

/** A request that asked to switch protocols: Node has handed over its connection bare. */
export class UpgradeDoor extends NodeDoor {
  readonly #response: ServerResponse;
  readonly #bare: BareConnection;
  #detached = false;

  constructor(request: IncomingMessage, bare: BareConnection, closing: () => boolean) {
    const { socket } = bare;
    const response = new ServerResponse(request);
    // A plain answer is the last thing on this connection: its parser is gone.
    response.shouldKeepAlive = false;
    response.assignSocket(socket);
    response.once('finish', () => socket.destroySoon());
    super(request, response, { waits: false, closing });
    this.#response = response;
    this.#bare = bare;
  }

  /** Take the connection out of the hands of the HTTP response; returns what the client said meanwhile. */
  detach(): Buffer {
    this.#detached = true;
    const early = this.#bare.release();
    this.#response.detachSocket(this.#bare.socket);
    return early;
  }

  override get started(): boolean {
    return this.#detached || super.started;
  }

  override destroy(): void {
    this.#bare.socket.destroy();
  }

  override onClosed(callback: (ending: Ending) => void): void {
    const { socket } = this.#bare;
    openAnswer(socket, this, false);
    socket.once('close', () => {
      callback(this.#detached || this.#response.writableFinished ? 'complete' : 'broken');
    });
  }
}

function ignore(): void {}
