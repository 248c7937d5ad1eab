import { Readable } from 'node:stream';
import type { ReadableStream as NodeReadableStream } from 'node:stream/web';
import type { IncomingHead } from '../http/admit.ts';
import { RequestHeaders } from '../http/headers.ts';
import type { Door, Ending } from './door.ts';

/** What `fetch` cannot know of a request. */
export interface FetchInfo {
  /** Address of the client. Default `unknown`. */
  readonly clientAddress?: string | undefined;
}

/** How much of an answer waits for its reader. */
const heldBytes = 65_536;

/** What a Web-standard request says. */
export function webHead(request: Request, clientAddress: string): IncomingHead {
  const url = new URL(request.url);
  const raw: string[] = [];
  for (const [name, value] of request.headers) if (name !== 'host') raw.push(name, value);
  raw.push('host', url.host);
  // A body without a stated length is, to an HTTP/1.1 peer, a chunked one.
  if (request.body !== null && !request.headers.has('content-length'))
    raw.push('transfer-encoding', 'chunked');
  return {
    method: request.method,
    target: url.pathname + url.search,
    version: '1.1',
    headers: new RequestHeaders(raw),
    peer: clientAddress,
    secure: url.protocol === 'https:',
  };
}

/** A Web-standard request, and the response that is made of its answer. */
export class WebDoor implements Door {
  /** Resolves at the answer's head. */
  readonly response: Promise<Response>;
  started = false;
  readonly #request: Request;
  #answer!: (response: Response) => void;
  #refuse!: (error: Error) => void;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #onDrain: (() => void) | undefined;
  #onClosed: ((ending: Ending) => void) | undefined;
  readonly #onAbort = (): void => this.#broken(this.#request.signal.reason);

  constructor(request: Request) {
    this.#request = request;
    this.response = new Promise((resolve, reject) => {
      this.#answer = resolve;
      this.#refuse = reject;
    });
    this.response.catch(() => {});
    request.signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  body(): Readable {
    const { body, bodyUsed } = this.#request;
    if (bodyUsed) throw new TypeError('the body of a Request was read before the router got it');
    return body === null ? Readable.from([]) : Readable.fromWeb(body as NodeReadableStream);
  }

  proceed(): void {}

  inform(): void {}

  begin(status: number, reason: string, headers: readonly string[]): void {
    const fields = new Headers();
    for (let index = 0; index < headers.length; index += 2)
      fields.append(headers[index]!, headers[index + 1]!);
    const init = { status, statusText: reason, headers: fields };
    const empty = status === 204 || status === 205 || status === 304 || this.#request.method === 'HEAD';
    const response = new Response(empty ? null : this.#stream(), init);
    this.started = true;
    this.#answer(response);
  }

  #stream(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => this.#onDrain?.(),
        cancel: () => this.#close('broken'),
      },
      new ByteLengthQueuingStrategy({ highWaterMark: heldBytes }),
    );
  }

  flush(): void {}

  write(chunk: Uint8Array): boolean {
    const controller = this.#controller;
    if (controller === undefined || this.#onClosed === undefined) return true;
    controller.enqueue(chunk);
    return (controller.desiredSize ?? 1) > 0;
  }

  onDrain(callback: () => void): void {
    this.#onDrain = callback;
  }

  end(): void {
    if (this.#onClosed === undefined) return;
    this.#controller?.close();
    this.#close('complete');
  }

  closeAfter(): void {}

  destroy(): void {
    this.#broken(new TypeError('the answer broke off'));
  }

  onClosed(callback: (ending: Ending) => void): void {
    this.#onClosed = callback;
    if (this.#request.signal.aborted) this.#onAbort();
  }

  #broken(reason: unknown): void {
    if (this.#onClosed === undefined) return;
    this.#controller?.error(reason);
    this.#refuse(reason as Error);
    this.#close('broken');
  }

  #close(ending: Ending): void {
    const callback = this.#onClosed;
    this.#onClosed = undefined;
    this.#request.signal.removeEventListener('abort', this.#onAbort);
    callback?.(ending);
  }
}
