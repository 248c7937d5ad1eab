import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { type AddressInfo, Server as NetServer, type Socket } from 'node:net';
import type { TlsOptions } from 'node:tls';
import { addAlpn, addPriorKnowledge, type Http2Handlers } from './http2-server.ts';

/** Where to listen. */
export interface ListenOptions {
  /** 0 takes any free port. */
  readonly port: number;
  /** Address or name to listen on. Default: every address. */
  readonly host?: string | undefined;
  /** Speak HTTPS with this certificate and key, as `node:tls` takes them. Default: plain HTTP. */
  readonly tls?: TlsOptions | undefined;
  /**
   * Serve by so many processes of `node:cluster`, each of which runs the whole program; `auto` for one per core. This
   * process then only starts them, starts those again that die, and counts rate limits for all. Default: serve here.
   */
  readonly workers?: number | 'auto' | undefined;
  /**
   * Speak HTTP/2 as well: over TLS with clients that ask for it (ALPN), otherwise with those that begin with it (prior
   * knowledge, as gRPC does). Default: over TLS only.
   */
  readonly http2?: boolean | undefined;
}

/** Where a router listens. */
export interface ListenAddress {
  readonly port: number;
  /** Such as `http://127.0.0.1:8080`; for every address it names `localhost`. */
  readonly url: string;
}

/** What a server hands its requests to. */
export interface ServerHandlers extends Http2Handlers {
  /** @param waits whether the client waits to be told before it sends its body. */
  readonly onRequest: (request: IncomingMessage, response: ServerResponse, waits: boolean) => void;
  readonly onUpgrade: (request: IncomingMessage, socket: Socket, head: Buffer) => void;
}

/** A server that withstands slow and oversized requests. */
export function makeServer(
  handlers: ServerHandlers,
  headerBytes: number,
  { tls, http2 = tls !== undefined }: Pick<ListenOptions, 'tls' | 'http2'>,
): Server {
  const options: ServerOptions = {
    maxHeaderSize: headerBytes,
    // A head must be there within 15 s; Node looks only every 30 s unless told otherwise.
    headersTimeout: 15_000,
    connectionsCheckingInterval: 5_000,
    // Longer than the minute after which balancers usually stop reusing a connection.
    keepAliveTimeout: 65_000,
    insecureHTTPParser: false,
    requireHostHeader: true,
  };
  const protocols = http2 ? { ALPNProtocols: ['h2', 'http/1.1'] } : undefined;
  const server =
    tls === undefined ? createServer(options) : createSecureServer({ ...protocols, ...tls, ...options });
  if (http2) (tls === undefined ? addPriorKnowledge : addAlpn)(server, handlers, headerBytes);
  trackSockets(server);
  server.on('request', (request, response) => handlers.onRequest(request, response, false));
  server.on('checkContinue', (request, response) => handlers.onRequest(request, response, true));
  server.on('checkExpectation', (request, response) => handlers.onRequest(request, response, true));
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) =>
    handlers.onUpgrade(request, socket, head),
  );
  return server;
}

/** Every connection of a server, also those of which nobody knows yet what they will speak. */
const socketsOf: WeakMap<Server, Set<Socket>> = new WeakMap();

function trackSockets(server: Server): void {
  const sockets = new Set<Socket>();
  socketsOf.set(server, sockets);
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
}

/** Begin to listen; resolves once connections are accepted. */
export function listenOn(server: Server, options: ListenOptions): Promise<ListenAddress> {
  return new Promise((resolve, reject) => {
    // While a name is looked up, a server can be closed before it listens; nothing else tells of that.
    const onClose = (): void => reject(new Error('the server was closed before it listened'));
    server.once('error', reject);
    server.once('close', onClose);
    server.listen({ port: options.port, host: options.host }, () => {
      server.off('error', reject);
      server.off('close', onClose);
      const { address, port } = server.address() as AddressInfo;
      const host = address === '::' || address === '0.0.0.0' ? 'localhost' : bracketed(address);
      resolve({ port, url: `${options.tls === undefined ? 'http' : 'https'}://${host}:${port}` });
    });
  });
}

/**
 * Take no new connections; resolves when the last one is closed. Unlike `http.Server.close`, it leaves those alone on
 * which nothing is under way: a client may have sent its next request a moment ago. {@link closeConnections} ends them.
 */
export function closeListener(server: Server): Promise<void> {
  return new Promise((resolve) => NetServer.prototype.close.call(server, () => resolve()));
}

/** Until what has reached this machine already was read: a connection just accepted is read a turn later than others. */
export async function pendingReads(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Close every connection, and what the server needs to watch over them. */
export function closeConnections(server: Server): void {
  // Told that it is closed already, Node still ends its checks of slow connections.
  server.close(() => {});
  server.closeAllConnections();
  for (const socket of socketsOf.get(server) ?? []) socket.destroy();
}

function bracketed(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}
