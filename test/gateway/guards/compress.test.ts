import { brotliDecompressSync, createBrotliDecompress, createGunzip, gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidOptionsError } from '../../../src/core/errors.ts';
import type { Guard } from '../../../src/gateway/exchange/exchange.ts';
import { type CompressOptions, compress } from '../../../src/gateway/guards/compress.ts';
import { negotiate } from '../../../src/gateway/guards/negotiate.ts';
import { closeAfterEach, exchange, listening, raw, statusOf, until, upstream } from '../support.ts';

closeAfterEach();

const long = 'All work and no play makes Jack a dull boy. '.repeat(200);

interface Told {
  readonly headers?: Record<string, string | string[]>;
  readonly status?: number;
  readonly body?: string;
  readonly chunked?: boolean;
}

/** What comes of an answer on its way through the guard. */
async function sent(
  told: Told,
  accept: string | undefined,
  options: CompressOptions = {},
  method = 'GET',
): Promise<{ head: string; status: number; body: Buffer }> {
  const { headers = { 'Content-Type': 'text/plain' }, status = 200, body = long, chunked = false } = told;
  const { url } = await upstream((_request, response) => {
    const length = chunked || status === 304 ? {} : { 'Content-Length': Buffer.byteLength(body) };
    response
      .writeHead(status, { ...headers, ...length })
      .end(method === 'HEAD' || status === 304 ? undefined : body);
  });
  const { port } = await listening({}, (router) => router.use(compress(options)).route('/*', { url }));
  const lines = [
    `${method} / HTTP/1.1`,
    'Host: a',
    ...(accept === undefined ? [] : [`Accept-Encoding: ${accept}`]),
  ];
  const answer = await exchange(port, lines);
  const border = answer.indexOf('\r\n\r\n');
  const head = answer.slice(0, border);
  const bytes = Buffer.from(answer.slice(border + 4), 'latin1');
  return {
    head,
    status: statusOf(answer),
    body: /^transfer-encoding: chunked/im.test(head) ? unchunked(bytes) : bytes,
  };
}

function unchunked(bytes: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; ; ) {
    const end = bytes.indexOf('\r\n', at);
    const size = Number.parseInt(bytes.subarray(at, end).toString('latin1'), 16);
    if (!(size > 0)) return Buffer.concat(parts);
    parts.push(bytes.subarray(end + 2, end + 2 + size));
    at = end + 4 + size;
  }
}

const codingOf = (head: string): string | undefined => /^content-encoding: (.*)$/im.exec(head)?.[1];

describe('negotiation', () => {
  it.each<[string | undefined, string | undefined, boolean]>([
    [undefined, undefined, true],
    ['', undefined, true],
    ['gzip', 'gzip', true],
    ['x-gzip', 'gzip', true],
    ['GZIP', 'gzip', true],
    ['gzip, br', 'br', true],
    ['br;q=0.5, gzip;q=0.6', 'gzip', true],
    ['br;q=0, *', 'gzip', true],
    ['*', 'br', true],
    ['*;q=0', undefined, false],
    ['identity;q=0', undefined, false],
    ['identity;q=0, gzip', 'gzip', false],
    ['*;q=0, identity;q=0.1', undefined, true],
    ['gzip;q=0.1, identity', undefined, true],
    ['gzip;q=0', undefined, true],
    ['zstd, deflate', undefined, true],
    ['gzip;q=nonsense', undefined, true],
    ['gzip;q=1.5', undefined, true],
    [' gzip ; q=1.000 ,, ', 'gzip', true],
  ])('%j: %s, as it is: %s', (accept, coding, identity) => {
    expect(negotiate(accept, ['br', 'gzip'])).toEqual({ coding, identity });
  });

  it('never chooses what is ruled out, whatever is asked', () => {
    const element = fc.tuple(
      fc.constantFrom('br', 'gzip', 'identity', '*', 'deflate'),
      fc.constantFrom('', ';q=0', ';q=0.5', ';q=1'),
    );
    fc.assert(
      fc.property(fc.uniqueArray(element, { selector: ([name]) => name }), (elements) => {
        const { coding } = negotiate(elements.map(([name, weight]) => name + weight).join(', '), [
          'br',
          'gzip',
        ]);
        if (coding === undefined) return;
        const own = elements.find(([name]) => name === coding) ?? elements.find(([name]) => name === '*');
        expect(own).toBeDefined();
        expect(own?.[1]).not.toBe(';q=0');
      }),
    );
  });
});

describe('compress', () => {
  it.each([
    ['gzip', gunzipSync],
    ['br', brotliDecompressSync],
  ] as const)('sends %s, which is the same text and shorter', async (coding, decode) => {
    const told = {
      headers: { 'Content-Type': 'text/plain; charset=utf-8', ETag: '"1"', 'Accept-Ranges': 'bytes' },
    };
    const { head, body } = await sent(told, coding);
    expect(decode(body).toString()).toBe(long);
    expect(body.length).toBeLessThan(long.length / 5);
    expect(head).toMatch(/^ETag: W\/"1"$/im);
    expect(head).toMatch(/^Vary: Accept-Encoding$/im);
    expect(head).not.toMatch(/^(?:content-length|accept-ranges):/im);
  });

  it.each<[string, Told]>([
    ['is short', { body: 'short' }],
    ['is compressed already', { headers: { 'Content-Type': 'text/plain', 'Content-Encoding': 'zstd' } }],
    [
      'is part of a whole (206)',
      { status: 206, headers: { 'Content-Type': 'text/plain', 'Content-Range': 'bytes 0-9/10' } },
    ],
    [
      'may not be changed',
      { headers: { 'Content-Type': 'text/plain', 'Cache-Control': 'public, No-Transform' } },
    ],
    ['has a digest', { headers: { 'Content-Type': 'text/plain', 'Repr-Digest': 'sha-256=:x:' } }],
    ['is a picture', { headers: { 'Content-Type': 'image/png' } }],
    ['is of no type', { headers: {} }],
    ['is a stream of events', { headers: { 'Content-Type': 'text/event-stream' }, chunked: true }],
  ])('leaves alone what %s', async (_what, told) => {
    const before = (told.headers?.['Content-Encoding'] as string | undefined) ?? undefined;
    const { head, body } = await sent(
      { ...told, headers: { ...(told.headers ?? { 'Content-Type': 'text/plain' }), ETag: '"1"' } },
      'gzip, br',
    );
    expect([codingOf(head), body.toString()]).toEqual([before, told.body ?? long]);
    expect(head).toMatch(/^ETag: "1"$/im);
  });

  it('says that the coding matters also when it sends none, and only once', async () => {
    expect((await sent({}, undefined)).head).toMatch(/^Vary: Accept-Encoding$/im);
    const told = { headers: { 'Content-Type': 'text/plain', Vary: 'Origin, accept-encoding' } };
    expect((await sent(told, 'gzip')).head.match(/^Vary:/gim)).toHaveLength(1);
    expect((await sent({ headers: { 'Content-Type': 'image/png' } }, 'gzip')).head).not.toMatch(/^Vary:/im);
  });

  it('a client that rules out the plain answer gets a compressed one, though it is short, or 406', async () => {
    const { head, body } = await sent({ body: 'short' }, 'gzip, identity;q=0');
    expect([codingOf(head), gunzipSync(body).toString()]).toEqual(['gzip', 'short']);
    const none = await sent({}, 'identity;q=0, zstd');
    expect([none.status, none.body.length]).toEqual([406, 0]);
  });

  it('HEAD tells what GET would, 304 names what it would name, 204 is left alone', async () => {
    const told = { headers: { 'Content-Type': 'text/plain', ETag: '"1"' } };
    const head = await sent(told, 'gzip', {}, 'HEAD');
    expect([codingOf(head.head), head.body.length]).toEqual(['gzip', 0]);
    expect((await sent({ ...told, status: 304 }, 'gzip')).head).toMatch(/^ETag: W\/"1"$/im);
    expect((await sent({ ...told, status: 304 }, undefined)).head).toMatch(/^ETag: "1"$/im);
    expect((await sent({ status: 204, body: '', chunked: true }, 'gzip')).head).not.toMatch(
      /content-encoding/i,
    );
  });

  it.each(['gzip', 'br'])('a stream in %s arrives piece by piece, as it comes', async (coding) => {
    let more = (): void => {};
    const { url } = await upstream((_request, response) => {
      response.writeHead(200, { 'Content-Type': 'application/x-ndjson' });
      response.write('{"n":1}\n');
      more = () => void response.end('{"n":2}\n');
    });
    const { port } = await listening({}, (router) => router.use(compress()).route('/*', { url }));
    const client = raw(
      port,
      `GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: ${coding}\r\nConnection: close\r\n\r\n`,
    );
    const decoder = coding === 'gzip' ? createGunzip() : createBrotliDecompress();
    let text = '';
    decoder.on('data', (chunk) => {
      text += chunk;
    });
    decoder.on('error', () => {});
    await until(() => client.text().includes('\r\n\r\n') && client.text().split('\r\n\r\n')[1] !== '');
    const early = client.text();
    decoder.write(unchunked(Buffer.from(`${early.slice(early.indexOf('\r\n\r\n') + 4)}0\r\n\r\n`, 'latin1')));
    await until(() => text === '{"n":1}\n');
    more();
    await client.closed;
  });

  it('an answer that breaks off does not look whole', async () => {
    const { url } = await upstream((_request, response) => {
      response.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': 100_000 });
      response.write(long);
      setImmediate(() => response.destroy());
    });
    const { port, finished } = await listening({}, (router) => router.use(compress()).route('/*', { url }));
    const answer = await exchange(port, ['GET / HTTP/1.1', 'Host: a', 'Accept-Encoding: gzip']);
    expect(answer.endsWith('0\r\n\r\n')).toBe(false);
    await until(() => finished.length === 1);
    expect(finished[0]?.error).toBeDefined();
  });

  it('refuses options that make no sense', () => {
    for (const options of [{ codings: [] }, { codings: ['zstd'] }, { threshold: -1 }, { gzipLevel: 10 }]) {
      expect(() => compress(options as unknown as CompressOptions)).toThrow(InvalidOptionsError);
    }
  });
});

it('the bytes that are told of an exchange are those that were sent, with other filters before and behind', async () => {
  const { url } = await upstream((_request, response) =>
    response.writeHead(200, { 'Content-Type': 'text/plain' }).end(long),
  );
  const seen: number[] = [];
  const watch: Guard = (it) => {
    it.filterAnswer(() => ({ piece: (chunk) => void seen.push(chunk.length), over: () => {} }));
  };
  const { port, finished } = await listening({}, (router) =>
    router.use(watch, compress(), watch).route('/*', { url }),
  );
  for (const accept of ['gzip', 'identity']) {
    const answer = await exchange(port, ['GET / HTTP/1.1', 'Host: a', `Accept-Encoding: ${accept}`]);
    const chunked = Buffer.from(answer.slice(answer.indexOf('\r\n\r\n') + 4), 'latin1');
    const body = unchunked(chunked);
    await until(() => finished.length === (accept === 'gzip' ? 1 : 2));
    expect([accept, finished.at(-1)?.bytes]).toEqual([accept, body.length]);
    expect(body.length < long.length).toBe(accept === 'gzip');
  }
  expect(seen.length).toBeGreaterThan(0);
});
