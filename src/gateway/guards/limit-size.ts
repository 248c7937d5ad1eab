import { ProblemError } from '../../core/errors.ts';
import { parseOptions, z } from '../../core/options.ts';
import type { Exchange, Guard } from '../exchange/exchange.ts';

/** Options of {@link limitSize}. What is left out is not limited beyond what the router does. */
export interface SizeLimits {
  /** The most bytes of the body, announced or not. */
  readonly body?: number | undefined;
  /** The most header fields. */
  readonly headers?: number | undefined;
  /** The most bytes of all names and values of header fields together. */
  readonly headerBytes?: number | undefined;
  /** The most bytes of the path. */
  readonly path?: number | undefined;
  /** The most bytes of the query. */
  readonly query?: number | undefined;
}

const bytes = z.int().min(0).optional();

const optionsSchema = z.strictObject({
  body: bytes,
  headers: z.int().min(1).optional(),
  headerBytes: bytes,
  path: z.int().min(1).optional(),
  query: bytes,
});

/**
 * A guard that refuses larger requests than the router as a whole takes: a body with 413, header fields with 431, a
 * path or query with 414. A body of unknown length is refused as soon as it has become too long; what an upstream got
 * of it by then is broken off and never looks whole.
 *
 * @throws InvalidOptionsError naming each option that is not acceptable.
 */
export function limitSize(options: SizeLimits): Guard {
  const limits = parseOptions('limitSize', optionsSchema, options);
  return (exchange) => {
    limitText('path', exchange.path, limits.path);
    limitText('query', exchange.query, limits.query);
    limitHeaders(exchange, limits);
    const { body } = limits;
    if (body === undefined) return;
    if (exchange.bodyLength !== undefined && exchange.bodyLength > body) {
      throw new ProblemError(413, `the request's body is longer than ${body} bytes`);
    }
    exchange.limitBody(body);
  };
}

function limitText(what: string, text: string, limit: number | undefined): void {
  // Both are ASCII by now, so characters are bytes.
  if (limit === undefined || text.length <= limit) return;
  throw new ProblemError(414, `the request's ${what} is longer than ${limit} bytes`);
}

function limitHeaders({ headers }: Exchange, limits: SizeLimits): void {
  if (limits.headers !== undefined && headers.raw.length / 2 > limits.headers) {
    throw new ProblemError(431, `the request has more than ${limits.headers} header fields`);
  }
  if (limits.headerBytes === undefined) return;
  let total = 0;
  for (const part of headers.raw) total += part.length;
  if (total > limits.headerBytes) {
    throw new ProblemError(431, `the request's header fields are longer than ${limits.headerBytes} bytes`);
  }
}
