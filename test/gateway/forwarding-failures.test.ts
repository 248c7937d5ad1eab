import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { TimeoutError } from '../../src/core/errors.ts';
import {
  closeAfterEach,
  json,
  listening,
  onCleanup,
  pause,
  raw,
  rawUpstream,
  registryOf,
  until,
} from './support.ts';

closeAfterEach();

describe('upstreams that fail', () => {
  it('tells refused, reset, cut off and late apart', async () => {
    const reset = await rawUpstream((socket) => socket.on('data', () => socket.resetAndDestroy()));
    const nonsense = await rawUpstream((socket) => socket.on('data', () => socket.write('nonsense\r\n\r\n')));
    const silent = await rawUpstream(() => {});
    const bad = await rawUpstream((socket) =>
      socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nX: a\u0001b\r\nContent-Length: 0\r\n\r\n')),
    );
    // A port that was free a moment ago could be the router's own by now; nobody listens at this one.
    const refused = 'http://127.0.0.1:1';
    const { url, finished } = await listening({}, (router) =>
      router
        .route('/refused', { url: refused })
        .route('/reset', { url: reset.url })
        .route('/nonsense', { url: nonsense.url })
        .route('/bad', { url: bad.url })
        .route('/silent', { url: silent.url, timeouts: { firstByte: 100 } }),
    );
    const statuses = [];
    for (const path of ['refused', 'reset', 'nonsense', 'bad', 'silent']) {
      const response = await fetch(`${url}/${path}`);
      expect(response.headers.get('content-type')).toBe('application/problem+json');
      // Addresses of upstreams are nobody's business.
      expect(await response.text()).not.toContain('127.0.0.1');
      statuses.push(response.status);
    }
    expect(statuses).toEqual([502, 502, 502, 502, 504]);
    await until(() => finished.length === 5);
    expect(finished[4]?.error).toBeInstanceOf(TimeoutError);
  });

  it('rule 19: an idle connection that the upstream closes just as it is used again costs no request', async () => {
    let requests = 0;
    const { url } = await rawUpstream((socket) => {
      let served = 0;
      socket.on('data', () => {
        requests += 1;
        served += 1;
        // The second request on a connection meets its end.
        if (served > 1) socket.destroy();
        else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      });
    });
    const registry = registryOf({ quirky: [url] });
    const { url: front } = await listening({ registry }, (router) =>
      router.route('/*', { service: 'quirky' }),
    );
    for (let turn = 0; turn < 4; turn += 1) expect((await fetch(front)).status).toBe(200);
    expect(requests).toBeGreaterThan(4);
    await until(() => registry.outcomes.length === 4);
    expect(new Set(registry.outcomes.map(({ outcome }) => outcome))).toEqual(new Set(['success']));
    // A POST may have taken effect, so it is not made twice.
    expect((await fetch(front, { method: 'POST' })).status).toBe(502);
    expect((await fetch(front, { method: 'POST' })).status).toBe(200);
    expect(registry.repeated).toBe(0);
  });

  it('rule 19: a request may meet three stale connections in a row, and no more', async () => {
    const met = new Map<string, number>();
    const { url } = await rawUpstream((socket) => {
      let served = 0;
      socket.on('data', (chunk) => {
        served += 1;
        if (served === 1) {
          socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
          return;
        }
        const path = / (\S+) /.exec(chunk.toString())![1]!;
        met.set(path, (met.get(path) ?? 0) + 1);
        socket.destroy();
      });
    });
    const { url: front } = await listening({ limits: { connections: 1 } }, (router) =>
      router.route('/*', { url }),
    );
    // All wait for one connection, which serves one of them and fails the next; that one goes to the end of the line.
    const statuses = async (count: number): Promise<Set<number>> => {
      met.clear();
      const all = Array.from({ length: count }, async (_, turn) => (await fetch(`${front}/${turn}`)).status);
      return new Set(await Promise.all(all));
    };
    expect([await statuses(7), Math.max(...met.values())]).toEqual([new Set([200]), 3]);
    expect([await statuses(32), Math.max(...met.values())]).toEqual([new Set([200, 502]), 4]);
  });

  it('rule 19: a request that had not been written when its used connection was reset is sent again', async () => {
    const connections: Socket[] = [];
    const { url } = await rawUpstream((socket) => {
      connections.push(socket);
      socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'));
    });
    const registry = registryOf({ quirky: [url] });
    const { router } = await listening({ registry }, (it) => it.route('/*', { service: 'quirky' }));
    const statuses: number[] = [];
    for (let turn = 0; turn < 5; turn += 1) {
      await (await router.fetch(new Request('http://a/'))).text();
      // In a timer's turn: the reset is then read after the connection was chosen, and before anything is written.
      await pause(5);
      connections.at(-1)!.resetAndDestroy();
      const response = await router.fetch(new Request('http://a/', { method: 'POST' }));
      statuses.push(response.status);
      await response.text();
    }
    expect(new Set(statuses)).toEqual(new Set([200]));
  });

  it('rule 19: once anything of an answer was received, the request is not made again', async () => {
    let requests = 0;
    const { url } = await rawUpstream((socket) => {
      let before = 0;
      socket.on('data', () => {
        requests += 1;
        before += 1;
        if (before === 1) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
        else socket.end(requests === 2 ? 'HTTP/1.1 20' : 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n');
      });
    });
    const { url: front } = await listening({}, (router) => router.route('/*', { url }));
    const statuses = [];
    for (let turn = 0; turn < 4; turn += 1) statuses.push((await fetch(front)).status);
    expect([statuses, requests]).toEqual([[200, 502, 200, 502], 4]);
  });

  it('a fault in a route function is a 500 that tells nothing', async () => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error): void => void warnings.push(warning);
    process.on('warning', onWarning);
    onCleanup(() => process.off('warning', onWarning));
    const { url } = await listening({}, (router) =>
      router.route('/*', {
        handle: () => {
          throw new Error('password=hunter2');
        },
      }),
    );
    const response = await fetch(url);
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain('hunter2');
    await until(() => warnings.some(({ message }) => message.includes('hunter2')));
  });

  it('a handler that gives nothing is a 500', async () => {
    const { router } = await listening({}, (it) =>
      it.route('/*', { handle: (() => {}) as unknown as () => Response }),
    );
    expect((await router.fetch(new Request('http://a/'))).status).toBe(500);
  });

  it('a request that waits for no connection is refused when too many wait', async () => {
    const silent = await rawUpstream(() => {});
    const { url, port } = await listening({ limits: { connections: 1, waiting: 1 } }, (router) =>
      router.route('/*', { url: silent.url }),
    );
    raw(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    raw(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await pause(50);
    const response = await fetch(url);
    expect([response.status, (await json(response)).code]).toEqual([503, 'HOLDFAST_BULKHEAD_FULL']);
  });

  it('a full line of our own is not held against the instance', async () => {
    const silent = await rawUpstream(() => {});
    const registry = registryOf({ silent: [silent.url] });
    const { url, router } = await listening({ registry, limits: { connections: 1, waiting: 0 } }, (it) =>
      it.route('/*', { service: 'silent' }),
    );
    const first = fetch(url).catch(() => {});
    await until(() => router.active === 1);
    expect((await fetch(url)).status).toBe(503);
    expect(registry.outcomes.map(({ outcome }) => outcome)).toEqual(['cancelled']);
    await router.stop({ timeout: 0 });
    await first;
  });

  it('rule 19: knows a connection that was used before, whatever happened while the request waited for it', async () => {
    const connections: Socket[] = [];
    const requests: string[] = [];
    const reply = (close: boolean): void =>
      void connections
        .at(-1)
        ?.write(`HTTP/1.1 200 OK\r\nContent-Length: 0\r\n${close ? 'Connection: close\r\n' : ''}\r\n`);
    const { url } = await rawUpstream((socket) => {
      connections.push(socket);
      socket.on('data', (chunk) => {
        requests.push(/ (\S+) /.exec(chunk.toString())![1]!);
        // The second request on the second connection meets its end.
        if (requests.length === 3) socket.destroy();
        else if (requests.length === 2) reply(false);
        else if (requests.length === 4) reply(true);
      });
    });
    const { url: front, router } = await listening({ limits: { connections: 1 } }, (it) =>
      it.route('/*', { url }),
    );
    const statuses = ['/1', '/2', '/3'].map(async (path) => (await fetch(front + path)).status);
    await until(() => requests.length === 1 && router.active === 3);
    // Both others wait for the only connection; it is replaced before their turn comes.
    reply(true);
    expect(await Promise.all(statuses)).toEqual([200, 200, 200]);
    expect([connections.length, requests.length]).toEqual([3, 4]);
  });

  it('a guard that reads the body of a client that has left is told so', async () => {
    let told: unknown;
    let reached = false;
    let left = (): void => {};
    const gone = new Promise<void>((resolve) => {
      left = resolve;
    });
    const { port, finished } = await listening({}, (router) =>
      router
        .use(async (it) => {
          reached = true;
          await gone;
          told = await it.readBody().catch((error: unknown) => error);
        })
        .route('/*', { handle: () => new Response('ok') }),
    );
    const client = raw(port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf');
    await until(() => reached);
    client.socket.destroy();
    await until(() => finished.length === 1);
    left();
    await until(() => told !== undefined);
    expect(told).toMatchObject({ status: 400 });
  });
});
