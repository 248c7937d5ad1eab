import { connect, type Socket } from 'node:net';

/** A socket to talk a protocol over by hand: say something, wait for what must come back. */
export class Conversation {
  readonly #socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #wake: () => void = () => {};
  #ended: Error | undefined;

  /** Connect; rejects when nobody listens. */
  static open(url: URL): Promise<Conversation> {
    return new Promise((resolve, reject) => {
      const socket = connect(Number(url.port), url.hostname);
      socket.once('error', reject);
      socket.once('connect', () => resolve(new Conversation(socket)));
    });
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake();
    });
    const end = (error?: Error): void => {
      this.#ended ??= error ?? new Error('the server closed the connection');
      this.#wake();
    };
    socket.on('error', end);
    socket.on('close', () => end());
  }

  say(data: string | Buffer): void {
    this.#socket.write(data);
  }

  /** What came up to and including the first match of the pattern. */
  async hear(pattern: RegExp): Promise<string> {
    const length = await this.#waitFor((received) => {
      const match = pattern.exec(received.toString('latin1'));
      return match === null ? undefined : match.index + match[0].length;
    });
    return this.#take(length).toString('utf8');
  }

  /** The next bytes, exactly so many. */
  async hearBytes(count: number): Promise<Buffer> {
    await this.#waitFor((received) => (received.length >= count ? count : undefined));
    return this.#take(count);
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(length: number): Buffer {
    const taken = this.#received.subarray(0, length);
    this.#received = this.#received.subarray(length);
    return taken;
  }

  async #waitFor(measure: (received: Buffer) => number | undefined): Promise<number> {
    for (;;) {
      const length = measure(this.#received);
      if (length !== undefined) return length;
      if (this.#ended !== undefined) throw this.#ended;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
