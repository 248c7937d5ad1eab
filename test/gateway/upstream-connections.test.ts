import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { TimeoutError } from '../../src/core/errors.ts';
import { ManualClock } from '../../src/testing/manual-clock.ts';
import {
  closeAfterEach,
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

const get = (path = '/'): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

describe('connections to an upstream', () => {
  it('the one that was used last is used next', async () => {
    const held: ServerResponse[] = [];
    const { url, server } = await upstream((request, response) => {
      response.setHeader('port', String(request.socket.remotePort));
      if (request.url === '/held') held.push(response);
      else response.end();
    });
    let connections = 0;
    server.on('connection', () => {
      connections += 1;
    });
    const { url: front } = await listening({}, (router) => router.route('/*', { url }));
    const together = [1, 2, 3].map(() => fetch(`${front}/held`));
    await until(() => held.length === 3);
    const last = held.pop()!;
    for (const response of held) response.end();
    await Promise.all(together.slice(0, 2));
    last.end();
    const ports = (await Promise.all(together)).map(({ headers }) => headers.get('port'));
    for (let turn = 0; turn < 20; turn += 1) {
      const response = await fetch(front);
      await response.text();
      expect(response.headers.get('port')).toBe(last.getHeader('port'));
    }
    expect([new Set(ports).size, connections]).toEqual([3, 3]);
  });

  it('are bounded for an origin, whatever its routes and the ones before them say of connecting', async () => {
    const held: ServerResponse[] = [];
    const { url, server } = await upstream((_request, response) => void held.push(response));
    let connections = 0;
    server.on('connection', () => {
      connections += 1;
    });
    const limits = { connections: 2, waiting: 20 };
    const { router, url: front } = await listening({ limits }, (it) => it.route('/first', { url }));
    const answers: Promise<Response>[] = [];
    for (const connect of [100, 200, 300, 400]) {
      router.replace(['/a', '/b'].map((pattern) => ({ pattern, url, timeouts: { connect: connect * 100 } })));
      answers.push(fetch(`${front}/a`), fetch(`${front}/b`));
      await until(() => held.length === 2);
    }
    for (let answered = 0; answered < answers.length; answered += 1) {
      await until(() => held.length > 0);
      expect(connections).toBeLessThanOrEqual(2);
      held.shift()!.end();
    }
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(connections).toBe(2);
  });

  it('are made within the limit of the request for which they are made', async () => {
    // Takes connections, and never says a word of TLS.
    const silent = await rawUpstream((socket) => void socket.resume());
    const url = silent.url.replace('http:', 'https:');
    const { url: front } = await listening({}, (router) =>
      router
        .route('/patient', { url, timeouts: { connect: 0 } })
        .route('/hasty', { url, timeouts: { connect: 20 } }),
    );
    let settled = false;
    const over = (): void => {
      settled = true;
    };
    fetch(`${front}/patient`).then(over, over);
    expect([(await fetch(`${front}/hasty`)).status, settled]).toEqual([504, false]);
  });

  it('are made within that limit over HTTP/2, too, and what keeps them from being made is told', async () => {
    const silent = await rawUpstream((socket) => void socket.resume());
    const rude = await rawUpstream((socket) => void socket.destroy());
    const errors: unknown[] = [];
    const { url: front, router } = await listening({}, (it) =>
      it
        .route('/hasty', {
          url: silent.url.replace('http:', 'https:'),
          http2: true,
          timeouts: { connect: 20 },
        })
        .route('/rude', { url: rude.url.replace('http:', 'https:'), http2: true }),
    );
    router.on('finished', ({ error }) => errors.push(error));
    expect([(await fetch(`${front}/hasty`)).status, (await fetch(`${front}/rude`)).status]).toEqual([
      504, 502,
    ]);
    await until(() => errors.length === 2);
    expect(errors[0]).toBeInstanceOf(TimeoutError);
  });

  it.each(['GET', 'POST'])(
    'a %s that is given up leaves no connection behind, nor makes one',
    async (method) => {
      const state = { opened: 0, closed: 0, asked: 0 };
      const { url, server } = await upstream((request, response) => {
        state.asked += 1;
        request.resume();
        if (request.url === '/quick') response.end('ok');
      });
      server.on('connection', (socket) => {
        state.opened += 1;
        socket.on('close', () => {
          state.closed += 1;
        });
      });
      const limits = { connections: 1, waiting: 5 };
      const { port, url: front, router } = await listening({ limits }, (it) => it.route('/*', { url }));
      const head = method === 'GET' ? '' : 'Transfer-Encoding: chunked\r\n';
      for (let turn = 1; turn <= 5; turn += 1) {
        const client = raw(
          port,
          `${method} / HTTP/1.1\r\nHost: a\r\n${head}\r\n${head === '' ? '' : '5\r\nhello\r\n'}`,
        );
        await until(() => state.asked === turn);
        client.socket.destroy();
        await until(() => router.active === 0 && state.closed === turn);
      }
      // A connection of our own is accepted after one that was begun before it.
      await fetch(`${url}/quick`).then((response) => response.text());
      expect(state.opened).toBe(6);
      // One that waits in line gets the next connection.
      const stuck = raw(port, get('/stuck'));
      await until(() => state.asked === 7);
      const waits = fetch(`${front}/quick`);
      await until(() => router.active === 2);
      stuck.socket.destroy();
      expect(await waits.then((response) => response.text())).toBe('ok');
      expect(state.opened).toBe(8);
    },
  );

  it('a request whose client does not wait any longer leaves the line', async () => {
    const held: ServerResponse[] = [];
    const paths: (string | undefined)[] = [];
    const { url } = await upstream((request, response) => {
      paths.push(request.url);
      held.push(response);
    });
    const limits = { connections: 1, waiting: 1 };
    const { port, finished } = await listening({ limits }, (router) => router.route('/*', { url }));
    const first = raw(port, get('/first'));
    await until(() => held.length === 1, 'the first');
    const second = raw(port, get('/second'));
    const full = raw(port, get('/full'));
    await until(() => full.text() !== '', 'the refusal');
    expect(statusOf(full.text())).toBe(503);
    second.socket.destroy();
    await until(() => finished.some(({ path }) => path === '/second'), 'the second to leave');
    const third = raw(port, get('/third'));
    held[0]!.end('1');
    await until(() => held.length === 2, 'the third');
    held[1]!.end('3');
    await until(() => third.text().endsWith('\r\n3'), 'the answer to the third');
    expect([statusOf(first.text()), paths]).toEqual([200, ['/first', '/third']]);
  });

  it('one that was switched to another protocol makes room', async () => {
    const { url, server } = await upstream((_request, response) => response.end('plain'));
    server.on('upgrade', (_request, socket: Socket) => {
      onCleanup(() => socket.destroy());
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
    });
    const { port, url: front } = await listening({ limits: { connections: 1 } }, (router) =>
      router.route('/*', { url, upgrade: true }),
    );
    const tunnel = raw(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
    await until(() => statusOf(tunnel.text()) === 101, 'the switch');
    expect(await (await fetch(front)).text()).toBe('plain');
    expect(tunnel.socket.destroyed).toBe(false);
  });

  it('those of an origin that is let go of close when their answer is over', async () => {
    let open: Socket | undefined;
    let streaming: ServerResponse | undefined;
    const old = await upstream((request, response) => {
      open = request.socket;
      streaming = response;
      response.write('begun ');
    });
    const recent = await upstream((_request, response) => response.end());
    const { url } = await listening({ limits: { origins: 1 } }, (router) =>
      router.route('/old', { url: old.url }).route('/recent', { url: recent.url }),
    );
    const answer = await fetch(`${url}/old`);
    expect((await fetch(`${url}/recent`)).status).toBe(200);
    expect(open?.destroyed).toBe(false);
    const closed = once(open!, 'close');
    streaming?.end('and over');
    expect(await answer.text()).toBe('begun and over');
    await closed;
  });
});

describe('rule 22: the silence of an upstream', () => {
  const timeouts = { connect: 0, firstByte: 100, idle: 300 };

  it('before the answer', async () => {
    const clock = new ManualClock();
    let asked = 0;
    const { url } = await rawUpstream((socket) =>
      socket.on('data', () => {
        asked += 1;
      }),
    );
    const registry = registryOf({ silent: [url] });
    const { port, finished } = await listening({ registry, timeouts, runtime: { clock } }, (router) =>
      router.route('/*', { service: 'silent' }),
    );
    const client = raw(port, get());
    await until(() => asked === 1);
    await clock.advance(99);
    expect([client.text(), finished]).toEqual(['', []]);
    await clock.advance(1);
    await until(() => finished.length === 1, 'the end');
    expect([statusOf(client.text()), finished[0]?.error]).toEqual([504, expect.any(TimeoutError)]);
    expect(registry.outcomes.map(({ outcome }) => outcome)).toEqual(['failure']);
    expect(clock.pending).toBe(0);
  });

  it('after the head, and between the pieces, each of which begins the time anew', async () => {
    const clock = new ManualClock();
    let socket: Socket | undefined;
    const { url } = await rawUpstream((connection) => connection.on('data', () => (socket = connection)));
    const { port, finished } = await listening({ timeouts, runtime: { clock } }, (router) =>
      router.route('/*', { url }),
    );
    const client = raw(port, get());
    await until(() => socket !== undefined);
    socket?.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n');
    await until(() => client.text().endsWith('\r\n\r\n'), 'the head');
    for (const piece of ['one', 'two']) {
      await clock.advance(299);
      socket?.write(piece);
      await until(() => client.text().endsWith(piece), piece);
    }
    await clock.advance(299);
    expect([finished, client.socket.destroyed]).toEqual([[], false]);
    await clock.advance(1);
    expect((await client.closed).endsWith('onetwo')).toBe(true);
    await until(() => finished.length === 1);
    expect(finished[0]?.error).toMatchObject({ code: 'UND_ERR_BODY_TIMEOUT' });
    expect(clock.pending).toBe(0);
  });
});
