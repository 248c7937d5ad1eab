/** What comes after a request's body, where no guard looks: it must say nothing that a guard decides. */
import { connect, createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { RequestRouter } from '../../../src/gateway/request-router.ts';
import { closeAfterEach, listening, onCleanup, raw } from '../support.ts';

closeAfterEach();

/** An upstream that speaks HTTP/2, so that trailers reach it; the names of those that did. */
async function trailerUpstream(): Promise<{ readonly url: string; readonly names: string[] }> {
  const names: string[] = [];
  const server = createServer();
  server.on('session', (session) => onCleanup(() => session.destroy()));
  server.on('stream', (stream) => {
    stream.on('error', () => {});
    stream.on('trailers', (_fields: unknown, _flags: unknown, list: string[]) => {
      names.push(...list.filter((_text, index) => index % 2 === 0));
    });
    stream.on('end', () => {
      if (stream.destroyed) return;
      stream.respond({ ':status': 200 });
      stream.end('ok');
    });
    stream.resume();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onCleanup(() => new Promise((resolve) => server.close(resolve)));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, names };
}

/** A real length is not among them: parsers refuse that by themselves. */
const lies: readonly string[] = [
  'X-User',
  'x_user',
  'X_Forwarded_For',
  'X-Forwarded-For',
  'X-Real-IP',
  'x_real_ip',
  'Forwarded',
  'X-Request-Timeout',
  'X_Request_Timeout',
  'Content_Length',
  'Transfer_Encoding',
  'Expect',
  'Via',
  'Authorization',
  'Proxy_Authorization',
  'X-Said-By-Guard',
  'x_said_by_guard',
];

const declare = (url: string) => (router: RequestRouter) =>
  router.use((it) => it.headers.set('X-Said-By-Guard', 'ann')).route('/*', { url, http2: true });

const options = { identityHeaders: ['X-User'] };

describe('rule 11, probe 12: an identity does not come in by a trailer', () => {
  it('by HTTP/1.1, to an upstream that takes trailers', async () => {
    const { url, names } = await trailerUpstream();
    const { port } = await listening(options, declare(url), { http2: true });
    const trailers = [...lies, 'X-Sum'].map((name) => `${name}: 1\r\n`).join('');
    const head =
      'POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nX-Own: 1\r\n\r\n';
    const answer = await raw(port, `${head}2\r\nhi\r\n0\r\n${trailers}\r\n`).closed;
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(names).toEqual(['x-sum']);
  });

  it('by HTTP/2', async () => {
    const { url, names } = await trailerUpstream();
    const { url: router } = await listening(options, declare(url), { http2: true });
    const client = connect(router);
    client.on('error', () => {});
    onCleanup(() => client.destroy());
    const status = await new Promise((resolve) => {
      const stream = client.request({ ':method': 'POST', ':path': '/' }, { waitForTrailers: true });
      const fields = [...lies, 'x-sum'].map((name) => [name.toLowerCase(), '1'] as const);
      stream.on('wantTrailers', () => stream.sendTrailers(Object.fromEntries(fields)));
      stream.on('response', (headers) => resolve(headers[':status']));
      stream.on('error', resolve);
      stream.resume();
      stream.end('hi');
    });
    expect(status).toBe(200);
    expect(names).toEqual(['x-sum']);
  });
});
