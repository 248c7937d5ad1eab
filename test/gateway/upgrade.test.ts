import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { RequestRouter } from '../../src/gateway/request-router.ts';
import {
  closeAfterEach,
  listening,
  onCleanup,
  pause,
  raw,
  rawUpstream,
  registryOf,
  statusOf,
  until,
  upstream,
} from './support.ts';

closeAfterEach();

const key = 'dGhlIHNhbXBsZSBub25jZQ==';
const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
const ask =
  `GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
  `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`;

/** An upstream that switches and then sends everything back in capitals. */
async function shouting(): Promise<{
  readonly url: string;
  readonly heads: string[];
  readonly ended: () => number;
}> {
  const heads: string[] = [];
  let ended = 0;
  const { url } = await rawUpstream((socket) => {
    let switched = false;
    socket.on('close', () => {
      ended += 1;
    });
    socket.on('data', (chunk) => {
      const text = chunk.toString('latin1');
      if (switched) return void socket.write(text.toUpperCase());
      switched = true;
      heads.push(text);
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\nhello`,
      );
    });
  });
  return { url, heads, ended: () => ended };
}

describe('rule 9: upgrades', () => {
  it('join the two connections after 101, and end together', async () => {
    const { url, heads, ended } = await shouting();
    const registry = registryOf({ chat: [url] });
    const { port, finished } = await listening({ registry }, (router) =>
      router.route('/chat', { service: 'chat', upgrade: true }),
    );
    const client = raw(port, `${ask}early`);
    await until(() => client.text().endsWith('helloEARLY'));
    expect(client.text()).toContain('HTTP/1.1 101 Switching Protocols\r\n');
    expect(client.text()).toContain(`Sec-WebSocket-Accept: ${accept}\r\n`);
    // Not a byte of the new protocol may arrive with the request.
    expect(heads[0]).toMatch(/\r\n\r\n$/);
    expect(heads[0]).toMatch(/connection: upgrade\r\nupgrade: websocket\r\n/i);
    client.socket.write('later');
    await until(() => client.text().endsWith('LATER'));
    client.socket.end();
    await until(() => ended() === 1 && finished.length === 1);
    expect(finished[0]).toMatchObject({ status: 101, bytes: 'helloEARLYLATER'.length });
    await until(() => registry.open === 0);
  });

  it('what guards say of the answer holds for a 101, too', async () => {
    const { url } = await shouting();
    const seen: number[] = [];
    const { port } = await listening({ name: 'edge' }, (router) =>
      router
        .use((exchange) => {
          exchange.response.set('x-added', 'ours');
          exchange.response.remove('server');
          exchange.filterAnswer((head) => {
            seen.push(head.status);
            head.headers.set('x-filtered', head.headers.get('x-filtered') ?? 'ours');
          });
        })
        .route('/chat', { url, upgrade: true }),
    );
    const client = raw(port, ask);
    await until(() => client.text().endsWith('hello'));
    const head = client.text().split('\r\n\r\n')[0]!;
    expect(head).toMatch(/^HTTP\/1\.1 101 /);
    expect(head).toContain(`Sec-WebSocket-Accept: ${accept}`);
    expect(head).toContain('x-added: ours');
    expect(head).toContain('x-filtered: ours');
    expect(head).toMatch(/^via: 1\.1 edge-/im);
    expect(seen).toEqual([101]);
  });

  it('a filter that throws at a 101 refuses it', async () => {
    const { url, ended } = await shouting();
    const { port } = await listening({}, (router) =>
      router
        .use((exchange) => {
          exchange.filterAnswer((head) => {
            if (head.status === 101) throw new Error('not this one');
          });
        })
        .route('/chat', { url, upgrade: true }),
    );
    expect(statusOf(await raw(port, ask).closed)).toBe(500);
    await until(() => ended() === 1);
  });

  it('an upstream that refuses is relayed as plain HTTP', async () => {
    const { url } = await upstream((_request, response) => response.writeHead(403).end('no'));
    const { port } = await listening({}, (router) => router.route('/chat', { url, upgrade: true }));
    const answer = await raw(port, `${ask}smuggled`).closed;
    expect(statusOf(answer)).toBe(403);
    expect(answer).toContain('no');
  });

  it('an upstream that switches to something else is a bad gateway', async () => {
    const { url } = await rawUpstream((socket) => {
      socket.on('data', () =>
        socket.write('HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n'),
      );
    });
    const { port } = await listening({}, (router) => router.route('/chat', { url, upgrade: true }));
    expect(statusOf(await raw(port, ask).closed)).toBe(502);
  });

  it('an upstream that says 200 to an upgrade is no tunnel (CVE-2024-23326)', async () => {
    const bytes: string[] = [];
    const { url } = await rawUpstream((socket) => {
      socket.on('data', (chunk) => {
        bytes.push(chunk.toString('latin1'));
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      });
    });
    const { port } = await listening({}, (router) => router.route('/chat', { url, upgrade: true }));
    const answer = await raw(port, `${ask}GET /admin HTTP/1.1\r\nHost: a\r\n\r\n`).closed;
    expect([statusOf(answer), bytes.length]).toEqual([200, 1]);
  });

  it('guards run first, and without `upgrade` the request is a plain one', async () => {
    const seen: (string | undefined)[] = [];
    const { url } = await upstream((request, response) => {
      seen.push(request.headers.upgrade);
      response.end('plain');
    });
    const { port } = await listening({}, (router) =>
      router.route('/chat', { url }).route('/closed', {
        url,
        upgrade: true,
        guards: [() => new Response('no token', { status: 401 })],
      }),
    );
    expect(await raw(port, ask).closed).toContain('plain');
    expect(seen).toEqual([undefined]);
    expect(statusOf(await raw(port, ask.replace('/chat', '/closed')).closed)).toBe(401);
    expect(statusOf(await raw(port, ask.replace('/chat', '/none')).closed)).toBe(404);
    expect(statusOf(await raw(port, ask.replace('/chat', '/%2f')).closed)).toBe(400);
    expect(seen).toHaveLength(1);
  });

  it.each([
    ['h2c with a body of known length', 'h2c', 'Content-Length: 5\r\n\r\nhello'],
    ['h2c with a chunked body', 'h2c', 'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n'],
    ['websocket with a body', 'websocket', 'Content-Length: 5\r\n\r\nhello'],
  ])(
    '%s is served as the plain request that it also is, and its connection kept',
    async (_name, protocol, rest) => {
      const seen: (string | undefined)[] = [];
      const { url } = await upstream((request, response) => {
        seen.push(request.headers.upgrade, request.headers['http2-settings'] as string | undefined);
        request.pipe(response);
      });
      const { port } = await listening({}, (router) => router.route('/chat', { url, upgrade: true }));
      const client = raw(
        port,
        `POST /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: ${protocol}\r\nHTTP2-Settings: x\r\n${rest}`,
      );
      await until(() => /hello(?:\r\n0\r\n\r\n)?$/.test(client.text()));
      client.socket.write('POST /chat HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nsecond');
      await until(() => client.text().includes('second'));
      expect(seen).toEqual([undefined, undefined, undefined, undefined]);
    },
  );

  it('HTTP/2 is never let through as an upgrade: its requests would pass the guards unseen', async () => {
    const seen: (string | undefined)[] = [];
    const { url } = await upstream((request, response) => {
      seen.push(request.headers.upgrade);
      response.end('plain');
    });
    const { port } = await listening({}, (router) => router.route('/chat', { url, upgrade: true }));
    for (const protocol of ['h2c', 'H2C', 'websocket, h2c', 'TLS/1.0', 'HTTP/2.0']) {
      const lines = ['GET /chat HTTP/1.1', 'Host: a', `Upgrade: ${protocol}`, 'Connection: Upgrade'];
      const client = raw(port, `${lines.join('\r\n')}\r\n\r\n`);
      await until(() => client.text().includes('plain'), protocol);
    }
    expect(seen).toEqual([undefined, undefined, undefined, undefined, undefined]);
  });

  it('a tunnel ends with the router', async () => {
    const { url, ended } = await shouting();
    const { port, router } = await listening({}, (it) => it.route('/chat', { url, upgrade: true }));
    const client = raw(port, ask);
    await until(() => client.text().endsWith('hello'));
    await router.stop({ timeout: 20 });
    await client.closed;
    await until(() => ended() === 1);
  });

  it('works behind a server of one’s own', async () => {
    const { url } = await shouting();
    const router = new RequestRouter().route('/chat', { url, upgrade: true });
    const server = createServer(router.node).on('upgrade', router.upgrade);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onCleanup(() => router.stop({ timeout: 0 }).then(() => server.close()));
    const client = raw((server.address() as AddressInfo).port, ask);
    await until(() => client.text().endsWith('hello'));
    client.socket.destroy();
  });

  it('a client that resets while the upstream thinks leaves nothing behind', async () => {
    let closed = 0;
    let arrived = 0;
    const { url } = await rawUpstream((socket) => {
      arrived += 1;
      socket.on('data', () => {});
      socket.on('close', () => {
        closed += 1;
      });
    });
    const { port, router } = await listening({}, (it) => it.route('/chat', { url, upgrade: true }));
    const socket = connect(port, '127.0.0.1', () => socket.write(ask));
    await until(() => arrived === 1);
    socket.resetAndDestroy();
    await until(() => closed === 1 && router.active === 0);
  });

  it.each(['destroy', 'end'] as const)(
    'a client that leaves by %s while the upstream thinks leaves nothing behind',
    async (leave) => {
      let closed = 0;
      let arrived = 0;
      const { url } = await rawUpstream((socket) => {
        arrived += 1;
        socket.on('data', () => {});
        socket.on('close', () => {
          closed += 1;
        });
      });
      const { port, router } = await listening({}, (it) => it.route('/chat', { url, upgrade: true }));
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () => socket.write(ask));
      onCleanup(() => socket.destroy());
      await until(() => arrived === 1);
      socket[leave]();
      await until(() => closed === 1 && router.active === 0);
    },
  );

  it('what the client says before the upstream has switched arrives after it has', async () => {
    const heard: string[] = [];
    let answer = (): void => {};
    const { url } = await rawUpstream((socket) => {
      socket.on('data', (chunk) => heard.push(chunk.toString('latin1')));
      answer = () =>
        void socket.write('HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    });
    const { port } = await listening({}, (it) => it.route('/chat', { url, upgrade: true }));
    const client = raw(port, `${ask}one,`);
    await until(() => heard.length === 1);
    const rest = `${'x'.repeat(300_000)},end`;
    client.socket.write(rest);
    await pause(30);
    expect(heard.length).toBe(1);
    answer();
    await until(() => heard.join('').endsWith(',end'));
    expect(heard.slice(1).join('')).toBe(`one,${rest}`);
  });
});

it('what an upstream says last reaches a client that takes it slowly', async () => {
  const size = 5_000_000;
  const { url } = await rawUpstream((socket) =>
    socket.once('data', () => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
      socket.end(Buffer.alloc(size, 'x'));
    }),
  );
  const { port } = await listening({}, (router) => router.route('/*', { url, upgrade: true }));
  const client = connect(port, '127.0.0.1');
  onCleanup(() => void client.destroy());
  client.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
  await new Promise((resolve) => setTimeout(resolve, 100));
  let length = 0;
  client.on('data', (chunk: Buffer) => {
    length += chunk.length;
  });
  await new Promise((resolve) => client.on('end', resolve));
  expect(length).toBeGreaterThan(size);
});
