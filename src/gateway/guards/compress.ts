import { type Duplex, Transform } from 'node:stream';
import { constants, createBrotliCompress, createGzip } from 'node:zlib';
import { functionOption, parseOptions, z } from '../../core/options.ts';
import type { AnswerHead, AnswerHeaders } from '../exchange/answer-filter.ts';
import type { Exchange, Guard } from '../exchange/exchange.ts';
import { type ContentCoding, negotiate } from './negotiate.ts';

/** Options of {@link compress}. */
export interface CompressOptions {
  /** What may be used; of those that a client likes equally, the first. Default `br`, `gzip`. */
  readonly codings?: readonly ContentCoding[] | undefined;
  /** Bodies that are known to be shorter stay as they are. Default 1,024 bytes. */
  readonly threshold?: number | undefined;
  /** Which media types are worth it, given in lower case without parameters. Default: text, JSON, XML, scripts, SVG, Wasm. */
  readonly types?: ((type: string) => boolean) | undefined;
  /** Effort of gzip, 1 to 9. Default 6. */
  readonly gzipLevel?: number | undefined;
  /** Effort of Brotli, 0 to 11. Default 4; much more is for files, not for answers. */
  readonly brotliQuality?: number | undefined;
}

const optionsSchema = z.strictObject({
  codings: z
    .array(z.enum(['br', 'gzip']))
    .min(1)
    .default(['br', 'gzip']),
  threshold: z.int().min(0).default(1_024),
  types: functionOption<(type: string) => boolean>().default(() => isCompressible),
  gzipLevel: z.int().min(1).max(9).default(6),
  brotliQuality: z.int().min(0).max(11).default(4),
});

type Resolved = z.output<typeof optionsSchema>;

const compressible =
  /^(?:text\/(?!event-stream$).+|application\/(?:.+\+)?(?:json|xml|javascript|wasm|manifest|yaml|graphql)|application\/x-ndjson|image\/svg\+xml|image\/bmp|font\/(?:ttf|otf))$/;

function isCompressible(type: string): boolean {
  return compressible.test(type);
}

/** Fields that vouch for the very bytes of the body. */
const digests = ['content-digest', 'repr-digest', 'digest', 'content-md5'] as const;

/**
 * A guard that compresses answers for clients that ask for it. Left alone are: what is compressed already, partial
 * answers (206), `Cache-Control: no-transform`, bodies with a digest, server-sent events, and what is short or would not
 * get shorter. Answers of unknown length go out piece by piece as they come. `ETag`s become weak, and `Vary` says that
 * the coding matters.
 *
 * @throws InvalidOptionsError naming each option that is not acceptable.
 */
export function compress(options: CompressOptions = {}): Guard {
  const parsed = parseOptions('compress', optionsSchema, options);
  return (exchange) => {
    const accept = exchange.headers.get('accept-encoding');
    exchange.filterAnswer((head) => compressed(head, exchange, accept, parsed));
  };
}

function compressed(
  head: AnswerHead,
  { method }: Exchange,
  accept: string | undefined,
  options: Resolved,
): Duplex | undefined {
  const { headers, status } = head;
  if (status < 200 || status === 204 || status === 205 || status === 206 || !isOpen(headers))
    return undefined;
  const type = (headers.get('content-type') ?? '').split(';', 1)[0]!.trim().toLowerCase();
  const { coding, identity } = negotiate(accept, options.codings);
  if (status === 304) {
    // It speaks of a body that was compressed, if the client takes that: with the same name as then.
    if (coding !== undefined) weaken(headers);
    addVary(headers);
    return undefined;
  }
  const worthIt =
    options.types(type) && Number(headers.get('content-length') ?? Infinity) >= options.threshold;
  if (options.types(type) || !identity) addVary(headers);
  if (coding !== undefined && (worthIt || !identity)) {
    const ownLength = headers.has('content-length');
    headers.delete('content-length');
    headers.delete('accept-ranges');
    headers.set('Content-Encoding', coding);
    weaken(headers);
    return method === 'HEAD' ? undefined : encoder(coding, !ownLength, options);
  }
  return identity ? undefined : notAcceptable(head);
}

/** Whether the body may be changed, and is as its maker wrote it. */
function isOpen(headers: AnswerHeaders): boolean {
  const coding = headers.get('content-encoding');
  if (coding !== undefined && coding.trim().toLowerCase() !== 'identity') return false;
  if (headers.has('content-range') || digests.some((name) => headers.has(name))) return false;
  return !/(?:^|,)\s*no-transform\s*(?:,|$)/i.test(headers.get('cache-control') ?? '');
}

/** Bytes that differ may not have the same strong name (RFC 9110, 8.8.1). */
function weaken(headers: AnswerHeaders): void {
  const tag = headers.get('etag');
  if (tag?.startsWith('"')) headers.set('ETag', `W/${tag}`);
}

function addVary(headers: AnswerHeaders): void {
  const before = headers.get('vary')?.toLowerCase() ?? '';
  if (!/(?:^|,)\s*(?:\*|accept-encoding)\s*(?:,|$)/.test(before)) headers.append('Vary', 'Accept-Encoding');
}

/** @param streams whether each piece is to go out as it comes. */
function encoder(coding: ContentCoding, streams: boolean, options: Resolved): Duplex {
  if (coding === 'gzip') {
    const flush = streams ? constants.Z_SYNC_FLUSH : constants.Z_NO_FLUSH;
    return createGzip({ level: options.gzipLevel, flush });
  }
  const flush = streams ? constants.BROTLI_OPERATION_FLUSH : constants.BROTLI_OPERATION_PROCESS;
  return createBrotliCompress({
    flush,
    params: { [constants.BROTLI_PARAM_QUALITY]: options.brotliQuality },
  });
}

/** The client rules out the answer as it is, and every coding that could be made of it. */
function notAcceptable(head: AnswerHead): Duplex {
  head.status = 406;
  for (const name of ['content-length', 'content-type', 'etag', 'last-modified']) head.headers.delete(name);
  head.headers.set('Content-Length', '0');
  return new Transform({ transform: (_chunk, _encoding, done) => done() });
}
