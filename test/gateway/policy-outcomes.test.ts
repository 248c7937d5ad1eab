import { describe, expect, it } from 'vitest';
import {
  BulkheadFullError,
  CircuitOpenError,
  RateLimitedError,
  TimeoutError,
} from '../../src/core/errors.ts';
import type { UpstreamFailed } from '../../src/gateway/router-events.ts';
import { CircuitBreaker } from '../../src/resilience/circuit-breaker.ts';
import { pipeline } from '../../src/resilience/pipeline.ts';
import { timeout } from '../../src/resilience/timeout.ts';
import { eager, policyOf, refusedUrl } from './policy-stage.ts';
import { closeAfterEach, json, listening, raw, registryOf, until, upstream } from './support.ts';

closeAfterEach();

describe('the policy of a route', () => {
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
      setTimeout(() => response.end('end'), 3_000);
    });
    // Long enough for the head on a busy machine.
    const policy = timeout('2s');
    const { url } = await listening({}, (router) => router.route('/*', { url: stream, policy }));
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
