import type { IncomingMessage, ServerResponse } from 'node:http';
import { constants, type ServerHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';
import { milliseconds } from '../core/duration.ts';
import { Emitter, type Unsubscribe } from '../core/emitter.ts';
import { ProblemError } from '../core/errors.ts';
import { type Runtime, resolveRuntime } from '../core/runtime.ts';
import { admissionRules } from './admission-rules.ts';
import { afterEarlierAnswers, BareConnection } from './doors/client-connection.ts';
import type { Door, Upgradable } from './doors/door.ts';
import { Http2Door, http2Head } from './doors/http2-door.ts';
import type { Http2Handlers } from './doors/http2-server.ts';
import { parseListenOptions } from './doors/listen-options.ts';
import { type HandedOver, NodeDoor, nodeHead, UpgradeDoor } from './doors/node-door.ts';
import type { ListenAddress, ListenOptions } from './doors/node-server.ts';
import { type FetchInfo, WebDoor, webHead } from './doors/web-door.ts';
import type { Guard } from './exchange/exchange.ts';
import { ExchangeRecord } from './exchange/exchange-record.ts';
import { HttpExchange } from './exchange/http-exchange.ts';
import type { RouteExplanation } from './explain.ts';
import type { FailedAttempt, ProxyContext } from './forward/attempt.ts';
import { RetryBudgets } from './forward/repeat-rules.ts';
import { couldBeTunnel, serveAsPlain } from './forward/upgrade.ts';
import { healthAnswer } from './health.ts';
import { addressSet } from './http/addresses.ts';
import { type AdmissionRules, admit, type IncomingHead } from './http/admit.ts';
import { viaOf } from './http/via.ts';
import { explainRequest, type ImaginedRequest } from './imagined.ts';
import { type RouteDefinition, RouteSet } from './route-set.ts';
import type { RequestRouterEvents } from './router-events.ts';
import { RouterLife, type RouterStopOptions } from './router-life.ts';
import {
  parseRouterOptions,
  type RequestRouterOptions,
  type ResolvedRouterOptions,
  type RouteOptions,
} from './router-options.ts';
import { hasNoRoute } from './routes/find-route.ts';
import { answerWith, refuse, type ServeContext, serve } from './serve.ts';
import { Upstreams } from './upstreams/upstreams.ts';
import { RouterWorkers } from './workers/router-workers.ts';

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
  readonly #life: RouterLife;
  readonly #workers: RouterWorkers;
  readonly #upstreams: Upstreams;
  readonly #mirrors: Upstreams;
  readonly #budgets: RetryBudgets;
  readonly #rules: AdmissionRules;
  readonly #guards: Guard[] = [];
  readonly #context: ServeContext;
  #routes: RouteSet;
  #stopping: Promise<boolean> | undefined;

  /** @throws InvalidOptionsError naming each option that is not acceptable. */
  constructor(options: RequestRouterOptions = {}) {
    const parsed = parseRouterOptions(options);
    const { name, limits, paths, registry, identityHeaders } = parsed;
    this.#options = parsed;
    this.#runtime = resolveRuntime(parsed.runtime);
    this.#emitter = new Emitter('request-router', name, this.#runtime.telemetry);
    const { clock } = this.#runtime;
    const denied = addressSet(owner, 'deniedUpstreams', parsed.deniedUpstreams);
    const connecting = { ...limits, denied, clock, tls: parsed.upstreamTls };
    this.#upstreams = new Upstreams(connecting);
    this.#mirrors = new Upstreams(connecting);
    this.#budgets = new RetryBudgets(parsed.retryBudget, name, this.#runtime);
    // Its own id in it: several routers of the same name may stand in a row without a loop.
    const pseudonym = `${name}-${this.#runtime.id().slice(0, 8)}`;
    this.#rules = admissionRules(parsed, pseudonym);
    this.#life = new RouterLife(clock);
    this.#workers = new RouterWorkers(this.#runtime, this, (exited) =>
      this.#emitter.emit('workerExited', exited),
    );
    this.#routes = new RouteSet({ ...parsed, hasRegistry: registry !== undefined });
    this.#context = {
      routes: this.#routes.table,
      guards: this.#guards,
      proxy: this.#proxyContext(this.#upstreams, (route, failure) => this.#attemptFailed(route, failure)),
      mirrors: {
        // The outcome of a copy is told as a whole.
        ...this.#proxyContext(this.#mirrors, () => {}),
        onMirrored: (outcome) => this.#emitter.emit('mirrored', outcome),
      },
      paths,
      limits,
      identityHeaders,
      via: viaOf(pseudonym),
      clock,
      refuse: (exchange, error) => refuse(this.#context, exchange.door, exchange.record, error, exchange),
      onRefused: (record, status, reason) => this.#refused(record, status, reason),
    };
  }

  #proxyContext(upstreams: Upstreams, onFailed: ProxyContext['onFailed']): ProxyContext {
    const onRepeated: ProxyContext['onRepeated'] = (route, service, repetition) => {
      if (this.#emitter.wants('repeated')) this.#emitter.emit('repeated', { route, service, ...repetition });
    };
    const { registry } = this.#options;
    return { registry, upstreams, budgets: this.#budgets, runtime: this.#runtime, onFailed, onRepeated };
  }

  /** Exchanges under way. */
  get active(): number {
    return this.#life.inFlight.size;
  }

  /** Add guards that run for every route, in order, before the route's own. Returns this router. */
  use(...guards: readonly Guard[]): this {
    this.#guards.push(...guards);
    return this;
  }

  /**
   * Add a route. Returns this router.
   *
   * Of several that match, `priority` counts first, then the host (a name, then `*.` patterns, then every host), then the
   * path segment by segment (literal text, then text with a `:name` in it, then `:name`, then `*`), then whether the
   * method is named, then the number of conditions, and between equals the order of declaration. `/orders/*` serves
   * `/orders` too, and `GET` serves HEAD.
   *
   * @param pattern `'[METHODS ][host]/path'`, such as `'/orders/*'` or `'GET,POST api.example.com/orders/:id'`.
   * @throws InvalidOptionsError when the pattern or an option is not acceptable, or the pattern is declared already.
   */
  route(pattern: string, options: RouteOptions): this {
    this.#routes.add(pattern, options);
    return this;
  }

  /**
   * Put other routes in the place of all that there are, in one step: a request has the old routes or the new ones, and
   * requests under way finish on those that they began with. A route that is declared as before stays the same one, with
   * its policy and whatever it remembers. When one definition is not acceptable, nothing changes.
   *
   * @throws InvalidOptionsError naming each field that is not acceptable, such as `routes.3.pattern`.
   */
  replace(routes: readonly RouteDefinition[]): void {
    const { set, changes } = this.#routes.replacedBy(routes);
    this.#routes = set;
    this.#context.routes = set.table;
    this.#emitter.emit('replaced', changes);
  }

  /**
   * What the router would do with a request, and why: the route, what it leads to, and which routes were near. Nothing
   * is sent and no guard is asked, but functions of routes are called (those that give a service, a path, a policy, a
   * key or a condition), and a service's instance is picked, without effect on balancing.
   */
  explain(request: Request | ImaginedRequest): Promise<RouteExplanation> {
    const context = { ...this.#context, registry: this.#options.registry };
    return explainRequest(context, request, this.#rules, this.#runtime);
  }

  /** Subscribe to an event; returns the function that ends the subscription. */
  on<K extends keyof RequestRouterEvents & string>(
    event: K,
    listener: (payload: RequestRouterEvents[K]) => void,
  ): Unsubscribe {
    return this.#emitter.on(event, listener);
  }

  /**
   * The door for a server of your own: `createServer(router.node)`.
   *
   * @param handOver what a framework knows of the request; see `holdfast/integrations/express` and `…/fastify`.
   */
  readonly node = (request: IncomingMessage, response: ServerResponse, handOver?: HandedOver): void => {
    if (handOver?.unmatched !== undefined && this.#leadsNowhere(nodeHead(request, handOver))) {
      handOver.unmatched();
      return;
    }
    this.#serveNode(request, response, false, handOver);
  };

  /**
   * The same for clients that wait to be told before they send a body: `server.on('checkContinue',
   * router.checkContinue)`. Without it Node tells a client of a server of your own to go on before any guard was asked.
   */
  readonly checkContinue = (request: IncomingMessage, response: ServerResponse): void => {
    this.#serveNode(request, response, true);
  };

  /** The same for upgrades: `server.on('upgrade', router.upgrade)`. Without it a server of your own refuses them. */
  readonly upgrade = (request: IncomingMessage, socket: Socket, head: Buffer): void => {
    const bare = new BareConnection(socket, head);
    this.#life.addTunnel(socket);
    afterEarlierAnswers(request, bare, () => this.#upgrade(request, bare));
  };

  #upgrade(request: IncomingMessage, bare: BareConnection): void {
    if (!couldBeTunnel(request)) {
      serveAsPlain(request, bare);
      return;
    }
    const door = new UpgradeDoor(request, bare, this.#closing);
    this.#serve(door, nodeHead(request), { socket: bare.socket, detach: () => door.detach() });
  }

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
    this.#life.assertRunning();
    const options = parseListenOptions(given);
    const address = await this.#workers.listen(options.workers, () => this.#listenHere(options));
    this.#emitter.emit('listening', { url: address.url });
    return address;
  }

  #listenHere(options: ListenOptions): Promise<ListenAddress> {
    const handlers = {
      onRequest: (request: IncomingMessage, response: ServerResponse, waits: boolean): void =>
        this.#serveNode(request, response, waits),
      onUpgrade: this.upgrade,
      onStream: this.#serveStream,
      onSession: (session: ServerHttp2Session): void => this.#life.addSession(session),
    };
    return this.#life.listen(handlers, this.#options.limits.headerBytes, options);
  }

  /**
   * Accept nothing new, let exchanges under way end, then close what is left. Idempotent and final. Requests that
   * still arrive on open connections meanwhile are served, and their connections closed. Stops all workers, too.
   *
   * @returns whether every exchange had ended by then.
   */
  stop(options: RouterStopOptions = {}): Promise<boolean> {
    this.#stopping ??= this.#stop(options);
    return this.#stopping;
  }

  /** The same as {@link RequestRouter.stop}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #stop({ grace = 0, timeout = '10s' }: RouterStopOptions): Promise<boolean> {
    const times = { grace: milliseconds(grace, 'grace'), timeout: milliseconds(timeout, 'timeout') };
    const release = (): Promise<unknown> => Promise.all([this.#upstreams.destroy(), this.#mirrors.destroy()]);
    const both = await Promise.all([this.#life.stop(times, release), this.#workers.stop(times)]);
    const drained = both.every(Boolean);
    this.#emitter.emit('stopped', { drained });
    await this.#workers.stopped(drained);
    return drained;
  }

  readonly #closing = (): boolean => this.#life.closing;

  #serveNode(
    request: IncomingMessage,
    response: ServerResponse,
    waits: boolean,
    handOver?: HandedOver,
  ): void {
    const options = { waits, closing: this.#closing, read: handOver?.body?.bytes };
    this.#serve(new NodeDoor(request, response, options), nodeHead(request, handOver), undefined);
  }

  /** Whether a request is well-formed, but no route leads there. */
  #leadsNowhere(head: IncomingHead): boolean {
    try {
      return hasNoRoute(this.#routes.table, head, admit(head, this.#rules));
    } catch {
      return false;
    }
  }

  readonly #serveStream: Http2Handlers['onStream'] = (stream, rawHeaders, flags) => {
    const whole = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    const head = http2Head(stream, rawHeaders, whole);
    const tunnel = head.headers.has('upgrade');
    const door = new Http2Door(stream, head.headers.has('expect'), tunnel);
    if (!whole) door.limitRequest(this.#runtime.clock);
    this.#serve(door, head, tunnel ? door.upgradable : undefined);
  };

  #serve(door: Door, head: IncomingHead, upgradable: Upgradable | undefined): void {
    this.#life.inFlight.begin();
    const record = new ExchangeRecord(this.#runtime.clock, head);
    let exchange: HttpExchange | undefined;
    let ended = false;
    door.onClosed((ending) => {
      ended = true;
      if (ending === 'broken') exchange?.abandon();
      this.#life.inFlight.end();
      this.#finished(record, exchange);
    });
    // The client was gone before the request came to us.
    if (ended) return;
    try {
      if (this.#life.state === 'stopped') throw new ProblemError(503, 'the router has stopped');
      exchange = new HttpExchange(door, head, admit(head, this.#rules), record, this.#runtime);
    } catch (error) {
      door.closeAfter();
      refuse(this.#context, door, record, error, undefined, head);
      return;
    }
    const { health } = this.#options;
    const healthy = health && healthAnswer(health, exchange, this.#life.state);
    if (healthy === undefined) serve(this.#context, exchange, upgradable);
    else void answerWith(this.#context, exchange, healthy);
  }

  #finished(record: ExchangeRecord, exchange: HttpExchange | undefined): void {
    // Nobody was answered: the client went away before.
    if (record.status === 0) record.status = 499;
    exchange?.finish();
    if (!this.#emitter.wants('finished')) return;
    record.finish(exchange?.headers.get('x-request-id'));
    this.#emitter.emit('finished', record);
  }

  #refused({ method, path, route }: ExchangeRecord, status: number, reason: string): void {
    if (this.#emitter.wants('refused'))
      this.#emitter.emit('refused', { method, path, route, status, reason });
  }

  #attemptFailed(route: string, failure: FailedAttempt): void {
    if (this.#emitter.wants('upstreamFailed')) this.#emitter.emit('upstreamFailed', { route, ...failure });
  }
}
