import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { RequestRouter } from '../../src/gateway/request-router.ts';
import {
  closeAfterEach,
  exchange,
  listening,
  onCleanup,
  raw,
  rawUpstream,
  statusOf,
  until,
  upstream,
} from './support.ts';

closeAfterEach();

describe('framing, on raw sockets', () => {
  it('rule 7: HEAD, 204 and 304 have no body, and HEAD keeps its length', async () => {
    const { url } = await upstream((request, response) => {
      if (request.url === '/204') response.writeHead(204).end();
      else if (request.url === '/304') response.writeHead(304, { etag: '"x"', 'content-length': '99' }).end();
      else response.writeHead(200, { 'content-length': '5' }).end('hello');
    });
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    // On one connection: a body too many would be taken for the next answer.
    const client = raw(
      port,
      ['HEAD /', 'GET /204', 'GET /304', 'GET /']
        .map((line) => `${line} HTTP/1.1\r\nHost: a\r\n\r\n`)
        .join(''),
    );
    await until(() => client.text().endsWith('hello'));
    const answers = client.text().split(/(?=HTTP\/1\.1 )/);
    expect(answers.map(statusOf)).toEqual([200, 204, 304, 200]);
    expect(answers[0]).toMatch(/content-length: 5\r\n[\s\S]*\r\n\r\n$/i);
    expect(answers[1]).toMatch(/\r\n\r\n$/);
    expect(answers[1]).not.toMatch(/transfer-encoding|content-length/i);
    expect(answers[2]).not.toMatch(/transfer-encoding/i);
  });

  it('rule 7: a HEAD does not cost the upstream connection', async () => {
    let connections = 0;
    const { url, server } = await upstream((_request, response) => {
      response.writeHead(200, { 'content-length': '5' }).end();
    });
    server.on('connection', () => {
      connections += 1;
    });
    const { url: front } = await listening({}, (router) => router.route('/*', { url }));
    for (let turn = 0; turn < 5; turn += 1) await fetch(front, { method: 'HEAD' });
    expect(connections).toBe(1);
  });

  it.each([
    ['a known length', 'Content-Length: 100\r\n\r\nhalf'],
    ['chunks', 'Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n'],
  ])('rule 8: an upstream cut off in %s is never a clean end', async (_name, rest) => {
    const { url } = await rawUpstream((socket) => {
      socket.on('data', () => socket.end(`HTTP/1.1 200 OK\r\n${rest}`));
    });
    const { port, finished } = await listening({}, (router) => router.route('/*', { url }));
    const answer = await raw(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n').closed;
    expect(answer).toContain('half');
    expect(answer).not.toMatch(/\r\n0\r\n\r\n$/);
    await until(() => finished.length === 1);
    expect(finished[0]?.error).toBeInstanceOf(Error);
  });

  it('rule 10: Expect goes no further, and 100 is sent only once guards let the request pass', async () => {
    const seen: unknown[] = [];
    const { url } = await upstream((request, response) => {
      seen.push(request.headers.expect);
      request.pipe(response);
    });
    const { port } = await listening({}, (router) =>
      router.route('/open', { url }).route('/closed', {
        url,
        guards: [() => new Response('no', { status: 403 })],
      }),
    );
    const head = (path: string): string =>
      `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n`;
    const open = raw(port, head('/open'));
    await until(() => open.text().startsWith('HTTP/1.1 100 Continue\r\n\r\n'));
    open.socket.write('hello');
    await until(() => open.text().endsWith('hello\r\n0\r\n\r\n'));
    expect(seen).toEqual([undefined]);
    const closed = await raw(port, head('/closed')).closed;
    expect(statusOf(closed)).toBe(403);
    expect(closed).toContain('Connection: close');
  });

  it('rule 10: a server of one’s own says 100 only once guards let the request pass, too', async () => {
    const router = new RequestRouter()
      .route('/open', { handle: async (it) => new Response(await it.readBody()) })
      .route('/closed', {
        guards: [() => new Response('no', { status: 403 })],
        handle: () => new Response(),
      });
    const server = createServer(router.node).on('checkContinue', router.checkContinue);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onCleanup(() => {
      server.closeAllConnections();
      return router.stop({ timeout: 0 }).then(() => server.close());
    });
    const { port } = server.address() as AddressInfo;
    const head = (path: string): string =>
      `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n`;
    const closed = await raw(port, head('/closed')).closed;
    expect([statusOf(closed), closed.includes('100 Continue')]).toEqual([403, false]);
    const open = raw(port, head('/open'));
    await until(() => open.text() === 'HTTP/1.1 100 Continue\r\n\r\n');
    open.socket.write('hello');
    await until(() => open.text().includes('hello'));
  });

  it('rule 10: an unasked 100 is passed over, other interim answers are passed on, whatever pieces they come in', async () => {
    const interim =
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nX-A: b\r\n\r\nHTTP/1.1 100 Go on\r\nX-B: c\r\n\r\nHTTP/1.1 199 Odd\r\n\r\n';
    for (const size of [1, 7, 1_000]) {
      const { url } = await rawUpstream((socket) => {
        socket.setNoDelay(true);
        socket.on('data', async () => {
          const bytes = `${interim}HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\nHTTP/1.1 100 in the body`;
          for (let at = 0; at < bytes.length; at += size) {
            socket.write(bytes.slice(at, at + size));
            await new Promise((resolve) => setImmediate(resolve));
          }
        });
      });
      const { port } = await listening({}, (it) => it.route('/*', { url }));
      for (const request of [
        ['GET / HTTP/1.1', 'Host: a'],
        ['POST / HTTP/1.1', 'Host: a', 'Content-Length: 2'],
        ['GET /kept HTTP/1.1', 'Host: a'],
      ]) {
        const answer = await exchange(port, request, request[0]!.startsWith('POST') ? 'hi' : '');
        expect(answer).toMatch(
          /^HTTP\/1\.1 102 Processing\r\nX-A: b\r\n\r\nHTTP\/1\.1 199 \r\n\r\nHTTP\/1\.1 200 OK\r\n/,
        );
        expect(answer.endsWith('\r\n\r\nHTTP/1.1 100 in the body')).toBe(true);
      }
    }
  });

  it('an upstream that sends interim answers without end is given up', async () => {
    const { url } = await rawUpstream((socket) => {
      const send = (): void =>
        void (socket.writable && socket.write('HTTP/1.1 102 Processing\r\n\r\n', () => setImmediate(send)));
      socket.once('data', send);
    });
    const { port } = await listening({}, (it) => it.route('/*', { url }));
    const answer = await exchange(port, ['GET / HTTP/1.1', 'Host: a']);
    expect(answer.split('HTTP/1.1 102').length - 1).toBe(16);
    expect(answer.match(/HTTP\/1\.1 (?!102)\d+/)?.[0]).toBe('HTTP/1.1 502');
  });

  it('rule 13: Via tells the version of HTTP in which the upstream has answered', async () => {
    for (const [version, connection] of [
      ['1.0', ''],
      ['1.0', 'Connection: keep-alive\r\n'],
      ['1.1', ''],
    ] as const) {
      const { url } = await rawUpstream((socket) =>
        socket.on('data', () =>
          socket.write(`HTTP/${version} 200 OK\r\n${connection}Content-Length: 2\r\n\r\nok`),
        ),
      );
      const { url: front } = await listening({ name: 'edge' }, (it) => it.route('/*', { url }));
      for (const turn of [1, 2]) {
        const response = await fetch(front);
        expect([turn, await response.text(), response.headers.get('via')?.slice(0, 8)]).toEqual([
          turn,
          'ok',
          `${version} edge`,
        ]);
      }
    }
  });

  it('rule 10: passes 103 on', async () => {
    const { url } = await rawUpstream((socket) => {
      socket.on('data', () => {
        socket.write('HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n');
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      });
    });
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    const answer = await exchange(port, ['GET / HTTP/1.1', 'Host: a']);
    expect(answer).toMatch(
      /^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a\.css>; rel=preload\r\n\r\nHTTP\/1\.1 200 OK/,
    );
  });

  it.each([
    ['several links in one field', ['Link: </a.css>; rel=preload, </b.js>; rel=preload']],
    ['a quoted parameter with a space', ['Link: </a>; rel="preload"; title="a, b"']],
    ['two fields', ['Link: </a>; rel=preload', 'Link: </b>; rel=preload']],
    ['no link', ['X-Progress: 1']],
  ])('rule 10: passes 103 on with %s', async (_name, fields) => {
    const { url } = await rawUpstream((socket) => {
      socket.on('data', () => {
        const dropped = ['Connection: x-own', 'X-Own: 1', 'Keep-Alive: timeout=3', 'Content-Length: 7'];
        const head = ['HTTP/1.1 103 Early Hints', ...dropped, ...fields].join('\r\n');
        socket.write(`${head}\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`);
      });
    });
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    const [hints, answer] = (await exchange(port, ['GET / HTTP/1.1', 'Host: a'])).split('\r\n\r\n');
    expect(hints).toBe(['HTTP/1.1 103 Early Hints', ...fields].join('\r\n'));
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK/);
  });

  it('rule 10: passes a few 103 on, not a storm of them', async () => {
    const one = `HTTP/1.1 103 Early Hints\r\nLink: </${'a'.repeat(4_000)}>; rel=preload\r\n\r\n`;
    const { url } = await rawUpstream((socket) => {
      socket.on('data', () => {
        socket.write(one.repeat(500));
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      });
    });
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    const answer = await exchange(port, ['GET / HTTP/1.1', 'Host: a']);
    expect(answer.endsWith('\r\n\r\nok')).toBe(true);
    const passed = answer.split('HTTP/1.1 103').length - 1;
    expect(passed).toBeGreaterThan(0);
    expect(passed).toBeLessThanOrEqual(16);
  });

  it('rule 11: trailers go on with a chunked answer', async () => {
    const { url } = await rawUpstream((socket) => {
      socket.on('data', () =>
        socket.write(
          'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 9\r\nHost: b\r\n\r\n',
        ),
      );
    });
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    const answer = await exchange(port, ['GET / HTTP/1.1', 'Host: a']);
    expect(answer).toMatch(/2\r\nok\r\n0\r\nX-Sum: 9\r\n\r\n$/);
  });

  it('rule 13: a request that comes back is answered 508; another router of the same name is no loop', async () => {
    const ring = await listening({}, (router) => router);
    ring.router.route('/*', { url: ring.url });
    expect((await fetch(`${ring.url}/`)).status).toBe(508);
    const { url } = await upstream((_request, response) => response.end('there'));
    const second = await listening({}, (router) => router.route('/*', { url }));
    const first = await listening({}, (router) => router.route('/*', { url: second.url }));
    const response = await fetch(`${first.url}/`);
    expect([response.status, await response.text()]).toEqual([200, 'there']);
  });

  it('the next request on a connection is answered after an upstream that did not want the body', async () => {
    const { url } = await upstream((request, response) => {
      if (request.method === 'GET') response.end('second');
      else response.writeHead(413, { connection: 'close' }).end('too long');
    });
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    const size = 400_000;
    const client = raw(port, `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`);
    client.socket.write('x'.repeat(100_000));
    await until(() => client.text().includes('too long'));
    client.socket.write('x'.repeat(size - 100_000));
    client.socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => client.text().endsWith('second'));
  });

  it('rule 3: a response of a handler is as long as it says, or is broken off', async () => {
    const of = (text: string, length: string): Response =>
      new Response(text, { headers: { 'content-length': length, 'transfer-encoding': 'gzip' } });
    const { port, finished } = await listening({}, (router) =>
      router
        .route('/right', { handle: () => of('hello', '5') })
        .route('/short', { handle: () => of('hello', '10') })
        .route('/none', { handle: () => new Response(null, { headers: { 'content-length': '10' } }) })
        .route('/long', { handle: () => of('helloHTTP/1.1 200 Smuggled\r\n\r\n', '5') })
        .route('/nonsense', { handle: () => of('hello', 'five') }),
    );
    const right = await exchange(port, ['GET /right HTTP/1.1', 'Host: a']);
    expect(right).toMatch(/\r\n\r\nhello$/);
    expect(right).not.toMatch(/transfer-encoding/i);
    expect(await exchange(port, ['HEAD /short HTTP/1.1', 'Host: a'])).toMatch(
      /content-length: 10\r\n.*\r\n\r\n$/s,
    );
    for (const path of ['short', 'none', 'long']) {
      // The connection would be kept if the answer were taken for a whole one.
      const answer = await raw(port, `GET /${path} HTTP/1.1\r\nHost: a\r\n\r\n`).closed;
      expect(answer).not.toContain('Smuggled');
    }
    await until(() => finished.length === 5);
    expect(finished.slice(2).every(({ error }) => error instanceof TypeError)).toBe(true);
    expect(statusOf(await exchange(port, ['GET /nonsense HTTP/1.1', 'Host: a']))).toBe(500);
  });

  it('rule 7: a 204 that says a length does not cost the client its connection', async () => {
    const { url } = await rawUpstream((socket) => {
      socket.on('data', () => socket.write('HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok'));
    });
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    const client = raw(port, 'GET /1 HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => client.text().endsWith('\r\n\r\n'));
    client.socket.write('GET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    expect((await client.closed).match(/^HTTP\/1\.1 204/gm)).toHaveLength(2);
  });

  it('rule 7: a 204 goes on without a length', async () => {
    const { url } = await rawUpstream((socket) => {
      socket.on('data', () =>
        socket.write('HTTP/1.1 204 No Content\r\nContent-Length: 5\r\nX-Stays: 1\r\n\r\n'),
      );
    });
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    const answer = await exchange(port, ['GET / HTTP/1.1', 'Host: a']);
    expect(answer).toMatch(/^HTTP\/1.1 204 .*x-stays: 1\r\n/is);
    expect(answer).not.toMatch(/content-length|transfer-encoding/i);
  });
});
