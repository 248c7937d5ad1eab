import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { type Duration, milliseconds } from '../core/duration.ts';
import { Emitter, type Unsubscribe } from '../core/emitter.ts';
import { NotRunningError, ProblemError } from '../core/errors.ts';
import { InFlight } from '../core/lifecycle.ts';
import { type Runtime, resolveRuntime } from '../core/runtime.ts';
import { addressSet } from './addresses.ts';
import { type AdmissionRules, admit, type IncomingHead } from './admit.ts';
import type { Door } from './door.ts';
import { beginRecord, type ExchangeRecord, type Guard, HttpExchange } from './exchange.ts';
import { Upstreams } from './forward.ts';
import { parseListenOptions } from './listen-options.ts';
import { RouteTable } from './match.ts';
import { NodeDoor, nodeHead, UpgradeDoor } from './node-door.ts';
import {
  closeConnections,
  closeListener,
  type ListenAddress,
  type ListenOptions,
  listenOn,
  makeServer,
  pendingReads,
} from './node-server.ts';
import type { FailedAttempt } from './proxy.ts';
import { compileRoute, type Route } from './route.ts';
import type { RequestRouterEvents } from './router-events.ts';
import {
  parseRouterOptions,
  type RequestRouterOptions,
  type ResolvedRouterOptions,
  type RouteOptions,
} from './router-options.ts';
import { refuse, type ServeContext, serve, type Upgradable } from './serve.ts';
import { couldBeTunnel, serveAsPlain } from './upgrade.ts';
import { WebDoor, webHead } from './web-door.ts';

/** What `fetch` cannot know of a request. */
export interface FetchInfo {
  /** Address of the client. Default `unknown`. */
  readonly clientAddress?: string | undefined;
}

/** Options of {@link RequestRouter.stop}. */
export interface RouterStopOptions {
  /** How long exchanges under way may take to end. Default 10 seconds. */
  readonly timeout?: Duration | undefined;
}

const owner = 'RequestRouter';

/**
 * Routes requests by host, method and path, through guards, to services, fixed upstreams, composed answers or
 * functions. One request is one exchange, whichever door it comes in by: {@link RequestRouter.listen},
 * {@link RequestRouter.node} or {@link RequestRouter.fetch}.
 */
export class RequestRouter implements AsyncDisposable {
  readonly #options: ResolvedRouterOptions;
  readonly #runtime: Runtime;
  readonly #emitter: Emitter<RequestRouterEvents>;
  readonly #inFlight: InFlight = new InFlight();
  readonly #servers: Set<Server> = new Set();
  readonly #tunnels: Set<Socket> = new Set();
  readonly #upstreams: Upstreams;
  readonly #rules: AdmissionRules;
  readonly #guards: Guard[] = [];
  readonly #context: ServeContext;
  #state: 'running' | 'draining' | 'stopped' = 'running';
  #stopping: Promise<void> | undefined;

  /** @throws InvalidOptionsError naming each option that is not acceptable. */
  constructor(options: RequestRouterOptions = {}) {
    const parsed = parseRouterOptions(options);
    const { name, limits, paths, registry, trustedProxies } = parsed;
    this.#options = parsed;
    this.#runtime = resolveRuntime(parsed.runtime);
    this.#emitter = new Emitter('request-router', name, this.#runtime.telemetry);
    const denied = addressSet(owner, 'deniedUpstreams', parsed.deniedUpstreams);
    this.#upstreams = new Upstreams({ ...limits, denied });
    // Its own id in it: several routers of the same name may stand in a row without a loop.
    const pseudonym = `${name}-${this.#runtime.id().slice(0, 8)}`;
    const trusted = trustedProxies && addressSet(owner, 'trustedProxies', trustedProxies);
    this.#rules = {
      paths,
      pseudonym,
      maxHeaders: limits.headers,
      maxBody: limits.body,
      trustedProxies: trusted,
      identityHeaders: parsed.identityHeaders,
    };
    this.#context = {
      routes: new RouteTable(),
      guards: this.#guards,
      proxy: {
        registry,
        upstreams: this.#upstreams,
        runtime: this.#runtime,
        onFailed: (route, failure) => this.#attemptFailed(route, failure),
      },
      paths,
      limits,
      via: `1.1 ${pseudonym}`,
      onRefused: (record, status, reason) => {
        if (!this.#emitter.wants('refused')) return;
        const { method, path, route } = record;
        this.#emitter.emit('refused', { method, path, route, status, reason });
      },
    };
  }

  /** Exchanges under way. */
  get active(): number {
    return this.#inFlight.size;
  }

  /** Add guards that run for every route, in order, before the route's own. Returns this router. */
  use(...guards: readonly Guard[]): this {
    this.#guards.push(...guards);
    return this;
  }

  /**
   * Add a route. Returns this router.
   *
   * Of several that match, the host counts first (a name, then `*.` patterns, then every host), then the path segment
   * by segment (literal text, then `:name`, then `*`), then whether the method is named. Order of declaration never
   * counts. `/orders/*` serves `/orders` too, and `GET` serves HEAD.
   *
   * @param pattern `'[METHODS ][host]/path'`, such as `'/orders/*'` or `'GET,POST api.example.com/orders/:id'`.
   * @throws InvalidOptionsError when the pattern or an option is not acceptable, or the pattern is declared already.
   */
  route(pattern: string, options: RouteOptions): this {
    const { timeouts, registry } = this.#options;
    const route: Route = compileRoute(pattern, options, timeouts, registry !== undefined);
    this.#context.routes.add(pattern, route, route);
    return this;
  }

  /** Subscribe to an event; returns the function that ends the subscription. */
  on<K extends keyof RequestRouterEvents & string>(
    event: K,
    listener: (payload: RequestRouterEvents[K]) => void,
  ): Unsubscribe {
    return this.#emitter.on(event, listener);
  }

  /** The door for a server of your own: `createServer(router.node)`. */
  readonly node = (request: IncomingMessage, response: ServerResponse): void => {
    this.#serveNode(request, response, false);
  };

  /** The same for upgrades: `server.on('upgrade', router.upgrade)`. Without it a server of your own refuses them. */
  readonly upgrade = (request: IncomingMessage, socket: Socket, head: Buffer): void => {
    if (!couldBeTunnel(request)) {
      serveAsPlain(request, socket, head);
      return;
    }
    const door = new UpgradeDoor(request, socket, head, this.#closing);
    this.#tunnels.add(socket);
    socket.once('close', () => this.#tunnels.delete(socket));
    this.#serve(door, nodeHead(request), { socket, detach: () => door.detach() });
  };

  /** The Web-standard door. Always resolves to an answer; rejects only when the answer's head cannot be given. */
  readonly fetch = (request: Request, info: FetchInfo = {}): Promise<Response> => {
    const door = new WebDoor(request);
    this.#serve(door, webHead(request, info.clientAddress ?? 'unknown'), undefined);
    return door.response;
  };

  /**
   * Accept connections. May be called for several addresses.
   *
   * @throws NotRunningError after stop; InvalidOptionsError; the system's error when the address cannot be had.
   */
  async listen(given: ListenOptions): Promise<ListenAddress> {
    this.#assertRunning();
    const options = parseListenOptions(given);
    const handlers = {
      onRequest: (request: IncomingMessage, response: ServerResponse, waits: boolean): void =>
        this.#serveNode(request, response, waits),
      onUpgrade: this.upgrade,
    };
    const server = makeServer(handlers, this.#options.limits.headerBytes, options.tls);
    this.#servers.add(server);
    try {
      const address = await listenOn(server, options);
      this.#emitter.emit('listening', { url: address.url });
      return address;
    } catch (error) {
      this.#servers.delete(server);
      this.#assertRunning();
      throw error;
    }
  }

  /**
   * Accept nothing new, let exchanges under way end, then close what is left. Idempotent and final. Requests that
   * still arrive on open connections meanwhile are served, and their connections closed.
   */
  stop(options: RouterStopOptions = {}): Promise<void> {
    this.#stopping ??= this.#stop(milliseconds(options.timeout ?? '10s', 'timeout'));
    return this.#stopping;
  }

  /** The same as {@link RequestRouter.stop}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(timeout: number): Promise<void> {
    this.#state = 'draining';
    const closed = [...this.#servers].map(closeListener);
    const drained = await this.#drain(timeout);
    this.#state = 'stopped';
    for (const server of this.#servers) closeConnections(server);
    for (const socket of this.#tunnels) socket.destroy();
    await this.#upstreams.destroy();
    await Promise.all(closed);
    this.#emitter.emit('stopped', { drained });
  }

  /** Until nothing is under way, nor anything in the sockets that was sent before we looked. */
  async #drain(timeout: number): Promise<boolean> {
    const { clock } = this.#runtime;
    const deadline = clock.now() + timeout;
    do {
      if (!(await this.#inFlight.drained(clock, Math.max(0, deadline - clock.now())))) return false;
      await pendingReads();
    } while (this.#inFlight.size > 0);
    return true;
  }

  readonly #closing = (): boolean => this.#state !== 'running';

  #assertRunning(): void {
    if (this.#state !== 'running') throw new NotRunningError(owner, this.#state);
  }

  #serveNode(request: IncomingMessage, response: ServerResponse, waits: boolean): void {
    this.#serve(
      new NodeDoor(request, response, { waits, closing: this.#closing }),
      nodeHead(request),
      undefined,
    );
  }

  #serve(door: Door, head: IncomingHead, upgradable: Upgradable | undefined): void {
    const leave = this.#inFlight.enter();
    const record = beginRecord(this.#runtime.clock, head);
    let exchange: HttpExchange | undefined;
    let ended = false;
    door.onClosed((ending) => {
      ended = true;
      if (ending === 'broken') exchange?.abandon();
      leave();
      this.#finished(record, exchange);
    });
    // The client was gone before the request came to us.
    if (ended) return;
    try {
      if (this.#state === 'stopped') throw new ProblemError(503, 'the router has stopped');
      exchange = new HttpExchange(door, head, admit(head, this.#rules), record, this.#runtime);
    } catch (error) {
      door.closeAfter();
      refuse(this.#context, door, record, error, undefined);
      return;
    }
    void serve(this.#context, exchange, upgradable);
  }

  #finished(record: ExchangeRecord, exchange: HttpExchange | undefined): void {
    // Nobody was answered: the client went away before.
    if (record.status === 0) record.status = 499;
    exchange?.finish();
    if (!this.#emitter.wants('finished')) return;
    const { startedAt, ...rest } = record;
    this.#emitter.emit('finished', {
      ...rest,
      duration: this.#runtime.clock.now() - startedAt,
      requestId: exchange?.headers.get('x-request-id'),
    });
  }

  #attemptFailed(route: string, failure: FailedAttempt): void {
    if (this.#emitter.wants('upstreamFailed')) this.#emitter.emit('upstreamFailed', { route, ...failure });
  }
}
