import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import {
  BulkheadFullError,
  CircuitOpenError,
  RateLimitedError,
  TimeoutError,
} from '../../src/core/errors.ts';
import type { Policy, Work } from '../../src/core/policy.ts';
import type { UpstreamFailed } from '../../src/gateway/router-events.ts';
import { CircuitBreaker } from '../../src/resilience/circuit-breaker.ts';
import { pipeline } from '../../src/resilience/pipeline.ts';
import { retry } from '../../src/resilience/retry.ts';
import { timeout } from '../../src/resilience/timeout.ts';
import {
  closeAfterEach,
  json,
  listening,
  pause,
  raw,
  rawUpstream,
  registryOf,
  until,
  upstream,
} from './support.ts';

closeAfterEach();

const eager = (attempts: number): Policy => retry({ attempts, backoff: 0 });

/** A policy that is what this function makes of each call. */
function policyOf(run: (work: Work<unknown>) => Promise<unknown>): Policy {
  return { run: run as Policy['run'], wrap: () => () => Promise.reject(new Error('unused')) };
}

async function refusedUrl(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}

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

  it('a time limit ends the attempt, aborts the upstream and counts against the instance', async () => {
    let aborted = 0;
    const { url: slow } = await upstream((_request, response) => {
      response.on('close', () => {
        aborted += 1;
      });
    });
    const registry = registryOf({ slow: [slow] });
    const { url } = await listening({ registry }, (router) =>
      router.route('/*', { service: 'slow', policy: pipeline(eager(2), timeout(60)) }),
    );
    const response = await fetch(url);
    expect([response.status, (await json(response)).code]).toEqual([504, 'HOLDFAST_TIMEOUT']);
    await until(() => aborted === 2);
    expect(registry.outcomes.map(({ outcome }) => outcome)).toEqual(['failure', 'failure']);
  });

  it('a time limit does not cut a stream whose headers came in time', async () => {
    const { url: stream } = await upstream((_request, response) => {
      response.write('begin ');
      setTimeout(() => response.end('end'), 150);
    });
    const { url } = await listening({}, (router) => router.route('/*', { url: stream, policy: timeout(60) }));
    expect(await (await fetch(url)).text()).toBe('begin end');
  });

  it('an open breaker answers 503 at once, with Retry-After', async () => {
    let calls = 0;
    const { url: bad } = await upstream((_request, response) => {
      calls += 1;
      response.writeHead(500).end();
    });
    const breaker = new CircuitBreaker({ name: 'x', minimumCalls: 2, failureRate: 0.5, openFor: '20s' });
    const { url } = await listening({}, (router) => router.route('/*', { url: bad, policy: breaker }));
    const statuses = [];
    for (let turn = 0; turn < 4; turn += 1) statuses.push((await fetch(url)).status);
    expect([statuses, calls]).toEqual([[500, 500, 503, 503], 2]);
    const response = await fetch(url);
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(15);
    expect(await response.json()).toMatchObject({ code: 'HOLDFAST_CIRCUIT_OPEN' });
  });

  it('a client that goes away is no failure of the breaker', async () => {
    let arrived = 0;
    const { url } = await upstream(() => {
      arrived += 1;
    });
    const breaker = new CircuitBreaker({ name: 'x', minimumCalls: 1, failureRate: 0.5 });
    const registry = registryOf({ slow: [url] });
    const { port } = await listening({ registry }, (router) =>
      router.route('/*', { service: 'slow', policy: breaker }),
    );
    for (let turn = 1; turn <= 3; turn += 1) {
      const client = raw(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      await until(() => arrived === turn);
      client.socket.destroy();
      await until(() => registry.outcomes.length === turn);
    }
    expect(registry.outcomes.map(({ outcome }) => outcome)).toEqual(['cancelled', 'cancelled', 'cancelled']);
    expect(breaker.state).toBe('closed');
  });

  it('a body that is too long, or breaks off, is the client’s fault alone', async () => {
    let arrived = 0;
    const { url } = await upstream((request) => {
      arrived += 1;
      request.resume();
    });
    const breaker = new CircuitBreaker({ name: 'x', minimumCalls: 1, failureRate: 0.5 });
    const registry = registryOf({ files: [url] });
    const { port, router } = await listening({ registry, limits: { body: 100_000 } }, (it) =>
      it.route('/*', { service: 'files', policy: breaker }),
    );
    const failed: UpstreamFailed[] = [];
    router.on('upstreamFailed', (event) => failed.push(event));
    const head = 'PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
    const piece = `8000\r\n${'x'.repeat(32_768)}\r\n`;
    const long = raw(port, head + piece.repeat(8));
    await until(() => long.text().startsWith('HTTP/1.1 413'));
    const short = raw(port, head + piece);
    await until(() => arrived === 2);
    short.socket.destroy();
    await until(() => registry.outcomes.length === 2);
    expect(registry.outcomes.map(({ outcome }) => outcome)).toEqual(['cancelled', 'cancelled']);
    expect([breaker.state, failed]).toEqual(['closed', []]);
  });

  it.each([
    [new CircuitOpenError('b', 'open', 1_500), 503, '2'],
    [new BulkheadFullError('b', 1, 1), 503, null],
    [new RateLimitedError('b', 10), 429, '1'],
    [new TimeoutError(5), 504, null],
    [new RangeError('secret'), 500, null],
  ])('%o', async (error, status, retryAfter) => {
    const { router } = await listening({}, (it) =>
      it.route('/*', { url: 'http://127.0.0.1:1', policy: policyOf(() => Promise.reject(error)) }),
    );
    const response = await router.fetch(new Request('http://a/'));
    expect([response.status, response.headers.get('retry-after')]).toEqual([status, retryAfter]);
    expect(await response.text()).not.toContain('secret');
  });

  it('a fallback may answer with a Response', async () => {
    const fallback = policyOf((work) =>
      Promise.resolve(work({ signal: new AbortController().signal, attempt: 1, deadline: undefined })).catch(
        () => new Response('instead', { status: 203 }),
      ),
    );
    const bad = await refusedUrl();
    const { url } = await listening({}, (router) => router.route('/*', { url: bad, policy: fallback }));
    const response = await fetch(url);
    expect([response.status, await response.text()]).toEqual([203, 'instead']);
  });

  it.each([
    ['the first to answer', (calls: Promise<unknown>[]) => Promise.race(calls), 'quick'],
    ['the later one', (calls: Promise<unknown>[]) => Promise.all(calls).then(([first]) => first), 'slow'],
  ])('of two attempts at once %s is relayed and the other let go', async (_name, choose, expected) => {
    const body = 'x'.repeat(300_000);
    const { url: slow } = await upstream((_request, response) => {
      setTimeout(() => response.end(`${body}slow`), 80);
    });
    const { url: quick } = await upstream((_request, response) => response.end(`${body}quick`));
    const registry = registryOf({ both: [slow, quick] });
    const hedge = policyOf((work) => {
      const call = (attempt: number): Promise<unknown> =>
        Promise.resolve(work({ signal: new AbortController().signal, attempt, deadline: undefined }));
      return choose([call(1), call(2)]);
    });
    const { url } = await listening({ registry }, (router) =>
      router.route('/*', { service: 'both', policy: hedge }),
    );
    expect((await (await fetch(url)).text()).slice(300_000)).toBe(expected);
    await until(() => registry.open === 0, 'both picks to end');
    expect(registry.repeated).toBe(0);
  });

  it('is chosen by exchange, and may be none', async () => {
    const { url: bad } = await upstream((_request, response) => response.writeHead(500).end());
    const seen: string[] = [];
    const { url } = await listening({}, (router) =>
      router.route('/*', {
        url: bad,
        policy: (exchange) => {
          seen.push(exchange.path);
          return exchange.path === '/with' ? eager(2) : undefined;
        },
      }),
    );
    expect((await fetch(`${url}/with`)).status).toBe(500);
    expect((await fetch(`${url}/without`)).status).toBe(500);
    expect(seen).toEqual(['/with', '/without']);
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

  it('an answer that comes after the policy gave up with another one is let go', async () => {
    let calls = 0;
    let open = 0;
    const { url: upstreamUrl } = await upstream((_request, response) => {
      calls += 1;
      open += 1;
      response.on('close', () => {
        open -= 1;
      });
      if (calls === 1) response.writeHead(500).end('bad');
      else setTimeout(() => response.write('x'.repeat(300_000)), 50);
    });
    const policy = policyOf((work) => {
      const signal = new AbortController().signal;
      const [first, second] = [1, 2].map((attempt) => work({ signal, attempt, deadline: undefined }));
      Promise.resolve(second).catch(() => {});
      return Promise.resolve(first);
    });
    const { url } = await listening({}, (router) => router.route('/*', { url: upstreamUrl, policy }));
    const response = await fetch(url);
    expect([response.status, await response.text()]).toEqual([500, 'bad']);
    await until(() => calls === 2 && open === 0, 'the late answer to be let go');
  });
});
