/** nginx behind the router, and before it. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { request as rawRequest } from 'node:http';
import { gunzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import {
  closeAfterEach,
  listening,
  onCleanup,
  type TestRouter,
  until,
  upstream,
} from '../gateway/support.ts';
import { describeServer } from '../servers/describe-server.ts';
import { letters, nginx } from '../servers/nginx.ts';

closeAfterEach();

const digest = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');

describeServer(nginx, (server) => {
  const at = (index: number): string => `http://127.0.0.1:${server().site?.ports[index]}`;

  /** A router with nginx behind it, by one version of HTTP or the other. */
  const before = (http2: boolean): Promise<TestRouter> =>
    listening({}, (router) => router.route('/*', { url: at(http2 ? 1 : 0), http2 }));

  /** A router where nginx passes what it gets on to. */
  const behind = (declare: Parameters<typeof listening>[1]): Promise<TestRouter> =>
    listening({ trustedProxies: ['127.0.0.1'] }, declare, { port: server().site!.ports[4]! });

  for (const http2 of [false, true]) {
    const name = http2 ? 'as an upstream by HTTP/2' : 'as an upstream by HTTP/1.1';

    it(`${name}: files, ranges and conditions`, async () => {
      const { url } = await before(http2);
      const whole = await fetch(`${url}/files/letters.txt`, { headers: { 'accept-encoding': 'identity' } });
      expect([whole.status, whole.headers.get('content-length')]).toEqual([200, '27000']);
      expect(await whole.text()).toBe(letters);
      const etag = whole.headers.get('etag')!;
      const again = await fetch(`${url}/files/letters.txt`, { headers: { 'if-none-match': etag } });
      expect([again.status, await again.text()]).toEqual([304, '']);
      const part = await fetch(`${url}/files/letters.txt`, {
        headers: { range: 'bytes=25-28', 'if-range': etag },
      });
      expect([part.status, part.headers.get('content-range'), await part.text()]).toEqual([
        206,
        'bytes 25-28/27000',
        'z\nab',
      ]);
      const beyond = await fetch(`${url}/files/letters.txt`, { headers: { range: 'bytes=99999-' } });
      expect([beyond.status, beyond.headers.get('content-range')]).toEqual([416, 'bytes */27000']);
      await beyond.text();
      const head = await fetch(`${url}/files/letters.txt`, {
        method: 'HEAD',
        headers: { 'accept-encoding': 'identity' },
      });
      expect([head.status, head.headers.get('content-length')]).toEqual([200, '27000']);
      const missing = await fetch(`${url}/files/none`);
      expect([missing.status, (await missing.text()).includes('404')]).toEqual([404, true]);
    });

    it(`${name}: chunks and its gzip go through as they are`, async () => {
      const { url } = await before(http2);
      const chunked = await fetch(`${url}/chunked.txt`, { headers: { 'accept-encoding': 'identity' } });
      expect([chunked.headers.get('content-length'), await chunked.text()]).toEqual([null, letters]);
      const zipped = rawRequest(`${url}/files/letters.txt`, { headers: { 'accept-encoding': 'gzip' } }).end();
      const [response] = await once(zipped, 'response');
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk as Buffer);
      // text/plain is not among what nginx compresses by itself, so both are right as long as they agree.
      const body = Buffer.concat(chunks);
      const plain = response.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body;
      expect(plain.toString()).toBe(letters);
    });

    it(`${name}: uploads, redirects and answers without a body`, async () => {
      const { url } = await before(http2);
      const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * 7) % 256));
      const path = `/uploads/${http2 ? 'two' : 'one'}/file.bin`;
      const put = await fetch(url + path, { method: 'PUT', body: bytes });
      expect(put.status).toBe(201);
      const got = await fetch(url + path);
      expect(digest(new Uint8Array(await got.arrayBuffer()))).toBe(digest(bytes));
      const gone = await fetch(url + path, { method: 'DELETE' });
      expect([gone.status, await gone.text()]).toEqual([204, '']);
      const moved = await fetch(`${url}/moved`, { redirect: 'manual' });
      expect([moved.status, await moved.text().then((text) => text.includes('301'))]).toEqual([301, true]);
      const many = await Promise.all(
        Array.from({ length: 300 }, () => fetch(`${url}/ready`).then(({ status }) => status)),
      );
      expect(new Set(many)).toEqual(new Set([204]));
    });
  }

  for (const [name, port] of [
    ['by HTTP/1.0', 2],
    ['by HTTP/1.1', 3],
  ] as const) {
    it(`before the router ${name}: the client behind it is believed, bodies go both ways`, async () => {
      const echo = await upstream((request, response) => {
        const hash = createHash('sha256');
        request.on('data', (chunk: Buffer) => hash.update(chunk));
        request.on('end', () => response.end(`${request.headers.via} ${hash.digest('hex')}`));
      });
      const { finished } = await behind((router) => router.route('/*', { url: echo.url }));
      const bytes = Buffer.alloc(500_000, 'nginx ');
      const response = await fetch(`${at(port)}/up`, {
        method: 'POST',
        body: bytes,
        headers: { 'x-forwarded-for': '203.0.113.9' },
      });
      const [via, , hash] = (await response.text()).split(' ');
      expect([via, hash]).toEqual([port === 2 ? '1.0' : '1.1', digest(bytes)]);
      // Both hops before us are on this machine and trusted, so the first that is not is the client.
      await until(() => finished.length === 1);
      expect(finished[0]).toMatchObject({ clientAddress: '203.0.113.9', status: 200 });
    });

    it(`before the router ${name}: an answer without a length, and one that breaks off`, async () => {
      const stream = await upstream((request, response) => {
        response.write('first ');
        if (request.url === '/cut') setImmediate(() => response.destroy());
        else response.end('second');
      });
      await behind((router) => router.route('/*', { url: stream.url }));
      expect(await fetch(`${at(port)}/whole`).then((response) => response.text())).toBe('first second');
      if (port === 3) {
        await expect(fetch(`${at(port)}/cut`).then((response) => response.text())).rejects.toThrow();
      }
    });
  }

  it('before the router: connections are kept, and none of many requests fails', async () => {
    const echo = await upstream((request, response) => response.end(request.url));
    const { finished } = await behind((router) => router.route('/*', { url: echo.url }));
    const asked = Array.from({ length: 400 }, (_, index) => `/n/${index}`);
    const told = await Promise.all(
      asked.map((path) => fetch(at(3) + path).then((response) => response.text())),
    );
    expect(told).toEqual(asked);
    await until(() => finished.length === 400);
  });

  it('before the router: a WebSocket', async () => {
    const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    onCleanup(() => void sockets.close());
    sockets.on('connection', (socket) =>
      socket.on('message', (data) => socket.send(`heard ${String(data)}`)),
    );
    await once(sockets, 'listening');
    const { port } = sockets.address() as { readonly port: number };
    await behind((router) => router.route('/*', { url: `http://127.0.0.1:${port}`, upgrade: true }));
    const client = new WebSocket(at(3).replace('http', 'ws'));
    onCleanup(() => client.terminate());
    await once(client, 'open');
    client.send('hello');
    const [answer] = await once(client, 'message');
    expect(String(answer)).toBe('heard hello');
  });
});
