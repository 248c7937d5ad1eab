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
 * @throws ProblemError 415 when that cannot be written as the request's `Content-Type` says; TypeError for multipart,
 * when nothing is left of a body, and when a string could be JSON's text as well as what was parsed of it.
 */
export function readBodyOf(request: IncomingMessage, parsed: unknown): ReadBody | undefined {
  if (!request.readableDidRead) return undefined;
  const length = announcedLength(request);
  if (length === 0) return { bytes: new Uint8Array(), contentType: undefined };
  const contentType = request.headers['content-type'] ?? '';
  const media = contentType.split(';', 1)[0]!.trim().toLowerCase();
  if (media.startsWith('multipart/')) {
    throw new TypeError(
      'a multipart body that was parsed cannot be put together again: mount the router before that parser',
    );
  }
  if (parsed instanceof Uint8Array) return { bytes: parsed, contentType: undefined };
  if (parsed === undefined) {
    throw new TypeError(
      `the body was read, and nothing of it was kept: mount the router before what reads it, or ${keepBytes}`,
    );
  }
  if (isJson(media)) return inUtf8(jsonOf(parsed, length), contentType);
  if (typeof parsed === 'string') return textBody(parsed, contentType);
  if (media === 'application/x-www-form-urlencoded' && isObject(parsed)) {
    return inUtf8(new URLSearchParams(formPairs('', parsed)).toString(), contentType);
  }
  throw new ProblemError(415, 'the body was read as something that its Content-Type does not say');
}

const keepBytes = 'keep its bytes as `request.rawBody`';

/** Bytes of a body as it came; undefined when that is not known, or it is not known of what was read. */
function announcedLength({ headers }: IncomingMessage): number | undefined {
  if (headers['transfer-encoding'] !== undefined) return undefined;
  const length = Number(headers['content-length'] ?? 0);
  return length > 0 && headers['content-encoding'] !== undefined ? undefined : length;
}

/**
 * The JSON text of a body. A string may be that very text, which a parser for text has left as it is, or what a parser
 * of JSON made of a text in quotation marks. The length tells: that of the text is the announced one, and quotation
 * marks would have made it longer, as a byte order mark does, which some parsers drop.
 */
function jsonOf(parsed: unknown, length: number | undefined): string {
  if (typeof parsed !== 'string') return JSON.stringify(parsed);
  const more = length === undefined ? undefined : length - Buffer.byteLength(parsed);
  if (more === 0) return parsed;
  const sure = more !== undefined && more >= 2 && (more !== byteOrderMark || !isJsonText(parsed));
  if (sure) return JSON.stringify(parsed);
  throw new TypeError(
    `a JSON body was read as a string, which may be its text or its value: mount the router before the parser, or ${keepBytes}`,
  );
}

/** Bytes of U+FEFF in UTF-8. */
const byteOrderMark = 3;

function isJsonText(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
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
