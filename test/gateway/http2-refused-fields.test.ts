/** What Node's HTTP/2 does not take, or ends in ways of its own: none of it may end the process, or hang. */
import { connect, createServer } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { describe, expect, it } from 'vitest';
import { CircuitBreakers } from '../../src/resilience/circuit-breakers.ts';
import { ask, connected, http2Upstream } from './http2-stage.ts';
import { brokenUpload, opening } from './rules/smuggling-http2.ts';
import {
  closeAfterEach,
  exchange,
  listening,
  onCleanup,
  raw,
  rawUpstream,
  registryOf,
  statusOf,
  until,
  upstream,
} from './support.ts';

closeAfterEach();

describe('fields that HTTP/2 in Node takes once only', () => {
  it('go on as one when a client sends them twice, in a head and in trailers', async () => {
    const seen: unknown[] = [];
    const { url } = await http2Upstream((stream, headers) => {
      stream.on('trailers', (trailers) => seen.push([headers.referer, trailers.etag]));
      stream.resume().on('end', () => stream.respond({ ':status': 200 }, { endStream: true }));
    });
    const { port } = await listening({}, (router) => router.route('/*', { url, http2: true }));
    const head = [
      'POST / HTTP/1.1',
      'Host: a',
      'Referer: /a',
      'Referer: /b',
      'Transfer-Encoding: chunked',
      'Trailer: etag',
    ];
    const answer = await exchange(port, head, '3\r\nabc\r\n0\r\nETag: a\r\nETag: b\r\n\r\n');
    expect(statusOf(answer)).toBe(200);
    await until(() => seen.length === 1);
    expect(seen).toEqual([['/a, /b', 'a, b']]);
  });

  it.each([
    ['at once', ['ETag: a', 'ETag: b', 'Content-Length: 2'], 'ok', 'a, b'],
    ['without a body', ['ETag: a', 'ETag: b', 'Content-Length: 0'], '', 'a, b'],
    ['alike', ['ETag: a', 'ETag: a', 'Content-Length: 2'], 'ok', 'a'],
  ])('go on as one when an upstream sends them twice, %s', async (_when, fields, body, etag) => {
    const { url } = await rawUpstream((socket) =>
      socket.on('data', () => socket.write(`HTTP/1.1 200 OK\r\n${fields.join('\r\n')}\r\n\r\n${body}`)),
    );
    const { client, router } = await connected((it) => it.route('/*', { url }));
    const answer = await ask(client, { ':path': '/' });
    expect([answer.status, answer.body, answer.headers.etag]).toEqual([200, body, etag]);
    await until(() => router.active === 0);
  });

  it('and in the trailers of an answer', async () => {
    const { url } = await rawUpstream((socket) =>
      socket.on('data', () => {
        socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: etag\r\n\r\n2\r\nok\r\n');
        setImmediate(() => socket.write('0\r\nETag: a\r\nETag: b\r\n\r\n'));
      }),
    );
    const { client, router } = await connected((it) => it.route('/*', { url }));
    expect(await ask(client, { ':path': '/' })).toMatchObject({
      status: 200,
      body: 'ok',
      trailers: { etag: 'a, b' },
    });
    await until(() => router.active === 0);
  });

  it.each([0, 50])(
    'a status that HTTP/2 has not is a failure of the upstream, with a body after %i ms',
    async (wait) => {
      const { url } = await rawUpstream((socket) =>
        socket.on('data', () => {
          socket.write('HTTP/1.1 600 Odd\r\nContent-Length: 2\r\n\r\n');
          setTimeout(() => socket.write('ok'), wait);
        }),
      );
      const { client, router } = await connected((it) => it.route('/*', { url }));
      expect((await ask(client, { ':path': '/' })).status).toBe(502);
      await until(() => router.active === 0);
    },
  );
});

it('requests that Node refuses to send take no place, and open no breaker', async () => {
  const { url } = await http2Upstream((stream) => stream.respond({ ':status': 200 }, { endStream: true }));
  const instanceBreakers = new CircuitBreakers({ name: 'it', consecutiveFailures: 3, openFor: '1h' });
  const { port } = await listening(
    { registry: registryOf({ one: [url] }), limits: { connections: 1, waiting: 5 } },
    (router) => router.route('/*', { service: 'one', http2: true, instanceBreakers }),
  );
  for (let turn = 0; turn < 30; turn += 1) {
    await exchange(port, [
      'GET / HTTP/1.1',
      'Host: a',
      `X-Odd: ${turn % 2 === 0 ? '\x7f' : 'fine'}`,
      'Referer: a',
      'Referer: b',
    ]);
  }
  expect(statusOf(await exchange(port, ['GET / HTTP/1.1', 'Host: a']))).toBe(200);
});

it('an upstream that pushes is not listened to, and may break', async () => {
  const server = createServer();
  server.on('session', (session) => session.on('error', () => {}));
  server.on('stream', (stream) => {
    stream.on('error', () => {});
    if (stream.pushAllowed) {
      stream.pushStream({ ':path': '/p' }, (_error, pushed) => {
        pushed?.on('error', () => {});
        pushed?.respond({ ':status': 200 });
        pushed?.write('pushed');
      });
    }
    stream.respond({ ':status': 200 });
    stream.end('asked');
    setTimeout(() => stream.session?.destroy(), 20);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onCleanup(() => new Promise((resolve) => server.close(resolve)));
  const { port } = server.address() as { port: number };
  const { url: front } = await listening({}, (router) =>
    router.route('/*', { url: `http://127.0.0.1:${port}`, http2: true }),
  );
  expect(await (await fetch(front)).text()).toBe('asked');
  await new Promise((resolve) => setTimeout(resolve, 60));
});

it.each([0, 50])(
  'an answer that ends with its connection while its client takes nothing is whole (%i ms)',
  async (wait) => {
    const { url } = await rawUpstream((socket) =>
      socket.once('data', () => {
        socket.write(`HTTP/1.1 200 OK\r\n\r\n${'q'.repeat(20_000)}`);
        setTimeout(() => socket.end(), wait);
      }),
    );
    const { url: front, router } = await connected((it) => it.route('/*', { url }));
    const client = connect(front, { settings: { initialWindowSize: 1_000 } });
    onCleanup(() => client.destroy());
    const stream = client.request({ ':path': '/' });
    let length = 0;
    await new Promise((resolve) => setTimeout(resolve, 200));
    stream.on('data', (chunk: Buffer) => {
      length += chunk.length;
    });
    await new Promise((resolve) => stream.on('end', resolve));
    expect([length, stream.rstCode]).toEqual([20_000, 0]);
    await until(() => router.active === 0);
  },
);

it.each([false, true])(
  'an upload that its client resets does not arrive as a whole one, HTTP/2: %s',
  async (http2) => {
    const state = { arrived: false, ended: false, broken: false };
    const { url } = http2
      ? await http2Upstream((stream) => {
          stream.on('data', () => {
            state.arrived = true;
          });
          stream.on('end', () => {
            state.ended = stream.rstCode === 0 && !stream.aborted;
          });
          stream.on('close', () => {
            state.broken = stream.rstCode !== 0;
          });
        })
      : await upstream((request) => {
          request.on('data', () => {
            state.arrived = true;
          });
          request.on('end', () => {
            state.ended = true;
          });
          request.on('close', () => {
            state.broken = !request.complete;
          });
          request.on('error', () => {});
        });
    const { url: front } = await connected((router) => router.route('/*', { url, http2 }));
    const { begin, reset } = brokenUpload(1, Buffer.alloc(10_000, 'x'));
    const client = raw(Number(new URL(front).port), Buffer.concat([opening, begin]).toString('latin1'));
    await until(() => state.arrived);
    client.socket.write(reset);
    await until(() => state.broken);
    expect(state.ended).toBe(false);
  },
);

it('a stop closes connections on which nobody has said anything', async () => {
  const { port, router } = await listening({}, (it) => it.route('/*', { handle: () => new Response('ok') }), {
    http2: true,
  });
  const silent = connectTcp(port, '127.0.0.1');
  let closed = false;
  silent
    .on('error', () => {})
    .on('close', () => {
      closed = true;
    });
  await new Promise((resolve) => silent.on('connect', resolve));
  await new Promise((resolve) => setTimeout(resolve, 20));
  await router.stop({ timeout: 0 });
  await until(() => closed);
});
