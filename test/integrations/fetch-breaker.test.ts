import { getEventListeners } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { CircuitOpenError, InvalidOptionsError, TimeoutError } from '../../src/core/errors.ts';
import { type Fetch, resilientFetch } from '../../src/integrations/fetch.ts';
import { CircuitBreaker } from '../../src/resilience/circuit-breaker.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { flush } from '../resilience/support.ts';
import { slowResponse, stage, url } from './fetch-stage.ts';

describe('resilientFetch', () => {
  it('succeeds at the end of the body, not at the headers', async () => {
    const { response, write, end } = slowResponse();
    const { client, totals } = stage(async () => response);
    const answer = await client(url);
    write('half');
    await flush();
    expect(totals()).toMatchObject({ succeeded: 0, failed: 0 });
    const text = answer.text();
    write(', whole');
    end();
    expect(await text).toBe('half, whole');
    expect(totals()).toMatchObject({ succeeded: 1, failed: 0 });
  });

  it('fails when the body breaks off, after a good status', async () => {
    const { response, write, fail } = slowResponse();
    const { client, totals } = stage(async () => response);
    const answer = await client(url);
    write('half');
    fail(new Error('reset'));
    await expect(answer.text()).rejects.toThrow('reset');
    expect(totals()).toMatchObject({ succeeded: 0, failed: 1 });
  });

  it('succeeds with a short body that nobody reads, and with one that is cancelled', async () => {
    const { client, totals } = stage(async () => new Response('short'));
    await client(url);
    await flush();
    expect(totals()).toMatchObject({ succeeded: 1 });
    const { response } = slowResponse();
    const other = stage(async () => response);
    await (await other.client(url)).body?.cancel();
    expect(other.totals()).toMatchObject({ succeeded: 1 });
  });

  it('reads no more ahead than 64 KiB of a body that nobody reads', async () => {
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        sent += 16_384;
        controller.enqueue(new Uint8Array(16_384));
      },
    });
    const { client, totals } = stage(async () => new Response(body));
    await client(url);
    for (let turn = 0; turn < 100; turn += 1) await flush();
    expect(sent).toBeLessThanOrEqual(65_536 + 2 * 16_384);
    expect(totals()).toMatchObject({ succeeded: 0 });
  });

  it('counts a response without a body at its headers', async () => {
    const { client, totals } = stage(async () => new Response(null, { status: 204 }));
    await client(url);
    expect(totals()).toMatchObject({ succeeded: 1 });
  });

  it.each([
    [500, 'failed'],
    [503, 'failed'],
    [429, 'failed'],
    [404, 'succeeded'],
    [200, 'succeeded'],
  ] as const)('by default counts status %d as %s, and gives the response', async (status, counted) => {
    const { client, totals } = stage(async () => new Response('text', { status }));
    const response = await client(url);
    expect([response.status, await response.text()]).toEqual([status, 'text']);
    expect(totals()).toMatchObject({ succeeded: 0, failed: 0, ignored: 0, [counted]: 1 });
  });

  it('asks countStatus, and counts a failure when it throws', async () => {
    const runtime = testRuntime();
    const client = resilientFetch({
      breaker: (_, name) => new CircuitBreaker({ name, runtime }),
      fetch: async (input) => new Response('', { status: Number(new URL(String(input)).pathname.slice(1)) }),
      countStatus: (status) => {
        if (status === 501) throw new Error('what is that?');
        return status === 500 ? 'ignored' : 'failure';
      },
      runtime,
    });
    for (const status of [500, 404, 501]) await client(`http://api.test/${status}`);
    expect(client.breakers.get('http://api.test')?.metrics.totals).toMatchObject({ ignored: 1, failed: 2 });
  });

  it('opens, rejects without a request, and waits as long as Retry-After says', async () => {
    let requests = 0;
    const { client, runtime, state } = stage(async () => {
      requests += 1;
      return new Response('', { status: 503, headers: { 'retry-after': '20' } });
    });
    await client(url);
    await client(url);
    await expect(client(url)).rejects.toBeInstanceOf(CircuitOpenError);
    expect(requests).toBe(2);
    await runtime.clock.advance(19_999);
    expect(state()).toBe('open');
    await runtime.clock.advance(1);
    expect(state()).toBe('half-open');
  });

  it('fails when no response comes', async () => {
    const { client, totals } = stage(() => Promise.reject(new TypeError('fetch failed')));
    await expect(client(url)).rejects.toThrow('fetch failed');
    expect(totals()).toMatchObject({ failed: 1 });
  });

  it('does not count what the caller aborts, before the headers or in the body', async () => {
    const hang: Fetch = (_, init) =>
      new Promise((_resolve, reject) => {
        init?.signal?.addEventListener('abort', () => reject(init.signal?.reason));
      });
    const before = stage(hang);
    const controller = new AbortController();
    const call = before.client(url, { signal: controller.signal });
    controller.abort(new Error('gone'));
    await expect(call).rejects.toThrow('gone');
    expect(before.totals()).toMatchObject({ ignored: 1, failed: 0 });

    const { response, fail } = slowResponse();
    const during = stage(async () => response);
    const second = new AbortController();
    const text = (await during.client(url, { signal: second.signal })).text();
    second.abort(new Error('gone'));
    fail(new Error('gone'));
    await expect(text).rejects.toThrow('gone');
    expect(during.totals()).toMatchObject({ ignored: 1, failed: 0 });
  });

  it('limits an attempt to the end of its body, and leaves no timer and no listener', async () => {
    const runtime = testRuntime();
    const { response, fail } = slowResponse();
    const breaker = new CircuitBreaker({ name: 'api', runtime });
    const client = resilientFetch({
      breaker: () => breaker,
      timeout: '1s',
      fetch: async (_, init) => {
        init?.signal?.addEventListener('abort', () => fail(init.signal?.reason), { once: true });
        return response;
      },
      runtime,
    });
    const { signal } = new AbortController();
    const text = expect((await client(url, { signal })).text()).rejects.toBeInstanceOf(TimeoutError);
    await runtime.clock.advance(1_000);
    await text;
    expect(breaker.metrics.totals).toMatchObject({ failed: 1, ignored: 0 });
    expect(runtime.clock.pending).toBe(0);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('leaves no timer when the body ends in time', async () => {
    const runtime = testRuntime();
    const client = resilientFetch({
      breaker: (_, name) => new CircuitBreaker({ name, runtime }),
      timeout: '1s',
      fetch: async () => new Response('fine'),
      runtime,
    });
    await (await client(url)).text();
    expect(runtime.clock.pending).toBe(0);
  });

  it('aborts a probe whose lease ends', async () => {
    const { client, runtime, state } = stage(
      (input, init) =>
        String(input).endsWith('hang')
          ? new Promise((_, reject) => {
              init?.signal?.addEventListener('abort', () => reject(init.signal?.reason));
            })
          : Promise.reject(new Error('down')),
      { halfOpen: { maxWait: '3s' } },
    );
    for (let i = 0; i < 2; i += 1) await client(url).catch(() => {});
    await runtime.clock.advance(5_000);
    const probe = expect(client('http://api.test/hang')).rejects.toBeInstanceOf(TimeoutError);
    expect(state()).toBe('half-open');
    await runtime.clock.advance(3_000);
    await probe;
    expect(state()).toBe('open');
  });

  it('keeps a breaker for each origin, bounded, the one used longest ago giving way', async () => {
    const runtime = testRuntime();
    const names: string[] = [];
    const client = resilientFetch({
      breaker: (_, name) => {
        names.push(name);
        return new CircuitBreaker({ name, runtime });
      },
      capacity: 2,
      fetch: async () => new Response(''),
    });
    await client('http://a.test/1');
    await client(new URL('https://b.test:8443/1'));
    await client(new Request('http://a.test/2'));
    await client('http://[::1]:9/');
    // What another copy of undici calls a request.
    await client({ url: 'http://a.test/3', body: null } as Request);
    expect([...client.breakers.keys()]).toEqual(['http://[::1]:9', 'http://a.test']);
    expect(names).toEqual(['http-a.test', 'https-b.test-8443', 'http-1-9']);
  });

  it('keeps the breaker of an origin that is open while a closed one can be forgotten', async () => {
    const runtime = testRuntime();
    const client = resilientFetch({
      breaker: (_, name) => new CircuitBreaker({ name, consecutiveFailures: 1, runtime }),
      capacity: 2,
      fetch: async (input) => new Response('', { status: String(input).includes('down') ? 503 : 200 }),
    });
    for (const host of ['down', 'a', 'b', 'c']) await client(`http://${host}.test/`);
    expect([...client.breakers.keys()]).toEqual(['http://down.test', 'http://c.test']);
    await expect(client('http://down.test/')).rejects.toBeInstanceOf(CircuitOpenError);
  });

  it('passes on what is not of HTTP, and lets fetch complain about what is no URL', async () => {
    const { client } = stage((input) => fetch(input));
    expect(await (await client('data:text/plain,hello')).text()).toBe('hello');
    await expect(client('nonsense')).rejects.toThrow(TypeError);
    expect(client.breakers.size).toBe(0);
  });

  it('keeps url, redirected and type, in clones too', async () => {
    const original = new Response('text', { status: 201, headers: { 'x-a': '1' } });
    Object.defineProperty(original, 'url', { value: `${url}?page=2` });
    const { client } = stage(async () => original);
    const response = await client(url);
    const clone = response.clone();
    for (const each of [response, clone]) {
      expect(each).toMatchObject({ url: `${url}?page=2`, status: 201, redirected: false, type: 'default' });
      expect(each.headers.get('x-a')).toBe('1');
      expect(await each.text()).toBe('text');
    }
  });

  it.each([{}, { breaker: 1 }, { breaker: () => {}, capacity: 0 }, { breaker: () => {}, polcy: 1 }])(
    'refuses the options %o',
    (options) => {
      expect(() => resilientFetch(options as never)).toThrow(InvalidOptionsError);
    },
  );
});

describe('resilientFetch over a real connection', () => {
  let server: Server | undefined;
  afterEach(() => void server?.close());

  it('counts a connection that dies in the body as a failure', async () => {
    server = createServer((request, response) => {
      if (request.url === '/ok') response.end('fine');
      else response.writeHead(200, { 'content-length': '10' }).write('half', () => response.destroy());
    });
    await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const client = resilientFetch({ breaker: (_, name) => new CircuitBreaker({ name }) });
    expect(await (await client(`${origin}/ok`)).text()).toBe('fine');
    await expect((await client(`${origin}/dies`)).text()).rejects.toThrow();
    expect(client.breakers.get(origin)?.metrics.totals).toMatchObject({ succeeded: 1, failed: 1 });
  });
});
