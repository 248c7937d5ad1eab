import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** What goes wrong with the bytes of one direction. Nothing, unless it says so. */
export interface DirectionFaults {
  /** Milliseconds by which each piece comes later. */
  readonly latency?: number;
  /** Bytes a second. */
  readonly bandwidth?: number;
  /** Cut what comes into pieces of at most so many bytes, each written by itself. */
  readonly slice?: number;
  /** Close the connection after so many bytes, counted from its beginning. */
  readonly limit?: number;
  /** Nothing arrives, and nothing closes. What was sent meanwhile arrives once healed, as TCP does it. */
  readonly blackHole?: boolean;
}

/** What goes wrong between a client and its server. */
export interface Faults {
  /** From the client to the server. */
  readonly upstream?: DirectionFaults;
  /** From the server to the client. */
  readonly downstream?: DirectionFaults;
  /** Reset (TCP RST) every connection, those that are open and those to come, so many milliseconds after this or its opening. */
  readonly resetAfter?: number;
}

interface Link {
  readonly client: Socket;
  readonly server: Socket;
  resetTimer: NodeJS.Timeout | undefined;
}

/**
 * A TCP proxy that breaks the network on purpose (the faults of Shopify's toxiproxy). Faults may change at any time
 * and count for open connections too.
 */
export class FaultProxy {
  readonly #target: { readonly host: string; readonly port: number };
  readonly #links: Set<Link> = new Set();
  #listener: Server | undefined;
  #port = 0;
  #faults: Faults = {};
  #changed: () => void = () => {};
  #change: Promise<void> = Promise.resolve();

  /** A proxy before this address, listening on a free loopback port. */
  static async start(target: { readonly host: string; readonly port: number }): Promise<FaultProxy> {
    const proxy = new FaultProxy(target);
    await proxy.up();
    return proxy;
  }

  private constructor(target: { readonly host: string; readonly port: number }) {
    this.#target = target;
    this.inject({});
  }

  /** Where clients connect to. Stays the same through {@link down} and {@link up}. */
  get port(): number {
    return this.#port;
  }

  /** How many connections are open. */
  get connections(): number {
    return this.#links.size;
  }

  /** From now on exactly these faults. */
  inject(faults: Faults): void {
    this.#faults = faults;
    this.#changed();
    this.#change = new Promise((resolve) => {
      this.#changed = resolve;
    });
    for (const link of this.#links) this.#armReset(link);
  }

  /** From now on no faults. */
  heal(): void {
    this.inject({});
  }

  /** Break every connection and refuse new ones, as a machine without that process does. Idempotent. */
  async down(): Promise<void> {
    const listener = this.#listener;
    if (listener === undefined) return;
    this.#listener = undefined;
    const closed = once(listener, 'close');
    listener.close();
    for (const { client, server } of this.#links) {
      client.destroy();
      server.destroy();
    }
    await closed;
  }

  /** Listen again, on the same port. Idempotent. */
  async up(): Promise<void> {
    if (this.#listener !== undefined) return;
    this.#listener = createServer({ allowHalfOpen: true }, (client) => this.#accept(client));
    this.#listener.listen(this.#port, '127.0.0.1');
    await once(this.#listener, 'listening');
    this.#port = (this.#listener.address() as { port: number }).port;
  }

  /** Close everything. */
  stop(): Promise<void> {
    this.heal();
    return this.down();
  }

  #accept(client: Socket): void {
    const server = connect({ ...this.#target, allowHalfOpen: true });
    const link: Link = { client, server, resetTimer: undefined };
    this.#links.add(link);
    const end = (): void => {
      clearTimeout(link.resetTimer);
      this.#links.delete(link);
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) socket.setNoDelay(true).on('error', end);
    client.once('close', end);
    // The client may still have to be given what the server sent before it closed.
    server.once('close', () => client.destroySoon());
    void this.#pump(client, server, () => this.#faults.upstream ?? {}).catch(end);
    void this.#pump(server, client, () => this.#faults.downstream ?? {}).catch(end);
    this.#armReset(link);
  }

  #armReset(link: Link): void {
    clearTimeout(link.resetTimer);
    const { resetAfter } = this.#faults;
    if (resetAfter === undefined) return;
    link.resetTimer = setTimeout(() => {
      link.client.resetAndDestroy();
      link.server.resetAndDestroy();
    }, resetAfter);
  }

  async #pump(from: Socket, to: Socket, faults: () => DirectionFaults): Promise<void> {
    let passed = 0;
    // Left to itself the iterator would destroy the socket at its end, and with it the other direction.
    const chunks: AsyncIterable<Buffer> = from.iterator({ destroyOnReturn: false });
    for await (const chunk of chunks) {
      for (let rest = chunk; rest.length > 0; ) {
        await this.#whileBlackHole(faults);
        const { latency = 0, bandwidth, slice = rest.length, limit = Number.POSITIVE_INFINITY } = faults();
        const piece = rest.subarray(0, Math.min(slice, limit - passed));
        rest = rest.subarray(piece.length);
        const wait = latency + (bandwidth === undefined ? 0 : (piece.length / bandwidth) * 1_000);
        if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
        await this.#whileBlackHole(faults);
        passed += piece.length;
        if (!to.write(piece)) await once(to, 'drain');
        if (passed >= limit) return void to.destroySoon();
      }
    }
    to.end();
  }

  async #whileBlackHole(faults: () => DirectionFaults): Promise<void> {
    while (faults().blackHole === true) await this.#change;
  }
}
