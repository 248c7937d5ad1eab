import type { IncomingMessage, ServerResponse } from 'node:http';
import type { MountedRouter } from './mounted-router.ts';
import { type ReadBody, readBodyOf } from './parsed-body.ts';

export type { HandedOver, MountedRouter } from './mounted-router.ts';
export type { ReadBody } from './parsed-body.ts';

/** A request as Express hands it over. */
export interface ExpressRequest extends IncomingMessage {
  /** What a body parser has made of the body. */
  body?: unknown;
  /** The bytes of the body, where a parser's `verify` has kept them. */
  rawBody?: unknown;
}

/** Options of {@link expressRouter}. */
export interface ExpressRouterOptions {
  /** What becomes of requests that no route leads to: `next` passes them on (default), `answer` is the router's 404. */
  readonly unmatched?: 'next' | 'answer' | undefined;
}

/** A middleware of Express, or of anything with the same shape. */
export type ExpressMiddleware = (
  request: ExpressRequest,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void;

/**
 * A `RequestRouter` as a middleware of Express 4 and 5: `app.use('/api', expressRouter(router))`. Its patterns are
 * matched below the mount. It may stand behind body parsers: a body that was read as JSON, a form, text or bytes is
 * written again, with its right length, from `request.rawBody` where a parser's `verify` has kept that. Before them is
 * better: bodies then stream, and stay as they were signed.
 *
 * A body that cannot be written as its `Content-Type` says goes to `next` as an error of status 415. A TypeError goes
 * there for a multipart body that was parsed, for one that was read without being kept, and for a string of which nobody
 * can say whether it is the text of a JSON body or its value.
 */
export function expressRouter(router: MountedRouter, options: ExpressRouterOptions = {}): ExpressMiddleware {
  const passes = options.unmatched !== 'answer';
  return (request, response, next) => {
    let body: ReadBody | undefined;
    try {
      const raw = request.rawBody;
      body = readBodyOf(request, raw instanceof Uint8Array ? raw : request.body);
    } catch (error) {
      next(error);
      return;
    }
    router.node(request, response, { body, unmatched: passes ? () => next() : undefined });
  };
}
