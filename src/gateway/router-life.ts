/** From the first connection to the last: where a router listens, what is under way, and how it comes to rest. */
import type { Server } from 'node:http';
import { constants, type ServerHttp2Session } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { Clock } from '../core/clock.ts';
import type { Duration } from '../core/duration.ts';
import { NotRunningError } from '../core/errors.ts';
import { InFlight } from '../core/lifecycle.ts';
import {
  closeConnections,
  closeListener,
  type ListenAddress,
  type ListenOptions,
  listenOn,
  makeServer,
  pendingReads,
  type ServerHandlers,
} from './doors/node-server.ts';
import { limitResets } from './doors/reset-limit.ts';

/** `leaving` still accepts connections, but says that it will not for long. */
export type RouterState = 'running' | 'leaving' | 'draining' | 'stopped';

/** Options of {@link RequestRouter.stop}. */
export interface RouterStopOptions {
  /**
   * How long to go on accepting connections while `/readyz` says no already and each answer closes its connection, for
   * balancers to look elsewhere. Default none.
   */
  readonly grace?: Duration | undefined;
  /** How long exchanges under way may then take to end. Default 10 seconds. */
  readonly timeout?: Duration | undefined;
}

/** How long to wait for what, in milliseconds. */
export interface StopTimes {
  /** For balancers to notice that the router is not ready any more. */
  readonly grace: number;
  /** For exchanges under way to end. */
  readonly timeout: number;
}

const owner = 'RequestRouter';

/** The life of a router's listeners and connections. */
export class RouterLife {
  readonly inFlight: InFlight = new InFlight();
  readonly #clock: Clock;
  readonly #servers: Set<Server> = new Set();
  readonly #sessions: Set<ServerHttp2Session> = new Set();
  readonly #tunnels: Set<Duplex> = new Set();
  #state: RouterState = 'running';

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get state(): RouterState {
    return this.#state;
  }

  /** Whether connections are to be closed after their answer. */
  get closing(): boolean {
    return this.#state !== 'running';
  }

  /** @throws NotRunningError once a stop has begun. */
  assertRunning(): void {
    if (this.#state !== 'running') throw new NotRunningError(owner, this.#state);
  }

  /** A connection that has switched to another protocol, or is about to. */
  addTunnel(socket: Duplex): void {
    if (this.#tunnels.has(socket)) return;
    this.#tunnels.add(socket);
    socket.once('close', () => this.#tunnels.delete(socket));
  }

  /** An HTTP/2 connection: told when no new requests are taken, and ended with the last exchange. */
  addSession(session: ServerHttp2Session): void {
    limitResets(session, this.#clock);
    if (this.#state === 'leaving') session.once('stream', () => sayGoodbye(session));
    else if (this.#state !== 'running') session.close();
    this.#sessions.add(session);
    session.once('close', () => this.#sessions.delete(session));
  }

  /** @throws NotRunningError after stop; the system's error when the address cannot be had. */
  async listen(
    handlers: ServerHandlers,
    headerBytes: number,
    options: ListenOptions,
  ): Promise<ListenAddress> {
    const server = makeServer(handlers, headerBytes, options);
    this.#servers.add(server);
    try {
      return await listenOn(server, options);
    } catch (error) {
      this.#servers.delete(server);
      this.assertRunning();
      throw error;
    }
  }

  /**
   * Come to rest: not ready, then no new connections, then nothing under way, or not waiting for it any longer.
   *
   * @param release closes what the exchanges stand on.
   * @returns whether every exchange had ended by then.
   */
  async stop(times: StopTimes, release: () => Promise<unknown>): Promise<boolean> {
    if (times.grace > 0) {
      this.#state = 'leaving';
      for (const session of this.#sessions) sayGoodbye(session);
      await new Promise<void>((resolve) => {
        this.#clock.schedule(times.grace, resolve, { hold: true });
      });
    }
    this.#state = 'draining';
    const closed = [...this.#servers].map(closeListener);
    for (const session of this.#sessions) session.close();
    const drained = await this.#drain(times.timeout);
    this.#state = 'stopped';
    for (const server of this.#servers) closeConnections(server);
    for (const session of this.#sessions) session.destroy();
    for (const socket of this.#tunnels) socket.destroy();
    await release();
    await Promise.all(closed);
    return drained;
  }

  /** Until nothing is under way, nor anything in the sockets that was sent before we looked. */
  async #drain(timeout: number): Promise<boolean> {
    const deadline = this.#clock.now() + timeout;
    do {
      const left = Math.max(0, deadline - this.#clock.now());
      if (!(await this.inFlight.drained(this.#clock, left))) return false;
      await pendingReads();
    } while (this.inFlight.size > 0);
    return true;
  }
}

/** The greatest number that a stream can have. */
const lastStream = 2 ** 31 - 1;

/**
 * Tell a client to go elsewhere. Whatever it has sent by then, or sends all the same, is served (RFC 9113, 6.8): a
 * GOAWAY that names the last stream comes later.
 */
function sayGoodbye(session: ServerHttp2Session): void {
  if (!session.destroyed && !session.closed) session.goaway(constants.NGHTTP2_NO_ERROR, lastStream);
}
