/**
 * Connections to upstreams. The only file that knows undici: its `dispatch` with the raw handler, since that gives
 * header fields as they were sent (case, order, duplicates), and costs least.
 */
import type { BlockList } from 'node:net';
import { Client, type Dispatcher, Pool } from 'undici';
import type { Clock } from '../core/clock.ts';
import { BulkheadFullError } from '../core/errors.ts';
import { Http2Upstream } from './http2-upstream.ts';
import { checkedLookup, refuseAddress } from './upstream-address.ts';
import {
  type CallListener,
  UpstreamCall,
  type UpstreamRequest,
  type UsedConnection,
} from './upstream-call.ts';
import type { UpstreamTls } from './upstream-tls.ts';

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

/** One connection, made again whenever it was closed. Calls learn from it how many came before them. */
class CountedClient extends Client {
  readonly #connection: UsedConnection = { served: 0 };

  constructor(origin: string | URL, options: object) {
    super(origin, options);
    const anew = (): void => {
      this.#connection.served = 0;
    };
    this.on('connect', anew).on('disconnect', anew);
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    if (handler instanceof UpstreamCall) handler.connection = this.#connection;
    return super.dispatch(options, handler);
  }
}

/** One origin's connections. */
export class Upstream {
  readonly origin: string;
  /** How many calls are under way. */
  active = 0;
  readonly #pool: Pool;
  readonly #limit: number;

  constructor(origin: string, connectTimeout: number, options: UpstreamsOptions) {
    this.origin = origin;
    this.#limit = options.connections + options.waiting;
    this.#pool = new Pool(origin, {
      connections: options.connections,
      factory: (url, given) => new CountedClient(url, given),
      connectTimeout,
      connect: { ...options.tls, lookup: checkedLookup(options.denied), timeout: connectTimeout },
      // Below the 5 seconds after which a Node server closes an idle connection.
      keepAliveTimeout: 4_000,
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  /**
   * Make a call.
   *
   * @throws BulkheadFullError when as many requests wait as may wait.
   */
  call(request: UpstreamRequest, listener: CallListener): UpstreamCall {
    if (this.active >= this.#limit) throw new BulkheadFullError(this.origin, this.#limit, 0);
    this.active += 1;
    const call = new UpstreamCall(this, request, listener);
    this.#pool.dispatch(
      {
        method: request.method,
        path: request.path,
        headers: request.headers,
        body: request.body,
        headersTimeout: request.timeouts.firstByte,
        bodyTimeout: request.timeouts.idle,
        // Otherwise undici gives up the connection after each HEAD, and after a DELETE with a body.
        reset: request.upgrade !== undefined,
        upgrade: request.upgrade ?? null,
      },
      call,
    );
    return call;
  }

  /** A call has ended. */
  leave(): void {
    this.active -= 1;
  }

  /** Let calls under way finish, take no new ones. */
  async close(): Promise<void> {
    await this.#pool.close().catch(() => {});
  }

  /** Break off every call. */
  async destroy(): Promise<void> {
    await this.#pool.destroy(new Error('the router was stopped')).catch(() => {});
  }
}

/** One origin's connections, in either version of HTTP. */
export type Connections = Pick<Upstream, 'call' | 'close' | 'destroy'>;

/** Connections to an origin that are made alike. */
interface Kept {
  readonly connectTimeout: number;
  readonly http2: boolean;
  readonly connections: Connections;
}

/** The connections to all origins; those used longest ago are closed when there are too many. */
export class Upstreams {
  readonly #options: UpstreamsOptions;
  readonly #byOrigin: Map<string, Kept[]> = new Map();

  constructor(options: UpstreamsOptions) {
    this.#options = options;
  }

  /**
   * The connections to an origin such as `http://10.0.0.7:3000`.
   *
   * @param http2 whether to speak HTTP/2 there.
   * @throws UpstreamError when it is an address that may not be called.
   */
  get(origin: string, connectTimeout: number, http2 = false): Connections {
    const kept = this.#byOrigin.get(origin);
    if (kept !== undefined) {
      // Only a map near its bound has to know the order of use.
      if (this.#byOrigin.size * 2 > this.#options.origins) {
        this.#byOrigin.delete(origin);
        this.#byOrigin.set(origin, kept);
      }
      for (let index = 0; index < kept.length; index += 1) {
        const known = kept[index]!;
        if (known.connectTimeout === connectTimeout && known.http2 === http2) return known.connections;
      }
    }
    return this.#add(origin, connectTimeout, http2);
  }

  #add(origin: string, connectTimeout: number, http2: boolean): Connections {
    const { denied, origins } = this.#options;
    refuseAddress(origin, denied);
    const connections = http2
      ? new Http2Upstream(origin, connectTimeout, { ...this.#options, lookup: checkedLookup(denied) })
      : new Upstream(origin, connectTimeout, this.#options);
    const kept = this.#byOrigin.get(origin) ?? [];
    kept.push({ connectTimeout, http2, connections });
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
    const all = [...this.#byOrigin.values()].flat();
    this.#byOrigin.clear();
    await Promise.all(all.map(({ connections }) => connections.destroy()));
  }
}
