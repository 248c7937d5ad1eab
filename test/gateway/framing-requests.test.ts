import { describe, expect, it } from 'vitest';
import {
  closeAfterEach,
  exchange,
  listening,
  raw,
  rawUpstream,
  registryOf,
  statusOf,
  upstream,
} from './support.ts';

closeAfterEach();

/** An upstream that answers with the head it got, as lines. */
async function mirror(): Promise<{ readonly url: string; readonly heads: string[] }> {
  const heads: string[] = [];
  const { url } = await rawUpstream((socket) => {
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      if (end === -1) return;
      heads.push(text.slice(0, end));
      text = '';
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    });
  });
  return { url, heads };
}

describe('framing, on raw sockets', () => {
  it('rule 1: hop-by-hop fields end here in both directions, before the proxy adds its own', async () => {
    const heads: string[] = [];
    const { url } = await rawUpstream((socket) => {
      socket.on('data', (chunk) => {
        heads.push(chunk.toString('latin1'));
        socket.write(
          'HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\n' +
            'Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nTrailer: X\r\nX-Stays: CaSe\r\nContent-Length: 2\r\n\r\nok',
        );
      });
    });
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    const client = raw(
      port,
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: x-mine, close, Via\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\n' +
        'Proxy-Connection: x\r\nProxy-Authorization: Basic x\r\nTE: gzip\r\nTrailer: y\r\nHTTP2-Settings: z\r\n' +
        'X-Stays: CaSe\r\n\r\n',
    );
    const answer = await client.closed;
    expect(heads[0]).not.toMatch(/x-mine|keep-alive: timeout|proxy-|\bte:|trailer|http2/i);
    expect(heads[0]).toContain('X-Stays: CaSe\r\n');
    // The client named Via in Connection; ours must be there all the same.
    expect(heads[0]).toMatch(/\r\nVia: 1\.1 router-/);
    expect(answer).not.toMatch(/x-hop|timeout=9|proxy-auth|upgrade|trailer/i);
    expect(answer).toContain('X-Stays: CaSe\r\n');
    expect(answer).toMatch(/\r\nVia: 1\.1 router-/);
  });

  it.each([
    ['trailers', 'trailers'],
    ['gzip;q=0.5, Trailers', 'trailers'],
    ['trailers;q=0, deflate', undefined],
    ['gzip', undefined],
  ])('rule 1: of TE: %s goes on %s', async (value, expected) => {
    const { url, heads } = await mirror();
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    const head = `GET / HTTP/1.1\r\nHost: a\r\nConnection: close, TE\r\nTE: ${value}\r\n\r\n`;
    expect(statusOf(await raw(port, head).closed)).toBe(200);
    expect(/\r\nte: (.*)/i.exec(heads[0]!)?.[1]).toBe(expected);
  });

  it.each(['gzip, chunked', 'gzip', 'chunked, chunked', 'xchunked', 'identity'])(
    'rule 1: an answer in the transfer coding %s is no answer',
    async (coding) => {
      const { url } = await rawUpstream((socket) => {
        socket.on('data', () =>
          socket.end(`HTTP/1.1 200 OK\r\nTransfer-Encoding: ${coding}\r\n\r\n2\r\nok\r\n0\r\n\r\n`),
        );
      });
      const registry = registryOf({ odd: [url] });
      const { port } = await listening({ registry }, (router) => router.route('/*', { service: 'odd' }));
      const answer = await exchange(port, ['GET / HTTP/1.1', 'Host: a']);
      expect([statusOf(answer), registry.outcomes.map(({ outcome }) => outcome)]).toEqual([502, ['failure']]);
    },
  );

  it('rule 2: Connection may not name Content-Length and its like', async () => {
    const { url, heads } = await mirror();
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    for (const name of ['Content-Length', 'Host', 'Cookie', 'X-Forwarded-For']) {
      const answer = await raw(
        port,
        `POST / HTTP/1.1\r\nHost: a\r\nConnection: ${name}\r\nContent-Length: 0\r\n\r\n`,
      ).closed;
      expect(statusOf(answer)).toBe(400);
      expect(answer).toContain('Connection: close');
    }
    expect(heads).toEqual([]);
  });

  it.each(['DELETE', 'OPTIONS', 'GET', 'POST', 'PATCH'])(
    'rule 3: %s keeps the framing that it came with',
    async (method) => {
      const seen: (string | undefined)[][] = [];
      const bodies: string[] = [];
      const { url } = await upstream((request, response) => {
        const { 'content-length': length, 'transfer-encoding': coding } = request.headers;
        seen.push([length, coding]);
        let body = '';
        request.on('data', (chunk) => {
          body += chunk;
        });
        request.on('end', () => {
          bodies.push(body);
          response.end();
        });
      });
      const { port } = await listening({}, (router) => router.route('/*', { url }));
      await exchange(port, [`${method} / HTTP/1.1`, 'Host: a', 'Content-Length: 5'], 'hello');
      await exchange(
        port,
        [`${method} / HTTP/1.1`, 'Host: a', 'Transfer-Encoding: chunked'],
        '5\r\nhello\r\n0\r\n\r\n',
      );
      await exchange(port, [`${method} / HTTP/1.1`, 'Host: a']);
      expect(seen.slice(0, 2)).toEqual([
        ['5', undefined],
        [undefined, 'chunked'],
      ]);
      expect(['0', undefined]).toContain(seen[2]![0]);
      expect(bodies).toEqual(['hello', 'hello', '']);
    },
  );

  it.each([
    ['two Hosts', 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400],
    ['no Host', 'GET / HTTP/1.1\r\n\r\n', 400],
    ['an empty Host', 'GET / HTTP/1.1\r\nHost:\r\n\r\n', 400],
    ['a Host with a path', 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n', 400],
    ['a Host with a user', 'GET / HTTP/1.1\r\nHost: a@b\r\n\r\n', 400],
    ['a Host with a space', 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n', 400],
    ['an absolute target with a user', 'GET http://u@b/ HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    [
      'Transfer-Encoding on 1.0',
      'POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
    ],
    ['xchunked', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n', 400],
    ['gzip, chunked', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n', 400],
    [
      'chunked, chunked',
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n',
      400,
    ],
    [
      'CL and TE',
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
    ],
    ['two lengths', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx', 400],
    ['Transfer_Encoding', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer_Encoding: chunked\r\n\r\n', 400],
    ['content_length', 'POST / HTTP/1.1\r\nHost: a\r\ncontent_length: 5\r\nContent-Length: 0\r\n\r\n', 400],
    ['a space before the colon', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n', 400],
    ['HTTP/2.0', 'GET / HTTP/2.0\r\nHost: a\r\n\r\n', 505],
    ['HTTP/0.9', 'GET / HTTP/0.9\r\nHost: a\r\n\r\n', 505],
    ['a fragment', 'GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['an expectation nobody can meet', 'GET / HTTP/1.1\r\nHost: a\r\nExpect: gold\r\n\r\n', 417],
  ])('rule 4: refuses %s and closes', async (_name, request, status) => {
    const { url, heads } = await mirror();
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    const answer = await raw(port, request).closed;
    expect(statusOf(answer)).toBe(status);
    expect(heads).toEqual([]);
  });

  it('rule 4: counts header fields instead of losing those past a thousand', async () => {
    const { url, heads } = await mirror();
    const { port } = await listening({ limits: { headerBytes: 65_536, headers: 999 } }, (router) =>
      router.route('/*', { url }),
    );
    const many = (count: number): string => 'a:\r\n'.repeat(count);
    expect(
      statusOf(await raw(port, `GET / HTTP/1.1\r\nHost: a\r\n${many(3_000)}X-Auth: 1\r\n\r\n`).closed),
    ).toBe(431);
    expect(heads).toEqual([]);
    const few = await raw(
      port,
      `GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${many(990)}X-Auth: 1\r\n\r\n`,
    ).closed;
    expect(statusOf(few)).toBe(200);
    expect(heads[0]).toContain('X-Auth: 1');
  });

  it('rule 4: the authority of an absolute target takes the place of Host', async () => {
    const { url, heads } = await mirror();
    const { port } = await listening({}, (router) =>
      router.route('orders.example/*', { url, preserveHost: true }),
    );
    const answer = await exchange(port, ['GET http://Orders.Example/x?y HTTP/1.1', 'Host: other']);
    expect(statusOf(answer)).toBe(200);
    expect(heads[0]).toMatch(/^GET \/x\?y HTTP\/1\.1\r\nhost: Orders\.Example\r\n/);
    expect(statusOf(await exchange(port, ['GET http://orders.example HTTP/1.1', 'Host: x']))).toBe(200);
  });

  it('rule 1: a client cannot have a field of a guard removed by naming it in Connection (CVE-2026-33805)', async () => {
    const { url, heads } = await mirror();
    const seen: (string | undefined)[] = [];
    const { port } = await listening({ identityHeaders: ['x-user-id'] }, (router) =>
      router
        .use(({ headers }) => {
          seen.push(headers.get('x-own'));
          headers.set('x-user-id', '42');
        })
        .route('/*', { url }),
    );
    const head = 'GET / HTTP/1.1\r\nHost: a\r\nX-Own: 1\r\nConnection: close, X-User-Id, X-Own\r\n\r\n';
    expect(statusOf(await raw(port, head).closed)).toBe(200);
    expect(heads[0]).toContain('x-user-id: 42');
    // Guards see what the upstream will see.
    expect(seen).toEqual([undefined]);
    expect(heads[0]).not.toMatch(/x-own/i);
  });

  it.each(['Content_Length', 'X_Forwarded_For', 'Host'])(
    'rule 2: Connection may not name %s',
    async (name) => {
      const { url } = await mirror();
      const { port } = await listening({}, (router) => router.route('/*', { url }));
      const head = `GET / HTTP/1.1\r\nHost: a\r\nConnection: close, ${name}\r\n\r\n`;
      expect(statusOf(await raw(port, head).closed)).toBe(400);
    },
  );
});
