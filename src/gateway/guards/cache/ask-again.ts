/** Asking for what an exchange asks for once more, on nobody's behalf: how a cache renews what it holds. */
import { Readable } from 'node:stream';
import { UpstreamError } from '../../../core/errors.ts';
import { type Runtime, resolveRuntime } from '../../../core/runtime.ts';
import type { Door, Ending } from '../../doors/door.ts';
import type { Exchange } from '../../exchange/exchange.ts';
import { ExchangeRecord } from '../../exchange/exchange-record.ts';
import { HttpExchange } from '../../exchange/http-exchange.ts';
import type { IncomingHead } from '../../http/admit.ts';
import { type HeaderList, RequestHeaders } from '../../http/headers.ts';

/** An answer taken in whole. */
export interface WholeAnswer {
  readonly status: number;
  readonly headers: HeaderList;
  readonly body: Buffer;
  /** Of the headers, those that guards have added. */
  readonly added: HeaderList;
}

/** Takes in an answer up to a limit. */
class CollectingDoor implements Door {
  readonly answer: Promise<Omit<WholeAnswer, 'added'>>;
  started = false;
  readonly #limit: number;
  readonly #chunks: Uint8Array[] = [];
  readonly #onClosed: ((ending: Ending) => void)[] = [];
  #received = 0;
  #closed = false;
  #head: Pick<WholeAnswer, 'status' | 'headers'> = { status: 0, headers: [] };
  #resolve!: (answer: Omit<WholeAnswer, 'added'>) => void;
  #reject!: (error: Error) => void;

  constructor(limit: number) {
    this.#limit = limit;
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  body(): Readable {
    return Readable.from([]);
  }

  proceed(): void {}

  inform(): void {}

  begin(status: number, _reason: string, headers: HeaderList): void {
    this.started = true;
    this.#head = { status, headers };
  }

  flush(): void {}

  write(chunk: Uint8Array): boolean {
    this.#received += chunk.length;
    if (this.#received <= this.#limit) this.#chunks.push(chunk);
    else this.destroy();
    return true;
  }

  onDrain(): void {}

  end(): void {
    this.#resolve({ ...this.#head, body: Buffer.concat(this.#chunks) });
    this.#close('complete');
  }

  closeAfter(): void {}

  destroy(): void {
    this.#reject(new UpstreamError('the upstream', 'its answer broke off, or is too long'));
    this.#close('broken');
  }

  onClosed(callback: (ending: Ending) => void): void {
    this.#onClosed.push(callback);
  }

  #close(ending: Ending): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const callback of this.#onClosed) callback(ending);
  }
}

/** What to ask. */
export interface AskAgainOptions {
  /** The header fields for the upstream, as a flat list. */
  readonly headers: HeaderList;
  /** The most bytes of the answer's body. */
  readonly limit: number;
  readonly runtime?: Partial<Runtime> | undefined;
}

/**
 * Make the same request again, by GET and without a body, through the guards that come after the one that calls this.
 * It goes on when the client goes away, and nobody else sees its answer.
 *
 * @throws UpstreamError when the answer breaks off or is too long.
 * @throws TypeError when the exchange is not a router's, or is not yet at its guards.
 */
export async function askAgain(exchange: Exchange, options: AskAgainOptions): Promise<WholeAnswer> {
  if (!(exchange instanceof HttpExchange) || exchange.serving === undefined) {
    throw new TypeError('only an exchange that a router is serving can be asked again');
  }
  const runtime = resolveRuntime(options.runtime);
  const door = new CollectingDoor(options.limit);
  const head: IncomingHead = {
    method: 'GET',
    target: exchange.path,
    version: '1.1',
    headers: new RequestHeaders([...options.headers]),
    peer: exchange.peerAddress,
    secure: exchange.scheme === 'https',
  };
  const { authority, host, scheme, path, query, clientAddress, peerAddress, trusted } = exchange;
  const admission = {
    authority,
    host,
    scheme,
    path,
    query,
    clientAddress,
    peerAddress,
    trusted,
    bodyLength: 0,
    bodyLimit: undefined,
    timeout: undefined,
  };
  const copy = new HttpExchange(door, head, admission, new ExchangeRecord(runtime.clock, head), runtime);
  copy.params = exchange.params;
  copy.route = exchange.route;
  copy.principal = exchange.principal;
  copy.target = exchange.target;
  copy.record.route = exchange.route;
  door.onClosed((ending) => {
    if (ending === 'broken') copy.giveUp(new DOMException('the answer is not wanted', 'AbortError'));
    copy.finish();
  });
  const serving = exchange.serving.serveRest(copy, exchange.step);
  const answer = await door.answer;
  await serving;
  return { ...answer, added: copy.response.list };
}
