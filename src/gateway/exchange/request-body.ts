import { Readable } from 'node:stream';
import { ProblemError } from '../../core/errors.ts';
import { type Patience, StallWatch } from './stall-watch.ts';

/** Bodies up to this many bytes are taken in whole before they are sent on, so that they can be sent again. */
export const replayableBytes = 65_536;

/** Is given a body that was taken in whole, or why it was not. Called once. */
export interface BodyTaker {
  onBody(body: Buffer): void;
  onNoBody(error: unknown): void;
}

/**
 * Take in a whole body.
 *
 * @param length what was announced, in bytes; undefined when it is chunked.
 * @throws ProblemError 413 when it is longer than the limit, 400 when it breaks off.
 */
export function readUpTo(source: Readable, length: number | undefined, limit: number): Promise<Buffer> {
  if (length === 0) return Promise.resolve(Buffer.alloc(0));
  return new Promise((resolve, reject) => {
    takeBody(source, length, limit, { onBody: resolve, onNoBody: reject });
  });
}

/**
 * A body that was taken in already.
 *
 * @throws ProblemError 413 when it is longer than the limit.
 */
export function noLongerThan(body: Buffer, limit: number | undefined): Buffer {
  if (limit !== undefined && body.length > limit) throw tooLong(limit);
  return body;
}

/** As {@link readUpTo} does, for callers at whom requests come too fast for a promise each. */
export function takeBody(
  source: Readable,
  length: number | undefined,
  limit: number,
  taker: BodyTaker,
): void {
  // A client that left before anybody read: no event tells of it any more.
  if (source.destroyed) taker.onNoBody(brokenOff(source.errored ?? undefined));
  else if (length !== undefined && length > limit) taker.onNoBody(tooLong(limit));
  else new BodyCollector(source, length, limit, taker);
}

/** Puts together the pieces of a body. */
class BodyCollector {
  readonly #length: number | undefined;
  readonly #limit: number;
  /** Until it knows how it ended. */
  #taker: BodyTaker | undefined;
  #first: Buffer | undefined;
  #others: Buffer[] | undefined;
  #received = 0;

  constructor(source: Readable, length: number | undefined, limit: number, taker: BodyTaker) {
    this.#length = length;
    this.#limit = limit;
    this.#taker = taker;
    source.on('data', (chunk: Buffer) => this.#take(chunk));
    source.on('end', () => {
      if (isReset(source)) this.#fail(brokenOff(undefined));
      else this.#end();
    });
    source.on('error', (cause) => this.#fail(brokenOff(cause)));
    source.on('close', () => {
      if (this.#taker !== undefined) this.#fail(brokenOff(undefined));
    });
  }

  #take(chunk: Buffer): void {
    if (this.#taker === undefined) return;
    this.#received += chunk.length;
    if (this.#received > this.#limit) this.#fail(tooLong(this.#limit));
    else if (this.#first === undefined) this.#first = chunk;
    else if (this.#others === undefined) this.#others = [chunk];
    else this.#others.push(chunk);
  }

  #end(): void {
    if (this.#taker === undefined) return;
    if (this.#length !== undefined && this.#received !== this.#length) {
      this.#fail(new ProblemError(400, 'the body is not as long as was said'));
      return;
    }
    const first = this.#first ?? Buffer.alloc(0);
    // A body in one piece is not copied.
    const body = this.#others === undefined ? first : Buffer.concat([first, ...this.#others]);
    const taker = this.#taker;
    this.#taker = undefined;
    taker.onBody(body);
  }

  #fail(error: ProblemError): void {
    const taker = this.#taker;
    this.#taker = undefined;
    this.#first = undefined;
    this.#others = undefined;
    taker?.onNoBody(error);
  }
}

/** Whether something of a body has been sent, so that it cannot be sent again. */
export function isUsedUp(body: unknown): boolean {
  return body instanceof BodyStream && body.consumed;
}

/** What is told of a body that is longer than so many bytes. */
export function tooLong(limit: number): ProblemError {
  return new ProblemError(413, `the request's body is longer than ${limit} bytes`);
}

/**
 * A body that streams. It stands between the client's connection and undici, which destroys the stream it is given
 * when an upstream fails or answers early: that must not destroy the client's connection, on which the answer goes
 * out.
 *
 * While the upstream takes nothing, nothing is read from the client either, and so nobody learns that it has left.
 * Therefore the upstream may not take nothing for ever.
 */
export class BodyStream extends Readable {
  readonly #source: Readable;
  readonly #limit: number;
  readonly #stall: StallWatch;
  #received = 0;
  /** Whether something of the body was taken by an upstream, after which it cannot be sent again. */
  consumed = false;

  /**
   * @param limit bytes after which the stream fails with ProblemError 413.
   * @param patience how long the upstream may take nothing; then the stream fails with TimeoutError.
   */
  constructor(source: Readable, limit: number, patience: Patience) {
    super({ highWaterMark: replayableBytes });
    this.#source = source;
    this.#limit = limit;
    this.#stall = new StallWatch(patience, "the upstream that takes the request's body", (late) =>
      this.destroy(late),
    );
    // Without a listener of its own an error, such as undici passes on, would end the process.
    this.on('error', () => {});
    source.on('end', this.#onEnd);
    source.on('error', this.#onError);
    source.on('close', this.#onClose);
  }

  override _read(): void {
    this.#stall.end();
    if (!this.consumed) {
      this.consumed = true;
      this.#source.on('data', this.#onData);
    }
    this.#source.resume();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#stall.end();
    this.#source.off('data', this.#onData);
    this.#source.off('end', this.#onEnd);
    this.#source.off('close', this.#onClose);
    // What is left goes by unread: a client that sends before it listens would otherwise never see the answer.
    this.#source.resume();
    done(error);
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#received += chunk.length;
    if (this.#received > this.#limit) {
      this.destroy(tooLong(this.#limit));
    } else if (!this.push(chunk)) {
      this.#source.pause();
      this.#stall.begin();
    }
  };

  readonly #onEnd = (): void => {
    if (isReset(this.#source)) this.destroy(brokenOff(undefined));
    else this.push(null);
  };

  readonly #onError = (error: Error): void => void this.destroy(brokenOff(error));

  readonly #onClose = (): void => {
    if (!this.#source.readableEnded) this.destroy(brokenOff(undefined));
  };
}

/** An HTTP/2 stream that its client resets in the middle ends as if it were whole. */
function isReset(source: Readable): boolean {
  const { aborted, rstCode = 0 } = source as Readable & {
    readonly aborted?: boolean;
    readonly rstCode?: number;
  };
  return aborted === true || rstCode !== 0;
}

function brokenOff(cause: unknown): ProblemError {
  return new ProblemError(400, 'the body broke off', { cause });
}
