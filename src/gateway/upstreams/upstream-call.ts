/** One call to an upstream, from its dispatch to the end of its answer. */
import type { Duplex } from 'node:stream';
import { interimFields } from '../http/answer-fields.ts';
import { isOddlyCoded } from '../http/headers.ts';
import type { HttpVersion } from '../http/via.ts';
import type { BodySink } from './body-sink.ts';
import { type SilenceLimit, silentBody, silentStart } from './silence-limit.ts';
import type { UpstreamRequest } from './upstream-request.ts';
import type { UsedConnection } from './used-connection.ts';

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
  leave(call: UpstreamCall): void;
}

/** How a call ended: its answer came whole, it failed, or we gave it up. */
export type CallEnding = 'complete' | 'failed' | 'abandoned';

const unknownConnection: UsedConnection = { served: 0, isOld: false };

const noChunks: Buffer[] = [];

/** The most interim answers (1xx) before the answer itself; an upstream could go on with them for ever. */
const mostInterim = 1_000;

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
  /** Watches over the upstream's silence, where whoever makes the call leaves that to us. */
  silence: SilenceLimit | undefined = undefined;
  readonly request: UpstreamRequest;
  readonly #counter: CallCounter;
  readonly #listener: CallListener;
  #answered = false;
  #abort: ((error?: Error) => void) | undefined;
  #abandoned: Error | undefined;
  #resume: (() => void) | undefined;
  #chunks = noChunks;
  #held = 0;
  /** Whether what came together with the head is over. */
  #pastHead = false;
  /** Whether nobody has asked it to pause. */
  #flows = true;
  #interim = 0;
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
    else this.#heard(more && !paused);
    if (this.#pastHead && this.#ending === undefined) sink.pause?.();
  }

  /** Go on after a sink asked to pause. Never call it from within a sink. */
  resume(): void {
    if (this.#ending !== undefined) return;
    this.#heard(true);
    this.#resume?.();
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
    this.silence?.begin(this.request.timeouts.firstByte, silentStart);
  }

  /** Nothing was heard of the upstream for too long. */
  onSilence(code: string): void {
    this.#abort?.(Object.assign(new Error('it took too long'), { code }));
  }

  onResponseStarted(): void {
    this.begun = true;
  }

  onHeaders(status: number, headers: Buffer[], resume: () => void, reason: string): boolean {
    if (status < 200) {
      this.#interim += 1;
      if (this.#interim > mostInterim) throw new Error('sent too many interim answers');
      // A client that waits for a 100 got it from us, and an upgrade is no interim answer here.
      if (status > 101) this.request.interimTo?.inform(status, interimFields(headers));
      return true;
    }
    // Thrown, it ends the call with its connection.
    if (isOddlyCoded(headers)) throw new Error('answered in a transfer coding other than chunked');
    if (this.connection.isOld) this.version = '1.0';
    this.status = status;
    this.reason = reason;
    this.rawHeaders = headers;
    this.#resume = resume;
    this.silence?.end();
    this.#answer();
    // A 304 may announce the length of what it does not send, and a 204 may do so wrongly; undici takes that for a body
    // that broke off. The client knows the answer to be whole, and may have asked for something else on its connection.
    if (status === 304 || status === 204) {
      this.#settle('complete');
      this.#sink?.end([]);
    }
    if (this.#ending === undefined) process.nextTick(pause, this);
    return true;
  }

  /**
   * What came together with the head was given out.
   *
   * @internal
   */
  onPause(): void {
    if (this.#ending !== undefined) return;
    this.#pastHead = true;
    this.#heard(this.#flows);
    this.#sink?.pause?.();
  }

  onData(chunk: Buffer): boolean {
    const more = this.#take(chunk);
    this.#heard(more);
    return more;
  }

  /** The limit of its silence begins anew. It has none once we asked it to pause: its silence is ours then. */
  #heard(flows: boolean): void {
    this.#flows = flows;
    // What comes together with the head is most often all: nobody needs to watch over it.
    if (!this.#pastHead || this.#ending !== undefined) return;
    if (flows) this.silence?.begin(this.request.timeouts.idle, silentBody);
    else this.silence?.end();
  }

  #take(chunk: Buffer): boolean {
    if (this.#sink !== undefined) return this.#sink.data(chunk);
    if (this.#chunks === noChunks) this.#chunks = [chunk];
    else this.#chunks.push(chunk);
    this.#held += chunk.length;
    return this.#held < heldBytes;
  }

  onComplete(trailers: string[] | null): void {
    this.connection.free?.(true);
    if (this.#ending !== undefined) return;
    // The raw handler gets buffers here, whatever its type says.
    this.#trailers = (trailers ?? []) as unknown as Buffer[];
    this.#settle('complete');
    this.#sink?.end(this.#trailers);
  }

  onError(error: Error): void {
    // The connection may end between being chosen and being written on.
    if (!this.written) this.reused = this.connection.served > 0;
    this.connection.free?.(false);
    this.#fail(error);
  }

  onUpgrade(status: number, headers: Buffer[] | string[] | null, socket: Duplex): void {
    this.status = status;
    this.rawHeaders = (headers ?? []) as Buffer[];
    this.socket = socket;
    this.connection.free?.(false);
    this.silence?.end();
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
    this.silence?.end();
    this.#counter.leave(this);
    this.#listener.onEnd(this, ending);
    if (this.#onEnded !== undefined) for (const callback of this.#onEnded) callback(ending);
  }
}

function pause(call: UpstreamCall): void {
  call.onPause();
}
