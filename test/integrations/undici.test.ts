import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Agent, Client, type Dispatcher, interceptors } from 'undici';
import { afterEach, describe, expect, it } from 'vitest';
import { CircuitOpenError, InvalidOptionsError } from '../../src/core/errors.ts';
import { resilientDispatch } from '../../src/integrations/undici.ts';
import { CircuitBreaker } from '../../src/resilience/circuit-breaker.ts';
import type { CircuitBreakerOptions } from '../../src/resilience/circuit-options.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function serve(handler: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server: Server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(
    () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  );
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function stage(options: Partial<CircuitBreakerOptions> = {}, dispatcher: Dispatcher = new Agent()) {
  const runtime = testRuntime();
  const breakers = resilientDispatch({
    breaker: (_, name) => new CircuitBreaker({ name, minimumCalls: 2, openFor: '5s', runtime, ...options }),
    runtime,
  });
  closing.push(() => dispatcher.destroy());
  const totals = () => [...breakers.breakers.values()][0]?.metrics.totals;
  return { agent: dispatcher.compose(breakers), breakers: breakers.breakers, totals, runtime };
}

const get = (agent: Dispatcher, origin: string, path = '/', signal?: AbortSignal) =>
  agent.request({ origin, path, method: 'GET', ...(signal && { signal }) });

describe('resilientDispatch', () => {
  it('succeeds at the end of the body, not at the headers', async () => {
    let finish!: () => void;
    const origin = await serve((_, response) => {
      response.write('half');
      finish = () => response.end(', whole');
    });
    const { agent, totals } = stage();
    const { body } = await get(agent, origin);
    expect(totals()).toMatchObject({ succeeded: 0, failed: 0 });
    finish();
    expect(await body.text()).toBe('half, whole');
    expect(totals()).toMatchObject({ succeeded: 1, failed: 0 });
  });

  it('fails when the body breaks off, after a good status', async () => {
    const origin = await serve((_, response) => {
      response.writeHead(200, { 'content-length': '10' }).write('half', () => response.destroy());
    });
    const { agent, totals } = stage();
    const { body } = await get(agent, origin);
    await expect(body.text()).rejects.toThrow();
    expect(totals()).toMatchObject({ succeeded: 0, failed: 1 });
  });

  it('opens by status, rejects without a request, and waits as long as Retry-After says', async () => {
    let requests = 0;
    const origin = await serve((_, response) => {
      requests += 1;
      response.writeHead(503, { 'retry-after': '20' }).end('busy');
    });
    const { agent, breakers, runtime } = stage();
    for (let i = 0; i < 2; i += 1) {
      const { statusCode, body } = await get(agent, origin);
      expect([statusCode, await body.text()]).toEqual([503, 'busy']);
    }
    await expect(get(agent, origin)).rejects.toBeInstanceOf(CircuitOpenError);
    expect(requests).toBe(2);
    expect(breakers.get(origin)?.metrics.retryAfter).toBe(20_000);
    await runtime.clock.advance(20_000);
    expect(breakers.get(origin)?.state).toBe('half-open');
  });

  it('fails when nobody listens', async () => {
    const { agent, totals } = stage();
    await expect(get(agent, 'http://127.0.0.1:1')).rejects.toThrow();
    expect(totals()).toMatchObject({ failed: 1 });
  });

  it('does not count what the caller aborts, before the headers or in the body', async () => {
    let arrived!: () => void;
    const arrival = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const origin = await serve((request, response) => {
      if (request.url === '/body') response.write('half');
      else arrived();
    });
    const { agent, totals } = stage();
    const first = new AbortController();
    const call = get(agent, origin, '/', first.signal);
    await arrival;
    first.abort(new Error('gone'));
    await expect(call).rejects.toThrow('gone');
    expect(totals()).toMatchObject({ ignored: 1, failed: 0 });
    const second = new AbortController();
    const { body } = await get(agent, origin, '/body', second.signal);
    second.abort(new Error('gone'));
    await expect(body.text()).rejects.toThrow('gone');
    expect(totals()).toMatchObject({ ignored: 2, failed: 0, succeeded: 0 });
  });

  it('aborts a probe whose lease ends', async () => {
    let arrived!: () => void;
    const arrival = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const origin = await serve((request, response) => {
      if (request.url === '/hang') arrived();
      else response.writeHead(500).end();
    });
    const { agent, breakers, runtime } = stage({ halfOpen: { maxWait: '3s' } });
    for (let i = 0; i < 2; i += 1) await (await get(agent, origin)).body.dump();
    await runtime.clock.advance(5_000);
    const probe = expect(get(agent, origin, '/hang')).rejects.toThrow('probe');
    await arrival;
    await runtime.clock.advance(3_000);
    await probe;
    expect(breakers.get(origin)?.state).toBe('open');
  });

  it('stands behind a retry interceptor, and a client of one origin', async () => {
    let requests = 0;
    const origin = await serve((_, response) => {
      requests += 1;
      response.writeHead(requests < 3 ? 503 : 200).end('text');
    });
    const { agent, breakers, totals } = stage({ minimumCalls: 100 }, new Client(origin));
    const retrying = agent.compose(interceptors.retry({ minTimeout: 1, timeoutFactor: 1 }));
    const { statusCode, body } = await retrying.request({ path: '/', method: 'GET', origin });
    expect([statusCode, await body.text()]).toEqual([200, 'text']);
    expect(totals()).toMatchObject({ failed: 2, succeeded: 1 });
    expect([...breakers.keys()]).toEqual([origin]);
  });

  it('refuses wrong options', () => {
    expect(() => resilientDispatch({ breaker: 1 } as never)).toThrow(InvalidOptionsError);
  });
});
