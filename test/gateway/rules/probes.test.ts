/**
 * Hostile requests, by their numbers in the threat model. Those that Node's own parser lets through are the gateway's
 * to refuse; the others are here so that a later parser does not let them through unseen.
 */
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { InvalidOptionsError } from '../../../src/core/errors.ts';
import { cors } from '../../../src/gateway/guards/cors.ts';
import { RequestRouter } from '../../../src/gateway/request-router.ts';
import {
  closeAfterEach,
  exchange,
  listening,
  onCleanup,
  raw,
  statusOf,
  until,
  upstream,
} from '../support.ts';
import { mirror } from './mirror.ts';

closeAfterEach();

const post = (lines: readonly string[], version = '1.1'): string =>
  `POST / HTTP/${version}\r\nHost: a\r\n${lines.join('\r\n')}\r\n\r\n`;

describe('hostile requests that are refused', () => {
  it.each([
    [
      '1: a length and a coding',
      `${post(['Content-Length: 5', 'Transfer-Encoding: chunked'])}0\r\n\r\n`,
      400,
    ],
    ['2: two lengths in one field', `${post(['Content-Length: 5,5'])}hello`, 400],
    ['3: a space before the colon', `${post(['Transfer-Encoding : chunked'])}0\r\n\r\n`, 400],
    ['4: a coding besides chunked', `${post(['Transfer-Encoding: gzip, chunked'])}0\r\n\r\n`, 400],
    ['5: a coding in HTTP/1.0', `${post(['Transfer-Encoding: chunked'], '1.0')}0\r\n\r\n`, 400],
    ['6: two hosts', 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400],
    ['8: a backslash', 'GET /a\\..\\admin HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['8: an encoded slash', 'GET /public/..%2fadmin HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['8: a dot encoded twice', 'GET /public/%252e%252e/admin HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['8: a fragment', 'GET /public#/admin HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['9: 3,000 short fields', `GET / HTTP/1.1\r\nHost: a\r\n${'a:\r\n'.repeat(3_000)}X-Auth: 1\r\n\r\n`, 431],
    ['25: an escape that is not UTF-8', 'GET /%E0%A4%A HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['25: a whole escape that is not UTF-8', 'GET /%E0%A4 HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['26: a path of 1 MB', `GET /${'a'.repeat(1_000_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 431],
  ])('probe %s', async (_name, request, status) => {
    const { url, requests } = await mirror();
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    const client = raw(port, request);
    expect(statusOf(await client.closed)).toBe(status);
    expect(requests).toEqual([]);
  });

  it('probe 15: CONNECT is no way out', async () => {
    const { url, requests } = await mirror();
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    const answer = await raw(port, 'CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: 169.254.169.254:80\r\n\r\n')
      .closed;
    expect(answer).not.toContain(' 200 ');
    expect(requests).toEqual([]);
  });

  it('probe 17: a body without end is cut off at the limit, and is not whole for the upstream', async () => {
    const whole: boolean[] = [];
    const { url } = await upstream((request) => {
      request.resume().on('error', () => {});
      request.on('close', () => whole.push(request.complete));
    });
    const { port } = await listening({ limits: { body: 100_000 } }, (router) => router.route('/*', { url }));
    const client = raw(port, post(['Transfer-Encoding: chunked']));
    const piece = `4000\r\n${'x'.repeat(0x4000)}\r\n`;
    const pump = setInterval(() => client.socket.writable && client.socket.write(piece), 1);
    const answer = await client.closed;
    clearInterval(pump);
    expect(statusOf(answer)).toBe(413);
    await until(() => whole.length === 1);
    expect(whole).toEqual([false]);
  });

  it('probe 24: a pattern that takes for ever is refused at declaration', () => {
    expect(() => new RequestRouter().route('/:id(^(a+)+$)', { handle: () => new Response() })).toThrow(
      InvalidOptionsError,
    );
  });
});

describe('hostile requests that are taken, and do no harm', () => {
  it('probe 7: the authority of an absolute target takes the place of Host', async () => {
    const { url, last } = await mirror();
    const { port } = await listening({}, (router) => router.route('/*', { url, preserveHost: true }));
    expect(statusOf(await exchange(port, ['GET http://evil/x HTTP/1.1', 'Host: shop']))).toBe(200);
    expect([last('host'), last('x-forwarded-host')]).toEqual([['evil'], ['evil']]);
  });

  it('probe 8: dots are resolved before anybody decides', async () => {
    const { url, requests } = await mirror();
    const { port } = await listening({}, (router) =>
      router
        .route('/public/*', { url })
        .route('/admin', { handle: () => new Response(null, { status: 403 }) }),
    );
    for (const path of ['/public/../admin', '/public/%2e%2e/admin', '/public/x/../../%61dmin']) {
      expect(statusOf(await exchange(port, [`GET ${path} HTTP/1.1`, 'Host: a']))).toBe(403);
    }
    expect(requests).toEqual([]);
  });

  it('probe 10: a field named __proto__ is a field', async () => {
    const { url, last } = await mirror();
    const seen: unknown[] = [];
    const { port } = await listening({}, (router) =>
      router
        .use((it) => void seen.push(it.headers.get('__proto__'), it.headers.get('toString')))
        .route('/*', { url }),
    );
    expect(statusOf(await exchange(port, ['GET / HTTP/1.1', 'Host: a', '__proto__: x']))).toBe(200);
    expect([seen, last('__proto__')]).toEqual([['x', undefined], ['x']]);
  });

  it('probe 11: Connection does not strip what a guard says', async () => {
    const { url, last } = await mirror();
    const { port } = await listening({ identityHeaders: ['x-user'] }, (router) =>
      router.use((it) => it.headers.set('X-User', 'ann')).route('/*', { url }),
    );
    await raw(port, 'GET / HTTP/1.1\r\nHost: a\r\nX-User: eve\r\nConnection: close, X-User\r\n\r\n').closed;
    expect(last('x-user')).toEqual(['ann']);
  });

  it('probe 12: an identity does not come in by a trailer', async () => {
    const { url, requests } = await mirror();
    const { port } = await listening({ identityHeaders: ['x-user'] }, (router) =>
      router.route('/*', { url }),
    );
    const lines = ['Transfer-Encoding: chunked', 'Trailer: X-User', 'Connection: close'];
    await raw(port, `${post(lines)}2\r\nhi\r\n0\r\nX-User: admin\r\n\r\n`).closed;
    expect(requests.map(({ body }) => body)).toEqual(['hi']);
    expect(requests[0]!.lines.join('\n')).not.toMatch(/x-user|admin|content-length/i);
  });

  it('probe 13: where a request comes from is not for a stranger to say', async () => {
    const { url, last } = await mirror();
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    const lies = ['X-Forwarded-For: 6.6.6.6', 'X-Forwarded-Proto: https', 'X-Forwarded-Host: evil'];
    await exchange(port, ['GET / HTTP/1.1', 'Host: shop', ...lies]);
    expect(['for', 'proto', 'host'].map((what) => last(`x-forwarded-${what}`))).toEqual([
      ['127.0.0.1'],
      ['http'],
      ['shop'],
    ]);
  });

  it('probe 14: an upgrade where none is allowed is a plain request', async () => {
    const { url, requests, last } = await mirror();
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    const upgrade = ['Upgrade: websocket', 'Connection: Upgrade, close', 'Sec-WebSocket-Key: x'];
    const answer = await raw(port, `GET / HTTP/1.1\r\nHost: a\r\n${upgrade.join('\r\n')}\r\n\r\n`).closed;
    expect(statusOf(answer)).toBe(200);
    expect([requests.length, last('upgrade')]).toEqual([1, []]);
  });

  it('probe 22: a thousand idle connections keep nobody out', async () => {
    const { url } = await mirror();
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    let open = 0;
    for (let index = 0; index < 1_000; index += 1) {
      const socket = connect(port, '127.0.0.1', () => {
        open += 1;
      });
      socket.on('error', () => {});
      onCleanup(() => socket.destroy());
    }
    await until(() => open === 1_000);
    expect(statusOf(await exchange(port, ['GET / HTTP/1.1', 'Host: a']))).toBe(200);
  });

  it('probe 23: a WebSocket of a foreign page is refused by the guard that knows the pages', async () => {
    const { url, requests } = await mirror(
      'HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
    );
    const { port } = await listening({}, (router) =>
      router.use(cors({ origins: ['https://shop.example'] })).route('/*', { url, upgrade: true }),
    );
    const ask = (origin: string): string =>
      `GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nOrigin: ${origin}\r\n\r\n`;
    expect(statusOf(await raw(port, ask('https://evil.example')).closed)).toBe(403);
    expect(requests).toEqual([]);
    const welcome = raw(port, ask('https://shop.example'));
    await until(() => welcome.text() !== '');
    expect(statusOf(welcome.text())).toBe(101);
    welcome.socket.destroy();
  });
});

describe('hostile answers', () => {
  it('probe 18, 19: an answer compressed many times over goes on as it is, and nothing is unpacked here', async () => {
    const coding = Array.from({ length: 1_000 }, () => 'gzip').join(', ');
    const { url } = await mirror(
      `HTTP/1.1 200 OK\r\nContent-Encoding: ${coding}\r\nContent-Length: 3\r\n\r\n\x1f\x8bx`,
    );
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    const answer = await exchange(port, ['GET / HTTP/1.1', 'Host: a', 'Accept-Encoding: gzip']);
    expect(answer).toContain(coding);
    expect(answer.endsWith('\r\n\r\n\x1f\x8bx')).toBe(true);
  });

  it.each([
    ['20: a field that breaks its line', 'Set-Cookie: a\r\n X: y\r\nContent-Length: 2'],
    ['20: a field with a lone carriage return', 'Set-Cookie: a\rX: y\r\nContent-Length: 2'],
    ['20: a field with a NUL', 'Set-Cookie: a\x00b\r\nContent-Length: 2'],
    ['21: two lengths that differ in case', 'Content-Length: 2\r\ncontent-length: 2'],
    ['21: two lengths that differ', 'Content-Length: 2\r\nContent-Length: 3'],
    ['21: a length and a coding', 'Content-Length: 2\r\nTransfer-Encoding: chunked'],
  ])('probe %s is no answer', async (_name, lines) => {
    const { url } = await mirror(`HTTP/1.1 200 OK\r\n${lines}\r\n\r\nok`);
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    const answer = await exchange(port, ['GET / HTTP/1.1', 'Host: a']);
    expect(statusOf(answer)).toBe(502);
    expect(answer).not.toMatch(/^X: y/m);
  });
});
