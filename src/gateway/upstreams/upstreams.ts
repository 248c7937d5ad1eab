/**
 * Connections to upstreams. The only file that knows undici: its `dispatch` with the raw handler, since that gives
 * header fields as they were sent (case, order, duplicates), and costs least.
 */
import type { BlockList } from 'node:net';
import { Readable } from 'node:stream';
import { buildConnector, Client } from 'undici';
import type { Clock } from '../../core/clock.ts';
import { BulkheadFullError, UpstreamError } from '../../core/errors.ts';
import { Http2Upstream } from './http2-upstream.ts';
import { SilenceLimit } from './silence-limit.ts';
import { TrailingCalls } from './trailing-call.ts';
import { checkedLookup, refuseAddress } from './upstream-address.ts';
import { type CallListener, UpstreamCall } from './upstream-call.ts';
import type { UpstreamRequest } from './upstream-request.ts';
import type { UpstreamTls } from './upstream-tls.ts';
import type { UsedConnection } from './used-connection.ts';
import { watchHeads } from './watch-heads.ts';

/** Options of {@link Upstreams}. */
export interface UpstreamsOptions {
  /** The most connections to one origin. */
  readonly connections: number;
  /** The most requests that wait for a connection to one origin. */
  readonly waiting: number;
  /** The most origins that are kept. */
  readonly origins: number;
  /** Addresses that are never called. */
  readonly denied: BlockList;
  readonly tls?: UpstreamTls | undefined;
  readonly clock: Clock;
}

/** How long a connection may take to be made: as long as the call says for which it is made. */
interface Connecting {
  timeout: number;
}

/** How many limits of connecting are kept for one origin; routes have few, but may be replaced for ever. */
const mostConnectors = 16;

/** One connection, made again whenever it was closed, for one call at a time. Calls learn how many came before them. */
class Lane extends Client implements UsedConnection {
  served = 0;
  isOld = false;
  readonly #owner: Upstream;
  readonly #connecting: Connecting;
  #busy = false;

  constructor(owner: Upstream, connecting: Connecting, options: Client.Options) {
    super(owner.origin, options);
    this.#owner = owner;
    this.#connecting = connecting;
    const anew = (): void => {
      this.served = 0;
    };
    this.on('connect', anew).on('disconnect', anew);
    this.on('connect', () =>
      watchHeads(this, (isOld) => {
        this.isOld = isOld;
      }),
    );
  }

  start(call: UpstreamCall): void {
    const { request } = call;
    this.#busy = true;
    this.#connecting.timeout = request.timeouts.connect;
    call.connection = this;
    this.dispatch(
      {
        method: request.method,
        path: request.path,
        headers: request.headers,
        body: request.body,
        // Only undici knows how far a body has got that streams; the other limits are ours.
        headersTimeout: request.body instanceof Readable ? request.timeouts.firstByte : 0,
        // Nothing ever stands behind a call in a connection, so there is no line for it to block.
        blocking: false,
        // Otherwise undici gives up the connection after each HEAD, and after a DELETE with a body.
        reset: request.upgrade !== undefined,
        upgrade: request.upgrade ?? null,
      },
      call,
    );
  }

  free(well: boolean): void {
    if (!this.#busy) return;
    this.#busy = false;
    this.#owner.free(this, well);
  }
}

/**
 * One origin's connections. The one that was used last is used next: it is the least likely to be closed meanwhile, and
 * undici need not put it to rest in between. A `Pool` of undici's looks through all of them for each call, twice.
 */
export class Upstream {
  readonly origin: string;
  /** How many calls are under way. */
  active = 0;
  readonly #options: UpstreamsOptions;
  readonly #clientOptions: Client.Options;
  readonly #lanes: Set<Lane> = new Set();
  readonly #idle: Lane[] = [];
  readonly #connectors: Map<number, ReturnType<typeof buildConnector>> = new Map();
  readonly #waiting: Set<UpstreamCall> = new Set();
  #trailingCalls: TrailingCalls | undefined = undefined;
  #closing = false;

  constructor(origin: string, options: UpstreamsOptions) {
    this.origin = origin;
    this.#options = options;
    this.#clientOptions = {
      // Below the 5 seconds after which a Node server closes an idle connection.
      keepAliveTimeout: 4_000,
      headersTimeout: 0,
      bodyTimeout: 0,
    };
  }

  /**
   * Make a call.
   *
   * @throws BulkheadFullError when as many requests wait as may wait.
   */
  call(request: UpstreamRequest, listener: CallListener): UpstreamCall {
    const { connections, waiting, clock } = this.#options;
    if (this.active >= connections + waiting)
      throw new BulkheadFullError(this.origin, connections + waiting, 0);
    this.active += 1;
    const call = new UpstreamCall(this, request, listener);
    if (request.trailerNames !== undefined) {
      this.#trailing().begin(call, request);
      return call;
    }
    call.silence = new SilenceLimit(clock, call);
    const lane = this.#idle.pop() ?? this.#newLane();
    if (lane === undefined) this.#waiting.add(call);
    else lane.start(call);
    return call;
  }

  #newLane(): Lane | undefined {
    if (this.#lanes.size >= this.#options.connections) return undefined;
    const connecting: Connecting = { timeout: 0 };
    const lane = new Lane(this, connecting, {
      ...this.#clientOptions,
      connect: (target, done) => this.#connector(connecting.timeout)(target, done),
    });
    this.#lanes.add(lane);
    return lane;
  }

  #connector(timeout: number): ReturnType<typeof buildConnector> {
    const known = this.#connectors.get(timeout);
    if (known !== undefined) return known;
    const { tls, denied } = this.#options;
    const connector = buildConnector({ ...tls, lookup: checkedLookup(denied), timeout });
    if (this.#connectors.size >= mostConnectors) this.#connectors.clear();
    this.#connectors.set(timeout, connector);
    return connector;
  }

  #trailing(): TrailingCalls {
    const { denied } = this.#options;
    this.#trailingCalls ??= new TrailingCalls(this.origin, {
      ...this.#options,
      lookup: checkedLookup(denied),
    });
    return this.#trailingCalls;
  }

  /** A call has ended. */
  leave(call: UpstreamCall): void {
    this.active -= 1;
    if (this.#waiting.size > 0) this.#waiting.delete(call);
  }

  /**
   * A connection is done with its call.
   *
   * @internal
   */
  free(lane: Lane, well: boolean): void {
    if (well && this.#waiting.size === 0 && !this.#closing) this.#idle.push(lane);
    // After a failure undici does not expect a new call before it has dealt with it.
    else queueMicrotask(() => (well ? this.#reuse(lane) : this.#replace(lane)));
  }

  /** After a call that was given up undici would connect anew at once, whether or not there is a use for it. */
  #replace(lane: Lane): void {
    this.#lanes.delete(lane);
    void lane.destroy().catch(() => {});
    for (const call of this.#waiting) {
      this.#waiting.delete(call);
      this.#newLane()?.start(call);
      return;
    }
  }

  #reuse(lane: Lane): void {
    for (const call of this.#waiting) {
      this.#waiting.delete(call);
      lane.start(call);
      return;
    }
    if (this.#closing) this.#closeLane(lane);
    else this.#idle.push(lane);
  }

  #closeLane(lane: Lane): void {
    this.#lanes.delete(lane);
    void lane.close().catch(() => {});
  }

  /** Close each connection once no call needs it any more. */
  close(): Promise<void> {
    this.#closing = true;
    for (const lane of this.#idle.splice(0)) this.#closeLane(lane);
    return Promise.resolve();
  }

  /** Break off every call. */
  async destroy(): Promise<void> {
    this.#closing = true;
    this.#trailingCalls?.destroy();
    this.#idle.length = 0;
    const stopped = new Error('the router was stopped');
    for (const call of [...this.#waiting]) call.onError(stopped);
    await Promise.all([...this.#lanes].map((lane) => lane.destroy(stopped).catch(() => {})));
  }
}

/** One origin's connections, in either version of HTTP. */
export type Connections = Pick<Upstream, 'call' | 'close' | 'destroy'>;

/** Connections to an origin that are made alike. */
interface Kept {
  readonly http2: boolean;
  readonly connections: Connections;
}

/** The connections to all origins; those used longest ago are closed when there are too many. */
export class Upstreams {
  readonly #options: UpstreamsOptions;
  readonly #byOrigin: Map<string, Kept[]> = new Map();
  #destroyed = false;

  constructor(options: UpstreamsOptions) {
    this.#options = options;
  }

  /**
   * The connections to an origin such as `http://10.0.0.7:3000`.
   *
   * @param http2 whether to speak HTTP/2 there.
   * @throws UpstreamError when it is an address that may not be called.
   */
  get(origin: string, http2 = false): Connections {
    const kept = this.#byOrigin.get(origin);
    if (kept !== undefined) {
      // Only a map near its bound has to know the order of use.
      if (this.#byOrigin.size * 2 > this.#options.origins) {
        this.#byOrigin.delete(origin);
        this.#byOrigin.set(origin, kept);
      }
      for (let index = 0; index < kept.length; index += 1) {
        const known = kept[index]!;
        if (known.http2 === http2) return known.connections;
      }
    }
    return this.#add(origin, http2);
  }

  #add(origin: string, http2: boolean): Connections {
    const { denied, origins } = this.#options;
    // What is repeated after a stop must not go out.
    if (this.#destroyed) throw new UpstreamError(origin, 'the router has stopped');
    refuseAddress(origin, denied);
    const connections = http2
      ? new Http2Upstream(origin, { ...this.#options, lookup: checkedLookup(denied) })
      : new Upstream(origin, this.#options);
    const kept = this.#byOrigin.get(origin) ?? [];
    kept.push({ http2, connections });
    this.#byOrigin.set(origin, kept);
    if (this.#byOrigin.size > origins) this.#evict();
    return connections;
  }

  #evict(): void {
    const oldest = this.#byOrigin.entries().next();
    if (oldest.done) return;
    const [origin, kept] = oldest.value;
    this.#byOrigin.delete(origin);
    for (const { connections } of kept) void connections.close();
  }

  /** Break off every call and close every connection. */
  async destroy(): Promise<void> {
    this.#destroyed = true;
    const all = [...this.#byOrigin.values()].flat();
    this.#byOrigin.clear();
    await Promise.all(all.map(({ connections }) => connections.destroy()));
  }
}
