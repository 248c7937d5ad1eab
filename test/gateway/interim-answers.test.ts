/** Interim answers (1xx) of upstreams, where the tests of framing do not look. */
import { describe, expect, it } from 'vitest';
import { ask, connected, http2Upstream } from './http2-stage.ts';
import { closeAfterEach, exchange, listening, rawUpstream, statusOf } from './support.ts';

closeAfterEach();

describe('interim answers', () => {
  it.each([false, true])(
    'without end are a failure of an upstream over HTTP/2, and of nothing else; to HTTP/2: %s',
    async (toHttp2) => {
      const { url } = await http2Upstream((stream, headers) => {
        const count = headers[':path'] === '/storm' ? 1_001 : 3;
        for (let sent = 0; sent < count; sent += 1) stream.additionalHeaders({ ':status': 102 });
        stream.respond({ ':status': 200 });
        stream.end('ok');
      });
      const { client, url: front } = await connected((router) => router.route('/*', { url, http2: true }));
      const port = Number(new URL(front).port);
      const get = async (path: string): Promise<number | undefined> =>
        toHttp2
          ? (await ask(client, { ':path': path })).status
          : Number(
              (await exchange(port, [`GET ${path} HTTP/1.1`, 'Host: a'])).match(
                /HTTP\/1\.1 (?!102)(\d+)/,
              )?.[1],
            );
      expect([await get('/storm'), await get('/calm')]).toEqual([502, 200]);
    },
  );

  it('have nothing that guards keep from the client', async () => {
    const { url } = await rawUpstream((socket) => {
      socket.on('data', () => {
        socket.write('HTTP/1.1 103 Early Hints\r\nServer: secret\r\nLink: </a>\r\n\r\n');
        socket.write('HTTP/1.1 200 OK\r\nServer: secret\r\nContent-Length: 2\r\n\r\nok');
      });
    });
    const { port } = await listening({}, (router) =>
      router.use((it) => it.response.remove('server')).route('/*', { url }),
    );
    const answer = await exchange(port, ['GET / HTTP/1.1', 'Host: a']);
    expect(answer).toContain('103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK');
    expect(answer).not.toContain('secret');
  });

  it('go on sixteen times for a request, however often it is made', async () => {
    const { url } = await rawUpstream((socket) => {
      socket.on('data', () => {
        socket.write('HTTP/1.1 102 Processing\r\n\r\n'.repeat(10));
        socket.write('HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n');
      });
    });
    const { port } = await listening({}, (router) =>
      router.route('/*', { url, retries: { attempts: 3, backoff: 1 } }),
    );
    const answer = await exchange(port, ['GET / HTTP/1.1', 'Host: a']);
    expect(answer.split('HTTP/1.1 102').length - 1).toBe(16);
    expect(answer).toContain('HTTP/1.1 503');
  });

  it('a 101 that nobody asked for is none', async () => {
    const { url } = await rawUpstream((socket) => {
      socket.on('data', () =>
        socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 200 OK\r\n\r\n'),
      );
    });
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    expect(statusOf(await exchange(port, ['GET / HTTP/1.1', 'Host: a']))).toBe(502);
  });
});
