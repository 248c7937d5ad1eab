/** Participants over HTTP: the endpoint as each transport wants it. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ProblemError } from '../core/errors.ts';
import { isPlainObject } from '../core/json.ts';
import { warnOf } from '../core/log.ts';
import { functionOption, methodsOption, parseOptions, z } from '../core/options.ts';
import type { SagaBarrier } from '../ports/saga-barrier.ts';
import {
  answerUnderBarrier,
  type ParticipantErrorListener,
  type ParticipantHandler,
  problem,
  type RawAnswer,
  type RawRequest,
  tell,
} from './http-endpoint.ts';

/** Options of {@link sagaEndpoint}. */
export interface SagaEndpointOptions<Transaction> {
  /** Where calls are remembered: in the database that the handler changes. It must have been started. */
  readonly barrier: SagaBarrier<Transaction>;
  /** The longest body that is read, in bytes. Default 1 MiB. Where a framework has read it, its own limit holds. */
  readonly maxBody?: number | undefined;
  /** Hears of every request that ends with 500 or 503. Default: a warning of the process. */
  readonly onError?: ParticipantErrorListener | undefined;
}

/** Fastify's request, as far as it is needed. */
export interface FastifyLikeRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  /** As Fastify parsed it. */
  readonly body?: unknown;
}

/** Fastify's reply, as far as it is needed. */
export interface FastifyLikeReply {
  /** Set the status. */
  code(status: number): unknown;
  /** Add headers. */
  headers(values: Record<string, string>): unknown;
  /** Send the body. */
  send(body?: unknown): unknown;
}

/** Express's request, or that of `node:http`. */
export type NodeLikeRequest = IncomingMessage & {
  /** As a parser before this read it. */
  readonly body?: unknown;
  /** As Express had it before it cut off where a router is mounted. */
  readonly originalUrl?: string;
};

/** One endpoint, for whichever server calls it. */
export interface SagaEndpoint {
  /** For `node:http`, and for Express with a body parser before it or none. Never rejects. */
  readonly node: (request: NodeLikeRequest, response: ServerResponse) => Promise<void>;
  /** For Fastify, as a route's handler. Never rejects. */
  readonly fastify: (request: FastifyLikeRequest, reply: FastifyLikeReply) => Promise<unknown>;
  /** For servers that speak in Web requests. Never rejects. */
  readonly fetch: (request: Request) => Promise<Response>;
}

const optionsSchema = z.strictObject({
  barrier: methodsOption<SagaBarrier<unknown>>(
    'a barrier, such as postgresSagaBarrier({ client })',
    'attempt',
  ),
  maxBody: z.int().min(0).default(1_048_576),
  onError: functionOption<ParticipantErrorListener>().default(() => (error: unknown) => {
    warnOf('a participant could not take the call of a saga', error);
  }),
});

/**
 * An HTTP endpoint that takes each call of a saga once: `handler` runs in the barrier's transaction, its answer is
 * stored, and a repetition gets the same status and body. It hears `do` and `undo` alike; give each a route of its own,
 * or ask `request.operation`.
 *
 * Answers by itself: 400 for bad headers, 409 with `Holdfast-Refused` for a refusal and for a do that was undone before
 * it came, 422 for another request under the same key, 204 for an undo of nothing, 413 for a body that is too long, 503
 * when the store failed, 500 when the handler did; each but 204 as `application/problem+json`.
 *
 * @throws InvalidOptionsError naming the option.
 */
export function sagaEndpoint<Transaction, Native = unknown>(
  options: SagaEndpointOptions<Transaction>,
  handler: ParticipantHandler<Transaction, Native>,
): SagaEndpoint {
  const { maxBody, onError } = parseOptions('sagaEndpoint', optionsSchema, options);
  const { barrier } = options;
  parseOptions('sagaEndpoint', z.object({ handler: functionOption() }), { handler });
  const answer = (raw: RawRequest): Promise<RawAnswer> =>
    answerUnderBarrier({ barrier, handler: handler as ParticipantHandler<Transaction>, onError }, raw);
  return {
    node: async (request, response) => {
      const raw = await rawOfNode(request, maxBody).catch(tooLong);
      // The caller went away; it will come again.
      if (raw === undefined) return;
      const given = 'status' in raw ? raw : await answer(raw);
      sent(onError, given, (one) => writeNode(response, one));
    },
    fastify: async (request, reply) => {
      const { method, url, headers, body } = request;
      const contentType = headers['content-type'];
      const {
        status,
        headers: fields,
        body: text,
      } = await answer({
        ...{ method, target: url, headers, contentType, native: request },
        body: asRead(body),
      });
      reply.code(status);
      reply.headers({ ...fields });
      return reply.send(text === '' ? undefined : text);
    },
    fetch: async (request) => {
      const raw = await rawOfWeb(request, maxBody).catch(tooLong);
      if (raw === undefined) return new Response(null, { status: 499 });
      const given = 'status' in raw ? raw : await answer(raw);
      return sent(onError, given, ({ status, headers, body }) => {
        return new Response(body === '' ? null : body, { status, headers });
      });
    },
  };
}

/** What was stored, or was said by an error, may be no answer that can be sent: then its caller is told so. */
function sent<T>(onError: ParticipantErrorListener, answer: RawAnswer, send: (answer: RawAnswer) => T): T {
  try {
    return send(answer);
  } catch (error) {
    tell(onError, error);
    return send(problem(500, 'the answer cannot be sent', undefined));
  }
}

/** What to answer when a body could not be read; undefined when the caller went away. */
function tooLong(error: unknown): RawAnswer | undefined {
  if (!(error instanceof ProblemError)) return undefined;
  const answer = problem(error.status, error.message, undefined);
  return { ...answer, headers: { ...answer.headers, connection: 'close' } };
}

/** Some parsers leave an empty object where they have read nothing, since the type was none of theirs. */
function isEmpty(body: unknown): boolean {
  return isPlainObject(body) && Object.keys(body).length === 0;
}

function asRead(body: unknown): RawRequest['body'] {
  if (body instanceof Uint8Array) return body;
  return typeof body === 'string' ? new TextEncoder().encode(body) : { parsed: body ?? undefined };
}

async function rawOfNode(request: NodeLikeRequest, maxBody: number): Promise<RawRequest> {
  const { method = 'GET', headers, url = '/', originalUrl: target = url } = request;
  // Once a parser has read the stream, only what it made of it is left.
  const isRead = request.readableDidRead || (request.body !== undefined && !isEmpty(request.body));
  const body = isRead ? asRead(request.body) : await collect(lasting(request), maxBody);
  return { method, target, headers, contentType: headers['content-type'], body, native: request };
}

async function rawOfWeb(request: Request, maxBody: number): Promise<RawRequest> {
  const { method, headers } = request;
  const { pathname, search } = new URL(request.url);
  const body = request.body === null ? new Uint8Array() : await collect(request.body, maxBody);
  const contentType = headers.get('content-type') ?? undefined;
  return { method, target: pathname + search, headers, contentType, body, native: request };
}

/** What of a request is read by, so that the answer can still be written when its body is given up. */
function lasting(request: IncomingMessage): AsyncIterable<Uint8Array> {
  return { [Symbol.asyncIterator]: () => request.iterator({ destroyOnReturn: false }) };
}

async function collect(stream: AsyncIterable<Uint8Array>, maxBody: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of stream) {
    length += chunk.byteLength;
    if (length > maxBody) throw new ProblemError(413, `the body is longer than ${maxBody} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function writeNode(response: ServerResponse, { status, headers, body }: RawAnswer): void {
  response.writeHead(status, {
    ...headers,
    ...(body !== '' && { 'content-length': Buffer.byteLength(body) }),
  });
  response.end(body === '' ? undefined : body);
}
