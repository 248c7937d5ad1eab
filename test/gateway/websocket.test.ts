import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { type RawData, WebSocket, WebSocketServer } from 'ws';
import { RequestRouter } from '../../src/gateway/request-router.ts';
import { closeAfterEach, listening, onCleanup, rawUpstream, registryOf, until } from './support.ts';

closeAfterEach();

/** A router in front of a WebSocket server that sends back what it is sent. */
async function echoing(): Promise<{
  url: string;
  server: WebSocketServer;
  registry: ReturnType<typeof registryOf>;
}> {
  const http = createServer((_request, response) => response.end('plain'));
  const server = new WebSocketServer({ server: http, path: '/chat', perMessageDeflate: true });
  server.on('connection', (socket) => {
    socket.on('message', (data: RawData, binary) => socket.send(data, { binary }));
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  onCleanup(() => {
    for (const client of server.clients) client.terminate();
    http.closeAllConnections();
    return new Promise((resolve) => http.close(resolve));
  });
  const registry = registryOf({ chat: [`http://127.0.0.1:${(http.address() as AddressInfo).port}`] });
  const router = new RequestRouter({ registry })
    .route('/chat', { service: 'chat', upgrade: true })
    .route('/plain', { service: 'chat' });
  const { url } = await router.listen({ port: 0, host: '127.0.0.1', http2: true });
  onCleanup(() => router.stop({ timeout: 0 }));
  return { url, server, registry };
}

async function openWebSocket(url: string): Promise<WebSocket> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/chat`);
  onCleanup(() => socket.terminate());
  await once(socket, 'open');
  return socket;
}

async function echo(socket: WebSocket, data: string | Buffer): Promise<Buffer> {
  socket.send(data);
  const [answer] = (await once(socket, 'message')) as [Buffer];
  return answer;
}

describe('WebSocket through the router, by ws', () => {
  it('text, a long binary message, ping and close go through', async () => {
    const { url, registry } = await echoing();
    const socket = await openWebSocket(url);
    expect(String(await echo(socket, 'hello'))).toBe('hello');
    const long = Buffer.alloc(3_000_000, 'ab');
    expect((await echo(socket, long)).equals(long)).toBe(true);
    socket.ping('p');
    const [pong] = (await once(socket, 'pong')) as [Buffer];
    expect(String(pong)).toBe('p');
    socket.close(4_001, 'bye');
    const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
    expect([code, String(reason)]).toEqual([4_001, 'bye']);
    await until(() => registry.open === 0);
    expect(registry.outcomes.map(({ outcome }) => outcome)).toEqual(['success']);
  });

  it('the end of either side is the end of the other', async () => {
    const { url, server } = await echoing();
    const first = await openWebSocket(url);
    first.terminate();
    await until(() => server.clients.size === 0, 'the upstream to see the client go');
    const second = await openWebSocket(url);
    for (const client of server.clients) client.terminate();
    await once(second, 'close');
  });
});

/** A masked text frame of less than 126 bytes (RFC 6455, 5.2). */
function frame(text: string): Buffer {
  const mask = Buffer.of(1, 2, 3, 4);
  const body = Buffer.from(text).map((byte, at) => byte ^ mask[at % 4]!);
  return Buffer.concat([Buffer.of(0x81, 0x80 | body.length), mask, body]);
}

describe('WebSocket over HTTP/2 (RFC 8441)', () => {
  function extendedConnect(url: string, path: string, protocol = 'websocket') {
    const session = connect(url);
    session.on('error', () => {});
    onCleanup(() => session.destroy());
    return new Promise<{ status: number; stream: ReturnType<typeof session.request>; headers: object }>(
      (resolve) => {
        session.once('remoteSettings', (settings) => {
          expect(settings.enableConnectProtocol).toBe(true);
          const stream = session.request(
            { ':method': 'CONNECT', ':protocol': protocol, ':path': path, 'sec-websocket-version': '13' },
            { endStream: false },
          );
          stream.on('error', () => {});
          stream.on('response', (headers) =>
            resolve({ status: Number(headers[':status']), stream, headers }),
          );
        });
      },
    );
  }

  it('a stream carries the frames, and ends with the upstream', async () => {
    const { url, server } = await echoing();
    const { status, stream, headers } = await extendedConnect(url, '/chat');
    expect([status, Object.keys(headers).includes('sec-websocket-accept')]).toEqual([200, false]);
    stream.write(frame('over two'));
    const [answer] = (await once(stream, 'data')) as [Buffer];
    expect(answer.subarray(2).toString()).toBe('over two');
    for (const client of server.clients) client.terminate();
    await once(stream, 'close');
  });

  it('a stream that is reset ends the connection to the upstream', async () => {
    const { url, server } = await echoing();
    const { stream } = await extendedConnect(url, '/chat');
    await until(() => server.clients.size === 1);
    stream.close();
    await until(() => server.clients.size === 0);
  });

  it('is never told of a success where there is no tunnel', async () => {
    const { url } = await echoing();
    expect((await extendedConnect(url, '/plain')).status).toBe(501);
    expect((await extendedConnect(url, '/nowhere')).status).toBe(404);
  });

  it.each(['h2c', 'H2C', 'HTTP/2.0', 'TLS/1.0'])(
    'never carries %s: its requests would pass the guards unseen',
    async (protocol) => {
      const heads: string[] = [];
      const upstream = await rawUpstream((socket) => {
        socket.on('data', (chunk) => {
          heads.push(chunk.toString('latin1'));
          socket.write(`HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`);
        });
      });
      const { url } = await listening(
        {},
        (router) => router.route('/chat', { url: upstream.url, upgrade: true }),
        { http2: true },
      );
      const { status, stream } = await extendedConnect(url, '/chat', protocol);
      expect(status).toBeGreaterThanOrEqual(400);
      stream.destroy();
      expect(heads.join('')).not.toMatch(/upgrade/i);
    },
  );
});
