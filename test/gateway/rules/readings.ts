/** How servers of different minds cut one stream of bytes into requests. Whatever we forward, all of them must agree. */

/** One request as a server read it. */
export interface ReadRequest {
  readonly method: string;
  readonly target: string;
  /** The header lines, as they came. */
  readonly lines: readonly string[];
  readonly body: string;
}

/** What was read, and where reading stopped because the rest is not there yet. */
export interface Reading {
  readonly requests: readonly ReadRequest[];
  readonly end: number;
}

/** How a server finds the length of a body. */
export type Mind = 'strict' | 'coding wins' | 'length wins' | 'last length wins';

export const minds: readonly Mind[] = ['strict', 'coding wins', 'length wins', 'last length wins'];

interface Field {
  readonly name: string;
  readonly value: string;
}

/** Read as many requests as are there. A stream that this mind cannot read at all ends it. */
export function readAll(text: string, mind: Mind, from = 0): Reading {
  const requests: ReadRequest[] = [];
  let end = from;
  for (;;) {
    const one = readOne(text, end, mind);
    if (one === undefined) return { requests, end };
    requests.push(one.request);
    end = one.end;
  }
}

function readOne(text: string, start: number, mind: Mind): { request: ReadRequest; end: number } | undefined {
  const border = mind === 'strict' ? /\r\n\r\n/g : /\r?\n\r?\n/g;
  border.lastIndex = start;
  const found = border.exec(text);
  if (found === null) return undefined;
  const after = found.index + found[0].length;
  const lines = text.slice(start, found.index).split(mind === 'strict' ? '\r\n' : /\r?\n|\r/);
  const [method = '', target = ''] = (lines[0] ?? '').split(' ');
  const body = bodyAt(text, after, fieldsOf(lines.slice(1), mind), mind);
  if (body === undefined) return undefined;
  return { request: { method, target, lines: lines.slice(1), body: body.text }, end: body.end };
}

function fieldsOf(lines: readonly string[], mind: Mind): Field[] {
  return lines.map((line) => {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1);
    if (mind === 'strict') return { name, value: value.trim() };
    // The lenient see a name through spaces, controls and underscores.
    const bare = name.replace(/[^a-z_-]/g, '').replaceAll('_', '-');
    return { name: bare, value: value.replace(/[^\w,;.+=" -]/g, '').trim() };
  });
}

function bodyAt(
  text: string,
  start: number,
  fields: readonly Field[],
  mind: Mind,
): { text: string; end: number } | undefined {
  const codings = fields.filter(({ name }) => name === 'transfer-encoding');
  const lengths = fields.filter(({ name }) => name === 'content-length');
  const chunked =
    mind === 'strict'
      ? codings.some(({ value }) => value.toLowerCase() === 'chunked')
      : codings.some(({ value }) => value.toLowerCase().includes('chunked'));
  const byLength = (mind === 'length wins' || mind === 'last length wins') && lengths.length > 0;
  if (chunked && !byLength) return chunkedAt(text, start, mind);
  const chosen = mind === 'last length wins' ? lengths.at(-1) : lengths[0];
  const length = Math.max(0, Number.parseInt(chosen?.value.replace(/^\+/, '') ?? '0', 10) || 0);
  if (text.length < start + length) return undefined;
  return { text: text.slice(start, start + length), end: start + length };
}

function chunkedAt(text: string, start: number, mind: Mind): { text: string; end: number } | undefined {
  let at = start;
  let body = '';
  for (;;) {
    const border = mind === 'strict' ? '\r\n' : '\n';
    const lineEnd = text.indexOf(border, at);
    if (lineEnd === -1) return undefined;
    const size = Number.parseInt(text.slice(at, lineEnd).trim(), 16);
    at = lineEnd + border.length;
    if (Number.isNaN(size)) return undefined;
    if (size === 0) return trailersAt(text, at, body);
    if (text.length < at + size + 2) return undefined;
    body += text.slice(at, at + size);
    at += size;
    at += text.startsWith('\r\n', at) ? 2 : 1;
  }
}

function trailersAt(text: string, start: number, body: string): { text: string; end: number } | undefined {
  let at = start;
  for (;;) {
    const lineEnd = text.indexOf('\n', at);
    if (lineEnd === -1) return undefined;
    const line = text.slice(at, lineEnd).replace(/\r$/, '');
    at = lineEnd + 1;
    if (line === '') return { text: body, end: at };
  }
}
