/** Requests that two servers might cut at different places, made at random from the parts that such attacks are made of. */

/** Where no request of an attacker may ever arrive. */
export const forbidden = '/smuggled';

const hidden = (tail: string): string => `GET ${forbidden} HTTP/1.1\r\nHost: a\r\n${tail}`;

type Random = () => number;

export function oneOf<T>(random: Random, choices: readonly T[]): T {
  return choices[Math.floor(random() * choices.length)]!;
}

const methods = ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'HEAD', 'PATCH', 'PROPFIND'] as const;

/** Ways to say a length; `N` stands for it. */
const lengthFields = [
  'Content-Length: N',
  'content-length:N',
  'Content-Length : N',
  'Content-Length: +N',
  'Content-Length: -N',
  'Content-Length: 0N',
  'Content-Length: 0xN',
  'Content-Length: N.0',
  'Content-Length: Ne0',
  'Content-Length: N;x',
  'Content-Length: N, N',
  'Content-Length: N, 0',
  'Content-Length: N 0',
  'Content-Length: N\r\nContent-Length: 0',
  'Content-Length: 0\r\nContent-Length: N',
  'Content-Length: N\r\ncontent-length: N',
  'Content_Length: N',
  'Content-Length: \tN\t',
  'Content-Length:\x0bN',
  'Content-Length:\x0cN',
  'Content-Length:\xa0N',
  'Content-Length\x00: N',
  'Content-Length: N\x00',
  ' Content-Length: N',
  'X: y\r\n Content-Length: N',
  'X: y\nContent-Length: N',
  'X: y\rContent-Length: N',
  'Content-Length:\r\n N',
  'Content-Length: ',
  'Content-Length: 18446744073709551620',
  'Connection: Content-Length\r\nContent-Length: N',
  'Connection: close, content-length\r\nContent-Length: N',
  'Expect: 100-continue\r\nContent-Length: N',
  'Expect: y 100-continue\r\nContent-Length: N',
  'Expect:\r\n 100-continue\r\nContent-Length: N',
  'Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: N',
  'Trailer: Content-Length\r\nContent-Length: N',
] as const;

/** Ways to say that a body is in chunks. */
const codingFields = [
  'Transfer-Encoding: chunked',
  'transfer-encoding:chunked',
  'Transfer-Encoding : chunked',
  'Transfer-Encoding:\tchunked',
  'Transfer-Encoding: CHUNKED',
  'Transfer-Encoding: xchunked',
  'Transfer-Encoding: chunkedx',
  'Transfer-Encoding: "chunked"',
  'Transfer-Encoding: chunked, identity',
  'Transfer-Encoding: identity, chunked',
  'Transfer-Encoding: identity',
  'Transfer-Encoding: gzip, chunked',
  'Transfer-Encoding: chunked, chunked',
  'Transfer-Encoding: chunked;q=1',
  'Transfer-Encoding: , chunked',
  'Transfer-Encoding: chunked,',
  'Transfer-Encoding: chunked\r\nTransfer-Encoding: x',
  'Transfer-Encoding: x\r\nTransfer-Encoding: chunked',
  'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity',
  'Transfer-Encoding: \r\nTransfer-Encoding: chunked',
  'Transfer-Encoding:\x0bchunked',
  'Transfer-Encoding: chunked\x0b',
  'Transfer-Encoding:\x00chunked',
  'Transfer-Encoding:\xa0chunked',
  'Transfer-Encoding\x00: chunked',
  'Transfer-Encoding\r\n: chunked',
  'Transfer-Encoding:\r\n chunked',
  ' Transfer-Encoding: chunked',
  'X: y\r\n Transfer-Encoding: chunked',
  'X: y\nTransfer-Encoding: chunked',
  'X: y\rTransfer-Encoding: chunked',
  'Transfer_Encoding: chunked',
  'Transfer-Encoding: chun\r\n ked',
  'Transfer-\tEncoding: chunked',
  'TE: chunked',
  'Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked',
  'Connection: keep-alive, TRANSFER-ENCODING\r\nTransfer-Encoding: chunked',
] as const;

/** Ways to write a chunk of `D`, which is `L` bytes long, in hexadecimal. */
const chunks = [
  'L\r\nD\r\n',
  '0L\r\nD\r\n',
  '0xL\r\nD\r\n',
  'L;x=y\r\nD\r\n',
  'L;x="\r\n"\r\nD\r\n',
  'L;\nxx\r\nD\r\n',
  'L \r\nD\r\n',
  ' L\r\nD\r\n',
  '+L\r\nD\r\n',
  '-L\r\nD\r\n',
  'L\nD\n',
  'L\r\r\nD\r\n',
  'L\rXD\r\n',
  'L\r\nDX\r\n',
  'L\r\nD',
  'L\r\nD\n',
  'L\r\nD\r\r\n',
  '1000000000000000L\r\nD\r\n',
  'L_0\r\nD\r\n',
] as const;

/** Ways to end a chunked body. */
const lastChunks = [
  '0\r\n\r\n',
  '00\r\n\r\n',
  '0;x\r\n\r\n',
  '0;x\n\r\n\r\n',
  '0\n\n',
  '0\r\n\n',
  '0\r\nContent-Length: 40\r\n\r\n',
  '0\r\nTransfer-Encoding: chunked\r\n\r\n',
  '0\r\nHost: b\r\nX-User: admin\r\n\r\n',
  '0\r\nX: y\n\r\n',
  '0\r\nX\r\n\r\n',
  '0\r\n X: y\r\n\r\n',
  '0 \r\n\r\n',
  '-0\r\n\r\n',
] as const;

const odd = [
  '\x00',
  '\x0b',
  '\x0c',
  '\x1f',
  '\x7f',
  '\xa0',
  '\xff',
  ' ',
  '\t',
  '\r',
  '\n',
  '\r\n',
  ':',
  ',',
  ';',
];

const families = ['CL.TE', 'TE.CL', 'TE.TE', 'CL.0', 'TE.0'] as const;

/** One attack. */
export interface Attack {
  readonly family: (typeof families)[number];
  /** All bytes that the attacker sends, as latin1. */
  readonly bytes: string;
}

function chunkedBody(random: Random, data: string): string {
  const size = data.length.toString(16);
  const chunk = oneOf(random, random() < 0.5 ? chunks.slice(0, 1) : chunks);
  const last = oneOf(random, random() < 0.5 ? lastChunks.slice(0, 1) : lastChunks);
  return chunk.replace('L', size).replace('D', () => data) + last;
}

/** A byte where none belongs, or one fewer. */
function mutated(random: Random, text: string): string {
  const at = Math.floor(random() * text.length);
  if (random() < 0.3) return text.slice(0, at) + text.slice(at + 1);
  return text.slice(0, at) + oneOf(random, odd) + text.slice(at);
}

/** The plain way often enough, so that many attacks are let through and reach an upstream. */
function field(random: Random, fields: readonly string[], plain = 0.4): string {
  return random() < plain ? fields[0]! : oneOf(random, fields);
}

/** The fields that frame the body, and the body, for each kind of disagreement. */
function framed(random: Random, family: Attack['family']): { fields: readonly string[]; body: string } {
  const secret = hidden(random() < 0.5 ? 'X-Rest: ' : '\r\n');
  const coding = (plain?: number): string => field(random, codingFields, plain);
  const length = (bytes: number, plain?: number): string =>
    field(random, lengthFields, plain).replaceAll('N', String(bytes));
  switch (family) {
    case 'CL.TE': {
      const body = `${oneOf(random, lastChunks)}${secret}`;
      return { fields: [length(body.length, 0.8), coding(0)], body };
    }
    case 'TE.CL': {
      const body = chunkedBody(random, secret);
      const short = body.indexOf('\n') + 1;
      return { fields: [coding(0.8), length(random() < 0.5 ? short : 0, 0)], body };
    }
    case 'TE.TE': {
      const body = random() < 0.5 ? chunkedBody(random, secret) : `0\r\n\r\n${secret}`;
      return { fields: [coding(0.8), coding(0)], body };
    }
    case 'CL.0':
      return { fields: [length(random() < 0.7 ? secret.length : 0)], body: secret };
    case 'TE.0':
      return { fields: [coding()], body: chunkedBody(random, secret) };
  }
}

const targets = [
  '/first',
  '/first?x=1',
  'http://a/first',
  '/first/../first',
  '*',
  '/first#x',
  '//first',
  '/first HTTP/1.1\r\nX: ',
];

/** The attack number `index` of a run; the same random numbers give the same attack. */
export function makeAttack(random: Random, index: number): Attack {
  const family = families[index % families.length]!;
  const { fields, body } = framed(random, family);
  const method = oneOf(random, methods);
  const target = random() < 0.85 ? '/first' : oneOf(random, targets);
  const version = random() < 0.93 ? '1.1' : oneOf(random, ['1.0', '2.0', '0.9', '1.2']);
  const lines = [...fields];
  if (random() < 0.1) lines.push(oneOf(random, lengthFields).replaceAll('N', '5'));
  // The second way to say it goes missing, or hides in a field that means nothing.
  if (lines.length > 1 && random() < 0.5) lines[1] = `X-Pad: ${lines[1]!.replace(/[^\x20-\x7e]/g, ' ')}`;
  if (random() < 0.5) lines.reverse();
  if (random() < 0.25) lines[0] = mutated(random, lines[0]!);
  if (random() < 0.25) lines.push(mutated(random, 'X-More: some text, and more'));
  const head = `${method} ${target} HTTP/${version}\r\nHost: a\r\n${lines.join('\r\n')}\r\n\r\n`;
  return { family, bytes: head + (random() < 0.15 ? mutated(random, body) : body) };
}

/** What a victim must never get. */
export const poison = 'poison';

const poisoned = `HTTP/1.1 200 OK\r\nContent-Length: ${poison.length}\r\n\r\n${poison}`;

const statuses = [
  '200 OK',
  '200 OK',
  '200 OK',
  '204 No Content',
  '304 Not Modified',
  '206 Partial Content',
  '500 No',
] as const;

const before = [
  '',
  '',
  '',
  '',
  '',
  'HTTP/1.1 100 Continue\r\n\r\n',
  'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n',
  'HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n',
  'HTTP/1.1 102 Processing\r\nTransfer-Encoding: chunked\r\n\r\n',
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n',
  '\r\n',
] as const;

/** The answer of a hostile upstream, with another one hidden in or behind it. */
export function makeAnswer(random: Random): string {
  const chunked = random() < 0.5;
  const inside = random() < 0.5;
  const data = inside ? poisoned : 'ok';
  const body = chunked ? chunkedBody(random, data) : data;
  const lines: string[] = [];
  if (chunked || random() < 0.1) lines.push(field(random, codingFields, 0.6));
  if (!chunked || random() < 0.1) {
    const length = random() < 0.7 ? body.length : oneOf(random, [0, 1, body.length + 1, body.length + 40]);
    lines.push(field(random, lengthFields, 0.6).replaceAll('N', String(length)));
  }
  if (random() < 0.1) lines.push('Connection: close');
  if (random() < 0.2) lines.push(mutated(random, 'X-More: some text, and more'));
  if (random() < 0.15 && lines.length > 0) lines[0] = mutated(random, lines[0]!);
  const version = random() < 0.95 ? '1.1' : oneOf(random, ['1.0', '0.9', '2.0', 'x']);
  const head = `HTTP/${version} ${oneOf(random, statuses)}\r\n${lines.join('\r\n')}\r\n\r\n`;
  return oneOf(random, before) + head + body + (random() < 0.35 ? poisoned : '');
}
