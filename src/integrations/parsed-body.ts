/**
 * A request's body as it has to go on after a body parser has read it. What was parsed is written again by the
 * `Content-Type` that goes on with it: an upstream must not read another thing than the parser did (CVE-2023-51701).
 */
import type { IncomingMessage } from 'node:http';
import { ProblemError } from '../core/errors.ts';

/** A body that was read before the router saw the request. */
export interface ReadBody {
  readonly bytes: Uint8Array;
  /** In place of the request's `Content-Type`; undefined to leave that as it is. */
  readonly contentType: string | undefined;
}

/** Node's names of the charsets that text can be written in again; all else is written as UTF-8. */
const charsets: Readonly<Record<string, BufferEncoding>> = {
  'utf-8': 'utf8',
  utf8: 'utf8',
  'us-ascii': 'latin1',
  'iso-8859-1': 'latin1',
  'utf-16le': 'utf16le',
};

/**
 * The body of a request that was read already; undefined when nobody has read it, and it streams as usual.
 *
 * @param parsed what the parser made of it.
 * @throws ProblemError 415 when that cannot be written as the request's `Content-Type` says; TypeError for multipart.
 */
export function readBodyOf(request: IncomingMessage, parsed: unknown): ReadBody | undefined {
  if (!request.readableDidRead) return undefined;
  const contentType = request.headers['content-type'] ?? '';
  const media = contentType.split(';', 1)[0]!.trim().toLowerCase();
  if (media.startsWith('multipart/')) {
    throw new TypeError(
      'a multipart body that was parsed cannot be put together again: mount the router before that parser',
    );
  }
  if (parsed instanceof Uint8Array) return { bytes: parsed, contentType: undefined };
  if (parsed === undefined) return { bytes: new Uint8Array(), contentType: undefined };
  if (isJson(media)) return inUtf8(JSON.stringify(parsed), contentType);
  if (typeof parsed === 'string') return textBody(parsed, contentType);
  if (media === 'application/x-www-form-urlencoded' && isObject(parsed)) {
    return inUtf8(new URLSearchParams(formPairs('', parsed)).toString(), contentType);
  }
  throw new ProblemError(415, 'the body was read as something that its Content-Type does not say');
}

function isJson(media: string): boolean {
  return media === 'application/json' || /^application\/[\w.-]+\+json$/.test(media);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

const charsetParameter = /;\s*charset\s*=\s*"?([\w-]+)"?/i;

function textBody(text: string, contentType: string): ReadBody {
  const charset = charsetParameter.exec(contentType)?.[1]?.toLowerCase() ?? 'utf-8';
  const encoding = charsets[charset];
  if (encoding === undefined) return inUtf8(text, contentType);
  return { bytes: Buffer.from(text, encoding), contentType: undefined };
}

function inUtf8(text: string, contentType: string): ReadBody {
  const charset = charsetParameter.exec(contentType)?.[1]?.toLowerCase();
  const other = charset !== undefined && charset !== 'utf-8' && charset !== 'utf8';
  return {
    bytes: Buffer.from(text),
    contentType: other ? contentType.replace(charsetParameter, '; charset=utf-8') : undefined,
  };
}

/** The pairs of a form: what is nested by brackets, as the parsers that nest read them. */
function formPairs(prefix: string, value: object): [string, string][] {
  const list = Array.isArray(value);
  // Several plain values of one name are that name several times, to a parser that nests and to one that does not.
  const repeated = list && value.length > 1 && !value.some(isObject);
  return Object.entries(value).flatMap(([key, item]: [string, unknown]): [string, string][] => {
    const name = repeated
      ? prefix
      : prefix === ''
        ? key
        : `${prefix}[${list && value.length === 1 ? '' : key}]`;
    if (isObject(item)) return formPairs(list ? `${prefix}[${key}]` : name, item);
    return item === undefined ? [] : [[name, item === null ? '' : String(item)]];
  });
}
