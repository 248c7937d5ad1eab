/** How guards change or watch an answer on its way out, whoever gives it: an upstream, a handler or a refusal. */
import { Duplex, type Readable } from 'node:stream';
import type { Door, Ending } from '../doors/door.ts';
import { type HeaderList, RequestHeaders } from '../http/headers.ts';

/** The header fields of an answer: lookups ignore case, and the list keeps case, order and duplicates. */
export class AnswerHeaders extends RequestHeaders {}

/** The head of an answer, before it goes out. What a filter changes here is what the client gets. */
export interface AnswerHead {
  status: number;
  readonly headers: AnswerHeaders;
}

/** Watches a body go by. Must not throw, and must not change the pieces. */
export interface BodyWatcher {
  /** A piece, before the client gets it. */
  piece(chunk: Uint8Array): void;
  /** The answer is over: whole, or broken off. Called once. */
  over(whole: boolean): void;
}

/**
 * Sees the head of an answer, and says what becomes of the body: it goes through the stream that is returned, is shown
 * to the watcher that is returned, or, when nothing is, goes on as it is. May be called a second time when the first
 * head could not be sent: then with the head of the refusal.
 */
// biome-ignore lint/suspicious/noConfusingVoidType: a filter may be a function without a return.
export type AnswerFilter = (head: AnswerHead) => Duplex | BodyWatcher | undefined | void;

/** A door with a filter before it. */
export class FilteredDoor implements Door {
  readonly #inner: Door;
  readonly #filter: AnswerFilter;
  readonly #onError: (error: Error) => void;
  #stream: Duplex | undefined;
  #watcher: BodyWatcher | undefined;
  #trailers: readonly (readonly [string, string])[] | undefined;
  #drained: (() => void) | undefined;
  /** Bytes that went on; undefined when no stream stands in the way, so that they are those that came. */
  sent: number | undefined;

  /** @param onError told when a stream for the body fails, which breaks the answer off. */
  constructor(inner: Door, filter: AnswerFilter, onError: (error: Error) => void) {
    this.#inner = inner;
    this.#filter = filter;
    this.#onError = onError;
  }

  get started(): boolean {
    return this.#inner.started;
  }

  body(): Readable {
    return this.#inner.body();
  }

  proceed(): void {
    this.#inner.proceed();
  }

  inform(status: number, headers: HeaderList): void {
    this.#inner.inform(status, headers);
  }

  begin(status: number, reason: string, headers: HeaderList): void {
    const head: AnswerHead = { status, headers: new AnswerHeaders(headers as string[]) };
    const through = this.#filter(head) ?? undefined;
    this.#inner.begin(head.status, head.status === status ? reason : '', head.headers.raw);
    if (through instanceof Duplex) this.#join(through);
    else this.#watcher = through;
  }

  flush(): void {
    this.#inner.flush();
  }

  write(chunk: Uint8Array): boolean {
    if (this.#stream !== undefined) return this.#stream.write(chunk);
    this.#watcher?.piece(chunk);
    return this.#inner.write(chunk);
  }

  onDrain(callback: () => void): void {
    this.#drained = callback;
    if (this.#stream === undefined) this.#inner.onDrain(callback);
  }

  end(trailers?: readonly (readonly [string, string])[]): void {
    this.#trailers = trailers;
    if (this.#stream !== undefined) {
      this.#stream.end();
      return;
    }
    this.#tellWatcher(true);
    this.#inner.end(trailers);
  }

  closeAfter(): void {
    this.#inner.closeAfter();
  }

  destroy(): void {
    this.close();
    this.#inner.destroy();
  }

  onClosed(callback: (ending: Ending) => void): void {
    this.#inner.onClosed(callback);
  }

  /** Nothing more is sent: let go of what was made for the body. Idempotent. */
  close(): void {
    this.#tellWatcher(false);
    this.#stream?.destroy();
  }

  #tellWatcher(whole: boolean): void {
    const watcher = this.#watcher;
    this.#watcher = undefined;
    watcher?.over(whole);
  }

  #join(stream: Duplex): void {
    this.#stream = stream;
    this.sent = 0;
    stream.on('data', (chunk: Uint8Array) => {
      this.sent! += chunk.length;
      if (!this.#inner.write(chunk)) stream.pause();
    });
    this.#inner.onDrain(() => stream.resume());
    stream.on('drain', () => this.#drained?.());
    stream.on('end', () => this.#inner.end(this.#trailers));
    // What was sent of the body cannot be taken back: the client has to see that it is not whole.
    stream.on('error', (error) => {
      this.#onError(error);
      this.#inner.destroy();
    });
  }
}
