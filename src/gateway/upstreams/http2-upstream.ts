/**
 * Connections to upstreams that speak HTTP/2, by the core streams of `node:http2`. A call reports as one over undici
 * does, so that whoever makes it need not know which of the two it is.
 */
import { connect, constants } from 'node:http2';
import type { LookupFunction } from 'node:net';
import type { Clock, Timer } from '../../core/clock.ts';
import { BulkheadFullError } from '../../core/errors.ts';
import { Http2Call, type Session } from './http2-call.ts';
import { type CallCounter, type CallListener, UpstreamCall } from './upstream-call.ts';
import type { UpstreamRequest } from './upstream-request.ts';
import type { UpstreamTls } from './upstream-tls.ts';

/** Options of {@link Http2Upstream}. */
export interface Http2UpstreamOptions {
  /** The most connections. */
  readonly connections: number;
  /** The most requests that wait for a stream. */
  readonly waiting: number;
  readonly lookup: LookupFunction;
  readonly tls?: UpstreamTls | undefined;
  readonly clock: Clock;
}

/** Nobody has asked for what an upstream pushes. */
const settings = { enablePush: false };

/** How long a connection without a stream stays open, in milliseconds. */
const idleTime = 60_000;

/** One origin's connections. */
export class Http2Upstream implements CallCounter {
  readonly origin: string;
  /** How many calls are under way. */
  active = 0;
  readonly #options: Http2UpstreamOptions;
  readonly #sessions: Set<Session> = new Set();

  constructor(origin: string, options: Http2UpstreamOptions) {
    this.origin = origin;
    this.#options = options;
  }

  /**
   * Make a call.
   *
   * @throws BulkheadFullError when as many requests wait as may wait.
   */
  call(request: UpstreamRequest, listener: CallListener): UpstreamCall {
    const session = this.#choose(request.timeouts.connect);
    const { waiting } = this.#options;
    if (session.streams - roomOf(session) >= waiting) throw new BulkheadFullError(this.origin, waiting, 0);
    this.active += 1;
    const call = new UpstreamCall(this, request, listener);
    call.version = '2';
    new Http2Call(call, request, session, this.#options.clock).begin();
    return call;
  }

  leave(): void {
    this.active -= 1;
  }

  /** Let calls under way finish, take no new ones. */
  async close(): Promise<void> {
    for (const { session } of this.#sessions) session.close();
  }

  /** Break off every call. */
  async destroy(): Promise<void> {
    for (const { session } of this.#sessions) session.destroy();
  }

  /** The connection with the fewest streams; another one when it has no room and there may be more. */
  #choose(connectTimeout: number): Session {
    let best: Session | undefined;
    for (const session of this.#sessions) {
      if (session.open && (best === undefined || session.streams < best.streams)) best = session;
    }
    if (
      best !== undefined &&
      (best.streams < roomOf(best) || this.#sessions.size >= this.#options.connections)
    ) {
      return best;
    }
    return this.#connect(connectTimeout);
  }

  #connect(connectTimeout: number): Session {
    const { lookup, tls } = this.#options;
    const session = connect(this.origin, { ...tls, lookup, settings } as Parameters<typeof connect>[1]);
    // Pushed before it was told that we want none.
    session.on('stream', (pushed) => {
      pushed.on('error', () => {});
      pushed.close(constants.NGHTTP2_CANCEL);
    });
    const origin = new URL(this.origin);
    const entry: Session = {
      session,
      origin,
      connected: false,
      open: true,
      streams: 0,
      served: 0,
      isOld: false,
      failure: undefined,
    };
    this.#sessions.add(entry);
    const late = this.#limitConnecting(entry, connectTimeout);
    const done = (): void => {
      entry.open = false;
      late?.cancel();
    };
    session.once('connect', () => {
      entry.connected = true;
      late?.cancel();
    });
    // Streams learn of what ends their connection themselves; after a GOAWAY it takes no new ones.
    session.on('error', done).on('goaway', done);
    session.once('close', () => {
      done();
      this.#sessions.delete(entry);
    });
    session.setTimeout(idleTime, () => {
      if (entry.streams === 0) session.close();
    });
    return entry;
  }

  #limitConnecting(entry: Session, timeout: number): Timer | undefined {
    if (timeout === 0) return undefined;
    const late = Object.assign(new Error('the connection took too long'), {
      code: 'UND_ERR_CONNECT_TIMEOUT',
    });
    return this.#options.clock.schedule(timeout, () => {
      entry.failure = late;
      entry.session.destroy(late);
    });
  }
}

/** How many streams a connection may have at once. */
function roomOf({ session }: Session): number {
  return session.remoteSettings?.maxConcurrentStreams ?? 100;
}
