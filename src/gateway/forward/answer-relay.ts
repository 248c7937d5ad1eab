/** Passing an upstream's answer on. */
import type { Clock } from '../../core/clock.ts';
import { UpstreamError } from '../../core/errors.ts';
import { messageOf } from '../../core/holdfast-error.ts';
import type { Door } from '../doors/door.ts';
import { isGrpc, isOverdue, statusFields } from '../exchange/grpc.ts';
import type { HttpExchange } from '../exchange/http-exchange.ts';
import { StallWatch } from '../exchange/stall-watch.ts';
import { responseHeaders } from '../http/answer-fields.ts';
import { headerName } from '../http/header-names.ts';
import { forwardableTrailers } from '../http/headers.ts';
import { problemOf } from '../http/problem.ts';
import type { Via } from '../http/via.ts';
import type { BodySink } from '../upstreams/body-sink.ts';
import type { UpstreamCall } from '../upstreams/upstream-call.ts';

/** Who takes nothing, in errors. */
const taker = 'the client that takes the answer';

/** An answer up to this many bytes of announced length is given in one piece, head and body, if it comes in one. */
const wholeBytes = 16_384;

/** States of a head that is not awaited any more. */
const sent = -1;
const givenWhole = -2;

const onlyLength: ReadonlySet<string> = new Set(['content-length']);

/** Whoever made the call for an exchange. */
export interface RelayOwner {
  /** The answer cannot be passed on, and nothing of it was: answer otherwise. */
  onUnsendable(error: UpstreamError): void;
}

/** What passing on needs of the router. */
export interface RelayContext {
  /** This router's entries in `Via`. */
  readonly via: Via;
  readonly clock: Clock;
}

/**
 * Passes an upstream's answer on as it comes, no faster than the client takes it. A client that takes nothing for as
 * long as the upstream may be idle is given up, since it holds one of the upstream's connections.
 */
export class AnswerRelay implements BodySink {
  readonly #call: UpstreamCall;
  readonly #exchange: HttpExchange;
  readonly #door: Door;
  readonly #clock: Clock;
  readonly #owner: RelayOwner;
  readonly #headers: string[];
  /** Bytes of a body that may yet come in one piece with its head, or what became of the head. */
  #awaited = sent;
  #stall: StallWatch | undefined;

  constructor(call: UpstreamCall, exchange: HttpExchange, context: RelayContext, owner: RelayOwner) {
    this.#call = call;
    this.#exchange = exchange;
    this.#door = exchange.door;
    this.#clock = context.clock;
    this.#owner = owner;
    const { added, record } = exchange;
    record.status = call.status;
    this.#headers = responseHeaders(call.rawHeaders, leftOut(call.status, added?.replaced));
    if (added !== undefined) this.#headers.push(...added.list);
    this.#headers.push('Via', context.via[call.version]);
  }

  /** Begin, and take the body from then on. */
  start(): void {
    const call = this.#call;
    this.#awaited = this.#wholeLength();
    if (this.#awaited === sent && !this.#begin()) return;
    call.attach(this);
  }

  #wholeLength(): number {
    const { status } = this.#call;
    if (this.#door.whole === undefined || this.#exchange.method === 'HEAD' || status === 304) return sent;
    const length = announcedLength(this.#headers);
    return length > 0 && length <= wholeBytes ? length : sent;
  }

  /** Give the head; whether it could be given. */
  #begin(): boolean {
    this.#awaited = sent;
    try {
      this.#door.begin(this.#call.status, this.#call.reason, this.#headers);
      return true;
    } catch (error) {
      this.#unsendable(error);
      return false;
    }
  }

  #giveWhole(body: Buffer): void {
    this.#awaited = givenWhole;
    try {
      this.#door.whole?.(this.#call.status, this.#call.reason, this.#headers, body);
    } catch (error) {
      this.#unsendable(error);
    }
  }

  #unsendable(error: unknown): void {
    this.#call.abandon(new Error('the answer cannot be passed on'));
    const name = this.#exchange.record.service ?? 'the upstream';
    this.#owner.onUnsendable(new UpstreamError(name, messageOf(error), { cause: error }));
  }

  /** Send the head alone, unless it has gone out with something. */
  pause(): void {
    if (this.#awaited === sent || this.#begin()) this.#door.flush();
  }

  data(chunk: Buffer): boolean {
    this.#exchange.record.bytes += chunk.length;
    if (this.#awaited >= 0) {
      if (chunk.length === this.#awaited) {
        this.#giveWhole(chunk);
        return true;
      }
      if (!this.#begin()) return true;
    }
    const more = this.#door.write(chunk);
    if (!more && !this.#call.ended) this.#wait();
    return more;
  }

  #wait(): void {
    if (this.#stall === undefined) {
      const { idle } = this.#call.request.timeouts;
      const stall = new StallWatch({ clock: this.#clock, idle }, taker, (late) => this.#call.abandon(late));
      this.#stall = stall;
      this.#call.whenEnded(() => stall.end());
      this.#door.onDrain(() => {
        stall.end();
        this.#call.resume();
      });
    }
    this.#stall.begin();
  }

  end(trailers: readonly Buffer[]): void {
    if (this.#awaited === givenWhole) return;
    if (this.#awaited !== sent && !this.#begin()) return;
    this.#door.end(trailers.length === 0 ? undefined : forwardableTrailers(trailers));
  }

  fail(error: Error): void {
    if (this.#awaited === givenWhole) return;
    const { record, gone } = this.#exchange;
    record.error ??= gone === undefined ? error : undefined;
    if (isOverdue(gone) && isGrpc(this.#exchange)) this.#endLate(gone);
    else this.#door.destroy();
  }

  /** A gRPC call whose answer has begun: its caller is told how it ends. */
  #endLate(gone: unknown): void {
    if (this.#awaited !== sent && !this.#begin()) return;
    this.#exchange.record.error ??= gone;
    this.#door.end(statusFields(problemOf(gone)));
  }
}

/** A 204 has no length (RFC 9110, 8.6); a client that believed one would wait for bytes that are not to come. */
function leftOut(status: number, replaced: ReadonlySet<string> | undefined): ReadonlySet<string> | undefined {
  if (status !== 204) return replaced;
  return replaced === undefined ? onlyLength : new Set([...replaced, 'content-length']);
}

/** The one length that is announced; -1 when there is none, or not one. */
function announcedLength(headers: readonly string[]): number {
  let length = -1;
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!;
    if (name.length !== 14 || headerName(name).lower !== 'content-length') continue;
    if (length !== -1) return -1;
    length = Number(headers[index + 1]);
  }
  return Number.isInteger(length) ? length : -1;
}
