/** A participant's HTTP endpoint: a handler under a barrier, and what is answered when its work is not to be run. */
import { createHash } from 'node:crypto';
import { InvalidPayloadError, ProblemError, RefusedError, StoreError } from '../core/errors.ts';
import { HoldfastError } from '../core/holdfast-error.ts';
import { isPlainObject, type JsonObject, type JsonValue, parseJson } from '../core/json.ts';
import { warnOf } from '../core/log.ts';
import { isThenable } from '../core/thenable.ts';
import type { BarrierOutcome, BarrierWork, SagaBarrier } from '../ports/saga-barrier.ts';
import { isJson, refusedHeader, replayedHeader } from './http-answer.ts';
import { type AnyHeaders, type SagaRequestHeaders, sagaRequest } from './http-headers.ts';

/** A request as a transport gives it. */
export interface RawRequest {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly headers: AnyHeaders;
  readonly contentType: string | undefined;
  /** Its bytes; or what a framework has parsed already. */
  readonly body: Uint8Array | { readonly parsed: unknown };
  readonly native: unknown;
}

/** An answer as a transport takes it. */
export interface RawAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What a participant's handler is asked. */
export interface ParticipantRequest<Native = unknown> extends SagaRequestHeaders {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  /** The body: parsed when it is JSON, else text; undefined when there is none. */
  readonly body: JsonValue | undefined;
  /** In an undo, what the step's handler answered; undefined in a do. */
  readonly done: ParticipantAnswer | undefined;
  /** The transport's own request, for what it knows beyond this: route parameters, who is calling. */
  readonly native: Native;
}

/** What a handler answers when its work is done. It is stored, and given again to every repetition. */
export interface ParticipantAnswer {
  /** 200 to 299. Default 200 with a body and 204 without. */
  readonly status?: number | undefined;
  readonly body?: JsonValue | undefined;
  /** Names in lower case. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/**
 * A participant's work. To say no, throw `refuse(reason)`: it is remembered and answered with 409. To answer with another
 * status, throw a `ProblemError`: it is not remembered, and nothing is changed.
 */
export type ParticipantHandler<Transaction, Native = unknown> = (
  transaction: Transaction,
  request: ParticipantRequest<Native>,
) => ParticipantAnswer | undefined | Promise<ParticipantAnswer | undefined>;

/** Hears of what went wrong on this side: the caller is told no more than that. */
export type ParticipantErrorListener = (error: unknown) => void;

/** What answers the requests of one endpoint. */
export interface Answering<Transaction> {
  readonly barrier: SagaBarrier<Transaction>;
  readonly handler: ParticipantHandler<Transaction>;
  readonly onError: ParticipantErrorListener;
}

/** Answers requests by a handler under a barrier. Never rejects. */
export async function answerUnderBarrier<Transaction>(
  { barrier, handler, onError }: Answering<Transaction>,
  raw: RawRequest,
): Promise<RawAnswer> {
  try {
    const call = sagaRequest(raw.headers);
    const body = bodyOf(raw);
    const work: BarrierWork<Transaction> = (transaction, { done }) => {
      const { method, target: url, native } = raw;
      const request = { ...call, method, url, body, native, done: done as ParticipantAnswer | undefined };
      const answer = handler(transaction, request);
      // Not awaited where it is no promise: some transactions are synchronous.
      return isThenable(answer) ? Promise.resolve(answer).then(storable) : storable(answer);
    };
    const { saga, step, operation } = call;
    return answerOf(await barrier.attempt({ saga, step, operation, fingerprint: fingerprintOf(raw) }, work));
  } catch (error) {
    return answerTo(error, onError);
  }
}

function bodyOf({ body, contentType }: RawRequest): JsonValue | undefined {
  if ('parsed' in body) return body.parsed as JsonValue | undefined;
  const text = new TextDecoder().decode(body);
  if (!isJson(contentType)) return text === '' ? undefined : text;
  try {
    return parseJson(text, 'the body');
  } catch (error) {
    throw new ProblemError(400, error instanceof Error ? error.message : 'the body is no JSON');
  }
}

/** Of everything that is asked for. */
function fingerprintOf({ method, target, body }: RawRequest): string {
  const hash = createHash('sha256').update(`${method}\n${target}\n`);
  return hash.update('parsed' in body ? (JSON.stringify(body.parsed) ?? '') : body).digest('hex');
}

function storable(answer: ParticipantAnswer | undefined): JsonObject {
  const { body, headers } = answer ?? {};
  const { status = body === undefined ? 204 : 200 } = answer ?? {};
  if (!Number.isInteger(status) || status < 200 || status > 299) {
    const why = `its status is ${status}, but only 2xx says that the work was done: throw refuse(reason) or a ProblemError`;
    throw new InvalidPayloadError("the handler's answer", why);
  }
  if (body !== undefined && (status === 204 || status === 205))
    throw new InvalidPayloadError("the handler's answer", `it has a body, and an answer ${status} has none`);
  const fields = headers === undefined ? undefined : sendable(headers);
  return { status, ...(body !== undefined && { body }), ...(fields !== undefined && { headers: fields }) };
}

/** Fields that can stand in an answer, under their names in lower case; its length is the transport's business. */
function sendable(headers: Readonly<Record<string, string>>): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    const text = String(value);
    if (!/^[!#$%&'*+.^_`|~0-9a-z-]+$/i.test(name) || !/^[\t\x20-\x7e\x80-\xff]*$/.test(text)) {
      const why = `its header ${JSON.stringify(name)} cannot be sent: encode what is no ISO 8859-1`;
      throw new InvalidPayloadError("the handler's answer", why);
    }
    if (!/^(?:content-length|transfer-encoding)$/i.test(name)) fields[name.toLowerCase()] = text;
  }
  return fields;
}

function answerOf(outcome: BarrierOutcome): RawAnswer {
  switch (outcome.type) {
    case 'nothing':
      return { status: 204, headers: {}, body: '' };
    case 'refused':
      return refusal(outcome.by, outcome.reason);
    case 'conflict':
      return problem(422, 'this Idempotency-Key came before with another request', InvalidPayloadError.code);
    default:
      return stored(outcome.result, outcome.type === 'repeated');
  }
}

function stored(result: JsonValue | undefined, repeated: boolean): RawAnswer {
  // By another way than HTTP, the same barrier may have stored something else.
  const answer = (isPlainObject(result) ? result : {}) as unknown as ParticipantAnswer;
  const { status = 204, body, headers } = answer;
  const more = repeated ? { [replayedHeader]: 'true' } : {};
  if (body === undefined) return { status, headers: { ...headers, ...more }, body: '' };
  const typed = { 'content-type': 'application/json', ...headers, ...more };
  return { status, headers: typed, body: JSON.stringify(body) };
}

function refusal(by: 'undo' | 'work', reason: string): RawAnswer {
  const answer = problem(409, reason, RefusedError.code);
  return { ...answer, headers: { ...answer.headers, [refusedHeader]: by } };
}

/** Only what was written for the caller is told; what else went wrong is a matter of this side. */
function answerTo(error: unknown, onError: ParticipantErrorListener): RawAnswer {
  if (error instanceof RefusedError) return refusal('work', error.message);
  if (error instanceof ProblemError) {
    const { status, message, headers } = error;
    const answer = problem(status, message, undefined);
    return { ...answer, headers: { ...answer.headers, ...headers } };
  }
  tell(onError, error);
  const code = error instanceof HoldfastError ? error.code : undefined;
  if (error instanceof StoreError) {
    return problem(503, 'whether it was done is unknown; send it again with the same Idempotency-Key', code);
  }
  return problem(500, 'it could not be done, and nothing was changed', code);
}

/** A listener that throws or rejects must not leave the caller without an answer. */
export function tell(onError: ParticipantErrorListener, error: unknown): void {
  const failed = (cause: unknown): void => warnOf('the onError of a participant threw', cause);
  try {
    const told: unknown = onError(error);
    if (isThenable(told)) Promise.resolve(told).catch(failed);
  } catch (cause) {
    failed(cause);
  }
}

/** An answer that tells what went wrong, by RFC 9457. */
export function problem(status: number, detail: string, code: string | undefined): RawAnswer {
  const body = { type: 'about:blank', status, detail, ...(code !== undefined && { code }) };
  return { status, headers: { 'content-type': 'application/problem+json' }, body: JSON.stringify(body) };
}
