import { createServer, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import { afterEach } from 'vitest';
import { NoInstanceError } from '../../src/core/errors.ts';
import type { ListenOptions } from '../../src/gateway/doors/node-server.ts';
import { RequestRouter } from '../../src/gateway/request-router.ts';
import type { RequestFinished } from '../../src/gateway/router-events.ts';
import type { RequestRouterOptions } from '../../src/gateway/router-options.ts';
import type { ServiceInstance } from '../../src/ports/registry-backend.ts';
import type { PickOptions, PickOutcome, Resolver } from '../../src/ports/resolver.ts';

const cleanups: (() => Promise<unknown> | unknown)[] = [];

/** Closes what a test opened, last first. */
export function closeAfterEach(): void {
  afterEach(async () => {
    for (const close of cleanups.splice(0).reverse()) await close();
  });
}

export function onCleanup(close: () => Promise<unknown> | unknown): void {
  cleanups.push(close);
}

/**
 * Until the condition holds; for what happens in sockets, which no virtual clock moves. It looks each turn of the event
 * loop at first, and gives up after many looks rather than after a time: a machine under load has as many of them.
 */
export async function until(condition: () => boolean, what = 'the condition'): Promise<void> {
  for (let turn = 0; turn < 2_000; turn += 1) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, turn < 500 ? 1 : 5));
  }
  throw new Error(`waited in vain for ${what}`);
}

export const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

function portOf(server: { address(): unknown }): number {
  return (server.address() as AddressInfo).port;
}

export interface TestUpstream {
  readonly server: Server;
  readonly port: number;
  readonly url: string;
}

/** A real HTTP server on a free loopback port. */
export async function upstream(listener: RequestListener): Promise<TestUpstream> {
  const server = createServer({ keepAliveTimeout: 30_000 }, listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onCleanup(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return { server, port: portOf(server), url: `http://127.0.0.1:${portOf(server)}` };
}

/** A server that answers bytes with bytes: for upstreams that misbehave. */
export async function rawUpstream(onConnection: (socket: Socket) => void): Promise<{ readonly url: string }> {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onCleanup(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return { url: `http://127.0.0.1:${portOf(server)}` };
}

export interface TestRouter {
  readonly router: RequestRouter;
  readonly port: number;
  readonly url: string;
  readonly finished: RequestFinished[];
}

/** A router that listens on a free loopback port, unless told otherwise. */
export async function listening(
  options: RequestRouterOptions,
  declare: (router: RequestRouter) => unknown,
  where: Partial<ListenOptions> = {},
): Promise<TestRouter> {
  const router = new RequestRouter(options);
  const finished: RequestFinished[] = [];
  router.on('finished', (event) => finished.push(event));
  declare(router);
  const { port, url } = await router.listen({ port: 0, host: '127.0.0.1', ...where });
  onCleanup(() => router.stop({ timeout: 0 }));
  return { router, port, url, finished };
}

export interface RawClient {
  readonly socket: Socket;
  /** Everything received so far, as latin1. */
  readonly text: () => string;
  /** Until the server has closed the connection. */
  readonly closed: Promise<string>;
}

/** A bare connection that has sent `request`. */
export function raw(port: number, request: string): RawClient {
  const socket = connect(port, '127.0.0.1');
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
  });
  socket.on('error', () => {});
  const closed = new Promise<string>((resolve) => socket.on('close', () => resolve(text)));
  socket.write(request, 'latin1');
  onCleanup(() => socket.destroy());
  return { socket, text: () => text, closed };
}

/** Send a request that ends the connection; everything that came back. */
export function exchange(port: number, lines: readonly string[], body = ''): Promise<string> {
  return raw(port, `${[...lines, 'Connection: close'].join('\r\n')}\r\n\r\n${body}`).closed;
}

export function statusOf(answer: string): number {
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1]);
}

/** A JSON object whose shape the test knows. */
export async function json(response: Response): Promise<Record<string, Mirrored>> {
  return (await response.json()) as Record<string, Mirrored>;
}

/** What the tests' upstreams answer with. */
export type Mirrored = string & { readonly url: string; readonly headers: Readonly<Record<string, string>> };

export function instance(service: string, id: string, url: string): ServiceInstance {
  const { hostname, port } = new URL(url);
  return {
    id,
    service,
    host: hostname,
    port: Number(port),
    secure: false,
    url,
    status: 'up',
    weight: 1,
    tags: [],
    metadata: {},
  };
}

export interface TestRegistry extends Resolver {
  /** How each pick ended, in the order of the ends. */
  readonly outcomes: { readonly id: string; readonly outcome: PickOutcome }[];
  /** How often `done` was called more than once. */
  readonly repeated: number;
  /** Picks that are not finished. */
  readonly open: number;
}

/**
 * A registry that gives each service's instances in turn, and remembers how every pick ended.
 *
 * @param sticky always the first instance that is not excluded.
 */
export function registryOf(
  services: Readonly<Record<string, readonly string[]>>,
  sticky = false,
): TestRegistry {
  const turns = new Map<string, number>();
  const state = { outcomes: [] as { id: string; outcome: PickOutcome }[], repeated: 0, open: 0 };
  return Object.assign(state, {
    pick(service: string, options: PickOptions = {}) {
      const all = (Object.hasOwn(services, service) ? services[service]! : []).map((url, index) =>
        instance(service, `${service}-${index + 1}`, url),
      );
      const fresh = all.filter(({ id }) => !options.exclude?.has(id));
      const candidates = fresh.length > 0 ? fresh : all;
      if (candidates.length === 0) throw new NoInstanceError(service, 'none is registered');
      const turn = turns.get(service) ?? 0;
      turns.set(service, turn + 1);
      const chosen = candidates[sticky ? 0 : turn % candidates.length]!;
      let finished = false;
      state.open += 1;
      return {
        instance: chosen,
        done(outcome: PickOutcome) {
          if (finished) state.repeated += 1;
          else state.open -= 1;
          finished = true;
          state.outcomes.push({ id: chosen.id, outcome });
        },
      };
    },
  });
}
