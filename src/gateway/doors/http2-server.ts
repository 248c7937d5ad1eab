/** HTTP/2 beside HTTP/1.1 on one port: by ALPN over TLS, by the connection preface otherwise. */
import type { Server } from 'node:http';
import {
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

/** What HTTP/2 connections are handed to. */
export interface Http2Handlers {
  readonly onStream: (stream: ServerHttp2Stream, rawHeaders: readonly string[], flags: number) => void;
  readonly onSession: (session: ServerHttp2Session) => void;
}

/** How every HTTP/2 connection begins (RFC 9113, 3.4). */
const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** How long a client may take to show which of the two it speaks, in milliseconds. */
const sniffTime = 15_000;

/** How long a connection without a stream stays open, in milliseconds: as long as one of HTTP/1.1 without a request. */
const idleTime = 65_000;

/** @param headerBytes the most bytes of a request's head. */
function makeHttp2(handlers: Http2Handlers, headerBytes: number): Http2Server {
  const server = createServer({
    settings: {
      enableConnectProtocol: true,
      maxConcurrentStreams: 256,
      maxHeaderListSize: headerBytes,
    },
    maxSessionInvalidFrames: 100,
    // Beside our own limit, see `limitResets`; Node 20 does not know them, and takes nghttp2's 1,000.
    streamResetBurst: 200,
    streamResetRate: 33,
  } as Parameters<typeof createServer>[0]);
  server.on('session', (session) => {
    closeWhenIdle(session);
    handlers.onSession(session);
  });
  server.on('sessionError', ignore);
  server.on(
    'stream',
    (stream: ServerHttp2Stream, _headers: IncomingHttpHeaders, flags: number, raw?: readonly string[]) =>
      handlers.onStream(stream, raw ?? [], flags),
  );
  return server;
}

/** A head that is never finished opens no stream, and so its connection counts as idle. */
function closeWhenIdle(session: ServerHttp2Session): void {
  const streams = new Set<ServerHttp2Stream>();
  session.on('stream', (stream) => {
    streams.add(stream);
    stream.once('close', () => streams.delete(stream));
  });
  // Of a stream that its client has reset without an error, and that still had something to say, Node forgets.
  session.once('close', () => {
    for (const stream of streams) stream.destroy();
  });
  session.setTimeout(idleTime);
  session.on('timeout', () => {
    if (streams.size === 0) session.close();
  });
}

/** Have a server for TLS also speak HTTP/2, with clients that ask for it by ALPN. */
export function addAlpn(server: Server, handlers: Http2Handlers, headerBytes: number): void {
  const http2 = makeHttp2(handlers, headerBytes);
  const http1 = server.listeners('secureConnection') as ((socket: Socket) => void)[];
  server.removeAllListeners('secureConnection');
  server.on('secureConnection', (socket: TLSSocket) => {
    if (socket.alpnProtocol === 'h2') http2.emit('connection', socket);
    else for (const listener of http1) listener.call(server, socket);
  });
}

/** Have a plain server also speak HTTP/2, with clients that begin with its preface. */
export function addPriorKnowledge(server: Server, handlers: Http2Handlers, headerBytes: number): void {
  const http2 = makeHttp2(handlers, headerBytes);
  const http1 = server.listeners('connection') as ((socket: Socket) => void)[];
  server.removeAllListeners('connection');
  const asHttp1 = (socket: Socket): void => {
    for (const listener of http1) listener.call(server, socket);
  };
  const asHttp2 = (socket: Socket): void => {
    // A server for HTTP/1.1 lets clients end their side first. In HTTP/2 whoever does so is gone, and nothing else would
    // tell of it while an answer waits for him to take more.
    socket.allowHalfOpen = false;
    http2.emit('connection', socket);
  };
  server.on('connection', (socket: Socket) => {
    // Given back by `serveAsPlain`: what it speaks is known.
    if (seen.has(socket)) asHttp1(socket);
    else sniff(socket, (isHttp2) => (isHttp2 ? asHttp2(socket) : asHttp1(socket)));
  });
}

const seen: WeakSet<Socket> = new WeakSet();

/** Look at the first bytes, and put them back. */
function sniff(socket: Socket, decide: (isHttp2: boolean) => void): void {
  seen.add(socket);
  const onEnd = (): void => void socket.destroy();
  let begun = Buffer.alloc(0);
  const onReadable = (): void => {
    for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) {
      begun = Buffer.concat([begun, chunk as Buffer]);
    }
    const length = Math.min(begun.length, preface.length);
    const alike = begun.subarray(0, length).equals(preface.subarray(0, length));
    if (alike && length < preface.length) return;
    socket.off('readable', onReadable).off('end', onEnd).off('error', ignore);
    socket.setTimeout(0).off('timeout', onEnd);
    socket.unshift(begun);
    decide(alike);
  };
  socket.on('error', ignore).on('end', onEnd).on('readable', onReadable);
  socket.setTimeout(sniffTime).on('timeout', onEnd);
}

function ignore(): void {}
