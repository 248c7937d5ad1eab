import { describe, expect, it } from 'vitest';
import type { UpstreamFailed } from '../../src/gateway/router-events.ts';
import { eager, refusedUrl } from './policy-stage.ts';
import { closeAfterEach, listening, pause, rawUpstream, registryOf, until, upstream } from './support.ts';

closeAfterEach();

describe('the policy of a route', () => {
  it('a 5xx is a failure; another instance is tried, and the story is told', async () => {
    const bad = await upstream((_request, response) => response.writeHead(503).end('broken'));
    const good = await upstream((_request, response) => response.end('fine'));
    const registry = registryOf({ orders: [bad.url, good.url] });
    const { url, router, finished } = await listening({ registry }, (it) =>
      it.route('/*', { service: 'orders', policy: eager(2) }),
    );
    const failed: UpstreamFailed[] = [];
    router.on('upstreamFailed', (event) => failed.push(event));
    const response = await fetch(url);
    expect([response.status, await response.text()]).toEqual([200, 'fine']);
    await until(() => registry.open === 0 && finished.length === 1);
    expect(registry.outcomes).toContainEqual({ id: 'orders-1', outcome: 'failure' });
    expect(registry.outcomes).toContainEqual({ id: 'orders-2', outcome: 'success' });
    expect(registry.repeated).toBe(0);
    expect(failed).toMatchObject([{ attempt: 1, service: 'orders', instance: 'orders-1', status: 503 }]);
    expect(finished[0]).toMatchObject({ service: 'orders', instance: 'orders-2', status: 200 });
  });

  it('a retry avoids instances that were tried', async () => {
    const bad = await refusedUrl();
    const { url: good } = await upstream((_request, response) => response.end('fine'));
    const registry = registryOf({ orders: [bad, bad, good] }, true);
    const { url } = await listening({ registry }, (it) =>
      it.route('/*', { service: 'orders', policy: eager(3) }),
    );
    expect((await fetch(url)).status).toBe(200);
    await until(() => registry.open === 0);
    expect(registry.outcomes.map(({ id }) => id)).toEqual(['orders-1', 'orders-2', 'orders-3']);
  });

  it('when it gives up with an answer, that answer is relayed as it is', async () => {
    let calls = 0;
    const { url: bad } = await upstream((_request, response) => {
      calls += 1;
      response.writeHead(503, { 'x-why': 'tired', 'retry-after': '0' }).end('x'.repeat(200_000) + calls);
    });
    const registry = registryOf({ orders: [bad, bad] });
    const { url } = await listening({ registry }, (router) =>
      router.route('/*', { service: 'orders', policy: eager(3) }),
    );
    const response = await fetch(url);
    const text = await response.text();
    expect([response.status, response.headers.get('x-why'), text.length, text.at(-1)]).toEqual([
      503,
      'tired',
      200_001,
      '3',
    ]);
    await until(() => registry.open === 0, 'the picks to end');
    expect(registry.repeated).toBe(0);
  });

  it('rule 19: what may have taken effect is not done again', async () => {
    const methods: (string | undefined)[] = [];
    const { url: bad } = await upstream((request, response) => {
      methods.push(request.method);
      request.resume().on('end', () => response.writeHead(500).end());
    });
    const { url } = await listening({}, (router) => router.route('/*', { url: bad, policy: eager(3) }));
    const statuses = [];
    statuses.push((await fetch(url, { method: 'POST', body: 'small' })).status);
    statuses.push((await fetch(url, { method: 'PUT', body: 'x'.repeat(100_000) })).status);
    statuses.push((await fetch(url, { method: 'PUT', body: 'small' })).status);
    expect(statuses).toEqual([500, 500, 500]);
    expect(methods).toEqual(['POST', 'PUT', 'PUT', 'PUT', 'PUT']);
  });

  it('rule 19: what was never written is tried elsewhere, a POST and a stream included', async () => {
    const { url: good } = await upstream((request, response) => request.pipe(response));
    for (const body of ['small', 'x'.repeat(300_000)]) {
      const registry = registryOf({ orders: [await refusedUrl(), good] });
      const { url } = await listening({ registry }, (router) =>
        router.route('/*', { service: 'orders', policy: eager(2) }),
      );
      const response = await fetch(url, { method: 'POST', body });
      expect([response.status, await response.text()]).toEqual([200, body]);
    }
  });

  it('a replayed body is the same body', async () => {
    const bodies: string[] = [];
    const { url: flaky } = await upstream((request, response) => {
      let body = '';
      request.on('data', (chunk) => {
        body += chunk;
      });
      request.on('end', () => {
        bodies.push(body);
        response.writeHead(bodies.length < 3 ? 502 : 200).end();
      });
    });
    const { url } = await listening({}, (router) => router.route('/*', { url: flaky, policy: eager(3) }));
    expect((await fetch(url, { method: 'PUT', body: 'precious' })).status).toBe(200);
    expect(bodies).toEqual(['precious', 'precious', 'precious']);
  });

  it('an answer that is cut off after its headers is not retried', async () => {
    let calls = 0;
    const { url: cut } = await rawUpstream((socket) => {
      socket.on('data', () => {
        calls += 1;
        socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf');
      });
    });
    const registry = registryOf({ cut: [cut] });
    const { url } = await listening({ registry }, (router) =>
      router.route('/*', { service: 'cut', policy: eager(3) }),
    );
    await expect(fetch(url).then((response) => response.text())).rejects.toThrow();
    await pause(30);
    expect(calls).toBe(1);
    expect(registry.outcomes).toEqual([{ id: 'cut-1', outcome: 'failure' }]);
  });
});
