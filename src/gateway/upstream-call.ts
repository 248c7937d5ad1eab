/** One call to an upstream, from its dispatch to the end of its answer. */
import type { Duplex, Readable } from 'node:stream';
import { ProblemError, TimeoutError, UpstreamError } from '../core/errors.ts';
import { messageOf } from '../core/holdfast-error.ts';
import { isOddlyCoded } from './headers.ts';
import type { HttpVersion } from './via.ts';

/** Limits in milliseconds; 0 for none. */
export interface ForwardTimeouts {
  readonly connect: number;
  readonly firstByte: number;
  readonly idle: number;
}

/** What to ask an upstream. */
export interface UpstreamRequest {
  readonly method: string;
  /** Path and query; starts with a slash. */
  readonly path: string;
  /** A flat list of names and values. */
  readonly headers: string[];
  readonly body: Buffer | Readable | null;
  /** The protocol to switch to, such as `websocket`. */
  readonly upgrade: string | undefined;
  readonly timeouts: ForwardTimeouts;
  /** What to send behind the body, where the upstream's protocol can; asked once the body is over. */
  readonly trailers?: (() => readonly (readonly [string, string])[]) | undefined;
  /** Takes 103 Early Hints, as a flat list. */
  readonly hintsTo?: { hint(headers: readonly string[]): void } | undefined;
}

/** Takes an answer's body. */
export interface BodySink {
  /** A piece; false asks to pause until {@link UpstreamCall.resume}. */
  data(chunk: Buffer): boolean;
  /** The body is whole. */
  end(trailers: readonly Buffer[]): void;
  /** The body broke off. */
  fail(error: Error): void;
}

/** Is told what becomes of a call; each at most once, and only one of the first two. Must not throw. */
export interface CallListener {
  /** The answer's headers are there. A sink may be attached at once. */
  onAnswer(call: UpstreamCall): void;
  /** There will be no answer. */
  onNoAnswer(call: UpstreamCall, error: Error): void;
  /** It is over, answered or not; before `onNoAnswer`. */
  onEnd(call: UpstreamCall, ending: CallEnding): void;
}

/** Who counts the calls to an origin. */
export interface CallCounter {
  /** The call has ended. */
  leave(): void;
}

/** A connection to an upstream. */
export interface UsedConnection {
  /** How many requests were written on it. */
  served: number;
}

/** How a call ended: its answer came whole, it failed, or we gave it up. */
export type CallEnding = 'complete' | 'failed' | 'abandoned';

const unknownConnection: UsedConnection = { served: 0 };

const noChunks: Buffer[] = [];

/** How much of an answer is taken in before anybody wants it. */
const heldBytes = 65_536;

/** One call, and the handler that undici reports to. It holds the body until a sink is attached. */
export class UpstreamCall {
  /** The version of HTTP in which the upstream speaks. */
  version: HttpVersion = '1.1';
  status = 0;
  reason = '';
  rawHeaders: readonly Buffer[] = [];
  /** The connection that was switched to another protocol. */
  socket: Duplex | undefined;
  /** Whether a byte of the request may have been written. */
  written = false;
  /** Whether anything of an answer was received. */
  begun = false;
  /** Whether it was written on, or was to be written on, a connection that had served another request before. */
  reused = false;
  /** The connection that it is given to. */
  connection: UsedConnection = unknownConnection;
  readonly request: UpstreamRequest;
  readonly #counter: CallCounter;
  readonly #listener: CallListener;
  #answered = false;
  #abort: ((error?: Error) => void) | undefined;
  #abandoned: Error | undefined;
  #resume: (() => void) | undefined;
  #chunks = noChunks;
  #held = 0;
  #sink: BodySink | undefined;
  #trailers: readonly Buffer[] = [];
  #failure: Error | undefined;
  #ending: CallEnding | undefined;
  #onEnded: ((ending: CallEnding) => void)[] | undefined;

  constructor(counter: CallCounter, request: UpstreamRequest, listener: CallListener) {
    this.#counter = counter;
    this.#listener = listener;
    this.request = request;
  }

  /** Be told how the call ended; at once if it has. The callback must not throw. */
  whenEnded(callback: (ending: CallEnding) => void): void {
    if (this.#ending !== undefined) callback(this.#ending);
    else if (this.#onEnded === undefined) this.#onEnded = [callback];
    else this.#onEnded.push(callback);
  }

  /** Whether it has ended. */
  get ended(): boolean {
    return this.#ending !== undefined;
  }

  /** Give up: nobody wants the answer, or the rest of it. */
  abandon(reason: Error): void {
    if (this.#ending !== undefined) return;
    this.#abandoned = reason;
    this.socket?.destroy();
    const abort = this.#abort;
    this.#fail(reason);
    abort?.(reason);
  }

  /** Let the rest of the body go by, if it is short; otherwise break off. */
  discard(): void {
    let left = heldBytes;
    this.attach({
      data: (chunk) => {
        left -= chunk.length;
        if (left < 0) this.abandon(new Error('the answer was discarded'));
        return true;
      },
      end: () => {},
      fail: () => {},
    });
    this.resume();
  }

  /** Take the body. What came before is given at once. */
  attach(sink: BodySink): void {
    this.#sink = sink;
    const chunks = this.#chunks;
    this.#chunks = noChunks;
    const paused = this.#held >= heldBytes;
    let more = true;
    for (const chunk of chunks) more = sink.data(chunk);
    if (this.#failure !== undefined) sink.fail(this.#failure);
    else if (this.#ending === 'complete') sink.end(this.#trailers);
    else if (more && paused) this.resume();
  }

  /** Go on after a sink asked to pause. Never call it from within a sink. */
  resume(): void {
    if (this.#ending === undefined) this.#resume?.();
  }

  /** Whether anything of the body has come, or all of it. */
  get hasBody(): boolean {
    return this.#chunks.length > 0 || this.#ending !== undefined;
  }

  // What follows is called by undici.

  onConnect(abort: (error?: Error) => void): void {
    if (this.#abandoned !== undefined) {
      abort(this.#abandoned);
      return;
    }
    this.#abort = abort;
    this.written = true;
    this.reused = this.connection.served > 0;
    this.connection.served += 1;
  }

  onResponseStarted(): void {
    this.begun = true;
  }

  onHeaders(status: number, headers: Buffer[], resume: () => void, reason: string): boolean {
    if (status < 200) {
      if (status === 103) this.request.hintsTo?.hint(headers.map((part) => part.toString('latin1')));
      return true;
    }
    // Thrown, it ends the call with its connection.
    if (isOddlyCoded(headers)) throw new Error('answered in a transfer coding other than chunked');
    this.status = status;
    this.reason = reason;
    this.rawHeaders = headers;
    this.#resume = resume;
    this.#answer();
    // A 304 may announce the length of what it does not send, and a 204 may do so wrongly; undici takes that for a body
    // that broke off. The client knows the answer to be whole, and may have asked for something else on its connection.
    if (status === 304 || status === 204) {
      this.#settle('complete');
      this.#sink?.end([]);
    }
    return true;
  }

  onData(chunk: Buffer): boolean {
    if (this.#sink !== undefined) return this.#sink.data(chunk);
    if (this.#chunks === noChunks) this.#chunks = [chunk];
    else this.#chunks.push(chunk);
    this.#held += chunk.length;
    return this.#held < heldBytes;
  }

  onComplete(trailers: string[] | null): void {
    if (this.#ending !== undefined) return;
    // The raw handler gets buffers here, whatever its type says.
    this.#trailers = (trailers ?? []) as unknown as Buffer[];
    this.#settle('complete');
    this.#sink?.end(this.#trailers);
  }

  onError(error: Error): void {
    // The connection may end between being chosen and being written on.
    if (!this.written) this.reused = this.connection.served > 0;
    this.#fail(error);
  }

  onUpgrade(status: number, headers: Buffer[] | string[] | null, socket: Duplex): void {
    this.status = status;
    this.rawHeaders = (headers ?? []) as Buffer[];
    this.socket = socket;
    socket.once('close', () => this.#settle(this.#abandoned === undefined ? 'complete' : 'abandoned'));
    this.#answer();
  }

  #answer(): void {
    if (this.#answered) return;
    this.#answered = true;
    this.#listener.onAnswer(this);
  }

  #fail(error: Error): void {
    if (this.#ending !== undefined) return;
    this.#failure = error;
    this.#settle(this.#abandoned === undefined ? 'failed' : 'abandoned');
    if (!this.#answered) {
      this.#answered = true;
      this.#listener.onNoAnswer(this, error);
    }
    this.#sink?.fail(error);
  }

  #settle(ending: CallEnding): void {
    if (this.#ending !== undefined) return;
    this.#ending = ending;
    this.#counter.leave();
    this.#listener.onEnd(this, ending);
    if (this.#onEnded !== undefined) for (const callback of this.#onEnded) callback(ending);
  }
}

/**
 * What to throw for a call that got no answer.
 *
 * @param name the service or origin, for the message.
 * @param repeatable whether the request may be made again although it may have been received.
 */
export function unanswered(error: Error, call: UpstreamCall, name: string, repeatable: boolean): Error {
  if (error instanceof ProblemError || error instanceof TimeoutError) return error;
  const code = (error as { code?: unknown }).code;
  if (code === 'UND_ERR_INVALID_ARG' || code === 'UND_ERR_NOT_SUPPORTED') {
    return new ProblemError(400, 'the request has a target or header that cannot be passed on', {
      cause: error,
    });
  }
  // A request that was never written may be made again, whatever it is.
  const retryable = repeatable || !call.written;
  const { connect, firstByte } = call.request.timeouts;
  if (code === 'UND_ERR_CONNECT_TIMEOUT') {
    return new TimeoutError(connect, { what: `connecting to ${name}`, cause: error, retryable });
  }
  if (code === 'UND_ERR_HEADERS_TIMEOUT') {
    return new TimeoutError(firstByte, { what: `the answer of ${name}`, cause: error, retryable });
  }
  return new UpstreamError(name, messageOf(error), { cause: error, retryable });
}

const resetCodes: ReadonlySet<unknown> = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);

/**
 * Whether a call failed only because the upstream closed an idle connection just as it was used again, and before
 * anything of an answer came. Such a call says nothing about the upstream.
 */
export function wasStale(error: Error, call: UpstreamCall): boolean {
  return call.reused && !call.begun && resetCodes.has((error as { code?: unknown }).code);
}
