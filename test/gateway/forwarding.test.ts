import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { TimeoutError } from '../../src/core/errors.ts';
import {
  closeAfterEach,
  exchange,
  json,
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

const mirror = (request: IncomingMessage, response: ServerResponse): void =>
  void response.end(JSON.stringify({ url: request.url, headers: request.headers, raw: request.rawHeaders }));

function bodyOf(answer: string): { url: string; headers: Record<string, string>; raw: string[] } {
  return JSON.parse(/\{.*\}/s.exec(answer)![0]);
}

describe('addressing', () => {
  it('rule 14: one canonical path is matched, guarded and forwarded', async () => {
    const { url } = await upstream(mirror);
    const guarded: string[] = [];
    const { port } = await listening({}, (router) =>
      router
        .use((seen) => void guarded.push(`${seen.route} ${seen.path}`))
        .route('/public/*', { url })
        .route('/admin/*', { url, guards: [() => new Response(null, { status: 403 })] }),
    );
    const get = (target: string): Promise<string> => exchange(port, [`GET ${target} HTTP/1.1`, 'Host: a']);
    expect(bodyOf(await get('/public/%61/./b/../c?q=%2e%2e/')).url).toBe('/public/a/c?q=%2e%2e/');
    for (const hidden of ['/public/../admin/x', '/public/%2e%2E/admin', '/%61dmin/x', '/./admin/']) {
      expect(statusOf(await get(hidden))).toBe(403);
    }
    for (const bad of [
      '/public/..%2fadmin',
      '/public\\..\\admin',
      '/public/%252e%252e/admin',
      '/%',
      '/%00',
      '//admin',
    ]) {
      expect(statusOf(await get(bad))).toBe(400);
    }
    expect(guarded[0]).toBe('/public/* /public/a/c');
    expect(guarded.slice(1).every((line) => line.startsWith('/admin/* /admin'))).toBe(true);
  });

  it('rule 15: what a prefix or a rewrite leaves is checked again', async () => {
    const { url } = await upstream(mirror);
    const { port } = await listening({ paths: { doubleSlash: 'merge' } }, (router) =>
      router
        .route('/api/*', { url, stripPrefix: '/api' })
        .route('/v1/users/:id', { url, rewrite: '/people/{id}?v=1' })
        .route('/deep/*', { url, rewrite: '/other/{*}' })
        .route('/free/*', { url, rewrite: (seen) => `/x/${seen.searchParams.get('to')}` }),
    );
    const get = (target: string): Promise<string> => exchange(port, [`GET ${target} HTTP/1.1`, 'Host: a']);
    const stripped = bodyOf(await get('/api/orders?a=b'));
    expect([stripped.url, stripped.headers['x-forwarded-prefix']]).toEqual(['/orders?a=b', '/api']);
    expect(bodyOf(await get('/api')).url).toBe('/');
    expect(bodyOf(await get('/api//..//orders')).url ?? '').not.toContain('//');
    expect(bodyOf(await get('/v1/users/a%20b?x=1')).url).toBe('/people/a%20b?v=1&x=1');
    expect(bodyOf(await get('/deep/a/b%3Fc')).url).toBe('/other/a/b%3Fc');
    expect(bodyOf(await get('/free/?to=ok')).url).toBe('/x/ok?to=ok');
    for (const bad of ['..%2f..%2f..', '%2e%2e/%2e%2e', 'a%5cb', 'a%20b']) {
      expect(statusOf(await get(`/free/?to=${bad}`))).toBe(400);
    }
  });

  it('rule 16: an address of the kind that serves credentials is never called', async () => {
    const registry = registryOf({
      evil: ['http://169.254.169.254:80'],
      mapped: ['http://[::ffff:a9fe:a9fe]:80'],
    });
    const { url, finished } = await listening({ registry }, (router) =>
      router.route('/evil', { service: 'evil' }).route('/mapped', { service: 'mapped' }),
    );
    expect((await fetch(`${url}/evil`)).status).toBe(502);
    expect((await fetch(`${url}/mapped`)).status).toBe(502);
    await until(() => finished.length === 2);
    expect(String(finished[0]?.error)).toContain('deniedUpstreams');
    expect(registry.outcomes.map(({ outcome }) => outcome)).toEqual(['failure', 'failure']);
  });

  it('rule 16: a name is checked by what it resolves to', async () => {
    const { port } = await upstream(mirror);
    const { url } = await listening({ deniedUpstreams: ['127.0.0.0/8', '::1'] }, (router) =>
      router.route('/*', { url: `http://localhost:${port}` }),
    );
    expect((await fetch(url)).status).toBe(502);
    const open = await listening({}, (router) => router.route('/*', { url: `http://localhost:${port}` }));
    expect((await fetch(open.url)).status).toBe(200);
  });

  it('rule 16: the path cannot set the authority, whatever the target says', async () => {
    const { url } = await upstream(mirror);
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    const answer = bodyOf(await exchange(port, ['GET http://127.0.0.1:1/x@evil:80 HTTP/1.1', 'Host: a']));
    expect(answer.url).toBe('/x@evil:80');
    expect(`http://${answer.headers.host}`).toBe(url);
  });

  const spoofed = [
    'X-Forwarded-For: 6.6.6.6',
    'X_Forwarded_For: 6.6.6.6',
    'X-Forwarded-Proto: https',
    'X-Forwarded-Host: evil',
    'X-Forwarded-Prefix: /evil',
    'X-Forwarded-Port: 1',
    'X-Real-IP: 6.6.6.6',
    'Forwarded: for=6.6.6.6',
  ];

  it('rule 17: what a stranger says of where it comes from is dropped, and set by us', async () => {
    const { url } = await upstream(mirror);
    const addresses: string[] = [];
    const { port } = await listening({}, (router) =>
      router.use((seen) => void addresses.push(seen.clientAddress)).route('/*', { url }),
    );
    const { headers } = bodyOf(await exchange(port, ['GET / HTTP/1.1', 'Host: shop', ...spoofed]));
    expect(JSON.stringify(headers)).not.toMatch(/6\.6\.6\.6|evil/);
    expect(headers).toMatchObject({
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': 'shop',
    });
    expect(addresses).toEqual(['127.0.0.1']);
  });

  it('rule 17: a trusted proxy is believed, and only as far as it is trusted', async () => {
    const { url } = await upstream(mirror);
    const seen: string[] = [];
    const { port } = await listening({ trustedProxies: ['127.0.0.1', '10.0.0.0/8'] }, (router) =>
      router.use((it) => void seen.push(it.clientAddress, it.scheme)).route('/*', { url }),
    );
    const { headers } = bodyOf(
      await exchange(port, [
        'GET / HTTP/1.1',
        'Host: shop',
        'X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.0.0.9',
        'X-Forwarded-Proto: https',
        'X-Forwarded-Host: shop.example',
        'Forwarded: for=1.2.3.4',
      ]),
    );
    expect(seen).toEqual(['1.2.3.4', 'https']);
    expect(headers).toMatchObject({
      'x-forwarded-for': '6.6.6.6, 1.2.3.4, 10.0.0.9, 127.0.0.1',
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'shop.example',
      forwarded: 'for=1.2.3.4, for=127.0.0.1;proto=https',
    });
  });

  it('rule 18: routes by host exactly and without regard to case', async () => {
    const { url } = await upstream(mirror);
    const { port } = await listening({}, (router) =>
      router.route('api.example/*', { url }).route('/*', { handle: () => new Response('other') }),
    );
    const get = (host: string): Promise<string> => exchange(port, ['GET / HTTP/1.1', `Host: ${host}`]);
    expect(await get('API.example:8080')).toContain('x-forwarded-host');
    for (const host of ['api.example.evil', 'evil-api.example', 'xapi.example', 'api_example']) {
      expect(await get(host)).toContain('other');
    }
  });

  it('a catch-all takes any host, also of an absolute target, as the name of the service', async () => {
    const { url } = await upstream(mirror);
    const { port } = await listening({ registry: registryOf({ orders: [url] }) }, (router) =>
      router.route('/*', { service: (seen) => seen.host }),
    );
    const answer = bodyOf(await exchange(port, ['GET http://orders/x?y=1 HTTP/1.1', 'Host: ignored']));
    expect([answer.url, answer.headers.host]).toEqual(['/x?y=1', 'orders']);
    expect(bodyOf(await exchange(port, ['GET /x HTTP/1.1', 'Host: Orders:80'])).url).toBe('/x');
    expect(statusOf(await exchange(port, ['GET / HTTP/1.1', 'Host: unknown']))).toBe(503);
    expect(statusOf(await exchange(port, ['GET / HTTP/1.1', 'Host: [::1]']))).toBe(400);
  });

  it('rule 25: identity headers come from guards only, in any spelling', async () => {
    const { url } = await upstream(mirror);
    const { port } = await listening({ identityHeaders: ['x-user-id'] }, (router) =>
      router
        .route('/plain', { url })
        .route('/named', { url, guards: [(it) => it.headers.set('X-User-Id', 'ann')] }),
    );
    const get = (path: string): Promise<string> =>
      exchange(port, [
        `GET ${path} HTTP/1.1`,
        'Host: a',
        'X-User-Id: eve',
        'x_user_id: eve',
        'X-USER_ID: eve',
      ]);
    expect(await get('/plain')).not.toContain('eve');
    const named = bodyOf(await get('/named'));
    expect(named.headers['x-user-id']).toBe('ann');
    expect(JSON.stringify(named)).not.toContain('eve');
  });
});

describe('streams', () => {
  it('keeps case, order and duplicates of headers both ways', async () => {
    const { url } = await upstream((request, response) => {
      response
        .writeHead(200, ['X-Seen', request.rawHeaders.join('|'), 'Set-Cookie', 'a', 'set-cookie', 'b'])
        .end();
    });
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    const answer = await exchange(port, ['GET / HTTP/1.1', 'Host: a', 'X-OnE: 1', 'x-one: 2', 'Accept: */*']);
    expect(answer).toContain('X-OnE|1|x-one|2|Accept|*/*');
    expect(answer).toContain('\r\nSet-Cookie: a\r\nset-cookie: b\r\n');
  });

  it('passes server-sent events on as they come', async () => {
    let send: ((text: string) => void) | undefined;
    const { url } = await upstream((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.flushHeaders();
      send = (text) => void response.write(text);
    });
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    const client = raw(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => client.text().includes('text/event-stream'), 'the headers');
    for (const event of ['data: 1\n\n', 'data: 2\n\n']) {
      send!(event);
      await until(() => client.text().includes(event), event);
    }
  });

  it('passes a chunked request on as it comes', async () => {
    let received = '';
    const { url } = await upstream((request, response) => {
      request.on('data', (chunk) => {
        received += chunk;
      });
      request.on('end', () => response.end('thanks'));
    });
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    const client = raw(port, 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n');
    await until(() => received === 'one');
    client.socket.write('3\r\ntwo\r\n0\r\n\r\n');
    await until(() => client.text().includes('thanks'));
    expect(received).toBe('onetwo');
  });

  it.each([
    ['before the headers', false],
    ['in the middle of the body', true],
  ])('rule 20: a client that goes away %s aborts the upstream', async (_name, begun) => {
    let aborted = 0;
    let arrived = 0;
    const { url } = await upstream((_request, response) => {
      arrived += 1;
      if (begun) response.write('begin');
      response.on('close', () => {
        if (!response.writableFinished) aborted += 1;
      });
    });
    const registry = registryOf({ slow: [url] });
    const { port, finished, router } = await listening({ registry }, (it) =>
      it.route('/*', { service: 'slow' }),
    );
    const failures: unknown[] = [];
    router.on('upstreamFailed', (event) => failures.push(event));
    const client = raw(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => (begun ? client.text().includes('begin') : arrived === 1));
    client.socket.destroy();
    await until(() => aborted === 1 && finished.length === 1, 'the abort');
    expect(registry.outcomes).toEqual([{ id: 'slow-1', outcome: 'cancelled' }]);
    expect(finished[0]?.status).toBe(begun ? 200 : 499);
    expect(failures).toEqual([]);
  });

  it('rule 20: an abort of fetch, or of its body, aborts the upstream', async () => {
    let aborted = 0;
    const { url } = await upstream((request, response) => {
      if (request.url === '/body') response.write('begin');
      response.on('close', () => {
        aborted += 1;
      });
    });
    const { router } = await listening({}, (it) => it.route('/*', { url }));
    const controller = new AbortController();
    const pending = router.fetch(new Request('http://a/', { signal: controller.signal }));
    await until(() => router.active === 1);
    await pause(20);
    controller.abort(new Error('enough'));
    await expect(pending).rejects.toThrow('enough');
    await until(() => aborted === 1);
    const { body } = await router.fetch(new Request('http://a/body'));
    await body!.cancel();
    await until(() => aborted === 2 && router.active === 0);
  });

  it('rule 21: a client that does not read stops the upstream, and nothing piles up', async () => {
    let sent = 0;
    const total = 256 * 65_536;
    const { url } = await upstream((_request, response) => {
      const piece = Buffer.alloc(65_536);
      const more = (): void => {
        while (sent < total) {
          sent += piece.length;
          if (!response.write(piece)) {
            response.once('drain', more);
            return;
          }
        }
        response.end();
      };
      more();
    });
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    const client = raw(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    client.socket.pause();
    await until(() => sent > 0);
    let before = -1;
    while (before !== sent) {
      before = sent;
      await pause(50);
    }
    expect(sent).toBeLessThan(total);
    client.socket.resume();
    expect((await client.closed).length).toBeGreaterThan(total);
  });

  it('rule 22: a client that takes nothing for too long gives its upstream connection back', async () => {
    let open = 0;
    const { url } = await upstream((_request, response) => {
      open += 1;
      response.on('close', () => {
        open -= 1;
      });
      const more = (): void => {
        while (response.write(Buffer.alloc(65_536)));
      };
      response.on('drain', more);
      more();
    });
    const registry = registryOf({ endless: [url] });
    const { port, router, finished } = await listening({ registry }, (it) =>
      it
        .route('/stalled', { service: 'endless', timeouts: { idle: 200 } })
        .route('/patient', { service: 'endless', timeouts: { idle: 0 } }),
    );
    const [patient, stalled] = ['patient', 'stalled'].map((path) =>
      raw(port, `GET /${path} HTTP/1.1\r\nHost: a\r\n\r\n`),
    );
    patient?.socket.pause();
    stalled?.socket.pause();
    await until(() => finished.length === 1 && open === 1);
    expect([finished[0]?.path, finished[0]?.error]).toEqual(['/stalled', expect.any(TimeoutError)]);
    expect([router.active, registry.outcomes.map(({ outcome }) => outcome)]).toEqual([1, ['cancelled']]);
  });

  it.each(['/pieces', '/whole'])(
    'rule 22: a client that takes nothing of a handler’s answer for too long is given up: %s',
    async (path) => {
      let cancelled = 0;
      const pieces = (): ReadableStream<Uint8Array> =>
        new ReadableStream({
          pull: (controller) => controller.enqueue(new Uint8Array(65_536)),
          cancel: () => {
            cancelled += 1;
          },
        });
      const { port, router, finished } = await listening({ timeouts: { idle: 200 } }, (it) =>
        it
          .route('/pieces', { handle: () => new Response(pieces()) })
          .route('/whole', { handle: () => new Response(new Uint8Array(30_000_000)) }),
      );
      const client = raw(port, `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
      client.socket.pause();
      await until(() => finished.length === 1, 'the end');
      expect([finished[0]?.error, router.active]).toEqual([expect.any(TimeoutError), 0]);
      expect(cancelled).toBe(path === '/pieces' ? 1 : 0);
    },
  );

  it('rule 22: a client that takes a long answer of a handler slowly is not given up', async () => {
    const { port } = await listening({ timeouts: { idle: 300 } }, (it) =>
      it.route('/*', { handle: () => new Response(new Uint8Array(12_000_000)) }),
    );
    const client = raw(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    let received = 0;
    client.socket.on('data', (chunk) => {
      received += chunk.length;
      client.socket.pause();
      setTimeout(() => client.socket.resume(), 4);
    });
    await client.closed;
    expect(received).toBeGreaterThan(12_000_000);
  });

  it('rule 21: an upstream that does not read stops the client', async () => {
    const { url } = await rawUpstream((socket) => socket.pause());
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    const client = raw(port, 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
    const piece = `10000\r\n${'x'.repeat(65_536)}\r\n`;
    let written = 0;
    const total = 256;
    const more = (): void => {
      while (written < total) {
        written += 1;
        if (!client.socket.write(piece)) {
          client.socket.once('drain', more);
          return;
        }
      }
    };
    more();
    let before = -1;
    while (before !== written) {
      before = written;
      await pause(50);
    }
    expect(written).toBeLessThan(total);
  });

  it.each(['has left', 'waits'])(
    'rule 22: an upload of which the upstream takes nothing ends in time, also when its client %s',
    async (what) => {
      const { url } = await rawUpstream((socket) => socket.pause());
      const registry = registryOf({ stalled: [url] });
      const timeouts = { firstByte: 0, idle: 300 };
      const { port, router, finished } = await listening({ registry, timeouts }, (it) =>
        it.route('/*', { service: 'stalled' }),
      );
      const client = raw(port, 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
      const piece = `10000\r\n${'x'.repeat(65_536)}\r\n`;
      while (client.socket.writableLength < 16 * piece.length) {
        client.socket.write(piece);
        await pause(1);
      }
      // Nobody reads on either side: that the client has left reaches no one.
      if (what === 'has left') client.socket.destroy();
      await until(() => finished.length === 1, 'the end');
      expect(finished[0]).toMatchObject({ status: 504, error: expect.any(TimeoutError) });
      expect([router.active, registry.outcomes.map(({ outcome }) => outcome)]).toEqual([0, ['failure']]);
    },
  );

  it('refuses a body over the limit, announced or not', async () => {
    const { url } = await upstream((request, response) =>
      request.resume().on('end', () => response.end('ok')),
    );
    const { port } = await listening({ limits: { body: 100_000 } }, (router) => router.route('/*', { url }));
    const announced = await exchange(port, ['POST / HTTP/1.1', 'Host: a', 'Content-Length: 100001']);
    expect(statusOf(announced)).toBe(413);
    const piece = `8000\r\n${'x'.repeat(32_768)}\r\n`;
    const chunked = await exchange(
      port,
      ['POST / HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked'],
      piece.repeat(8),
    );
    expect(statusOf(chunked)).toBe(413);
  });
});

describe('upstreams that fail', () => {
  it('tells refused, reset, cut off and late apart', async () => {
    const reset = await rawUpstream((socket) => socket.on('data', () => socket.resetAndDestroy()));
    const nonsense = await rawUpstream((socket) => socket.on('data', () => socket.write('nonsense\r\n\r\n')));
    const silent = await rawUpstream(() => {});
    const bad = await rawUpstream((socket) =>
      socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nX: a\u0001b\r\nContent-Length: 0\r\n\r\n')),
    );
    const free = createServer();
    await new Promise<void>((resolve) => free.listen(0, '127.0.0.1', resolve));
    const refused = `http://127.0.0.1:${(free.address() as AddressInfo).port}`;
    await new Promise((resolve) => free.close(resolve));
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
