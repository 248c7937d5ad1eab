import { describe, expect, it } from 'vitest';
import { BulkheadFullError, TimeoutError } from '../../src/core/errors.ts';
import type { RequestMirrored } from '../../src/gateway/router-events.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import {
  closeAfterEach,
  listening,
  onCleanup,
  registryOf,
  type TestUpstream,
  until,
  upstream,
} from './support.ts';

closeAfterEach();

interface Copy {
  readonly method: string;
  readonly url: string;
  readonly body: string;
  readonly mark: string | undefined;
  readonly tenant: string | undefined;
}

/** An upstream that notes what it gets. */
async function noting(status = 200): Promise<TestUpstream & { readonly got: Copy[] }> {
  const got: Copy[] = [];
  const server = await upstream(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const { 'holdfast-mirror': mark, 'x-tenant': tenant } = request.headers;
    const copy = {
      method: request.method!,
      url: request.url!,
      body,
      mark: mark as string,
      tenant: tenant as string,
    };
    got.push(copy);
    response.writeHead(status).end('x'.repeat(200_000));
  });
  return { ...server, got };
}

describe('mirror', () => {
  it('sends a copy with the same path, headers and body, and throws its answer away', async () => {
    const shadow = await noting(500);
    const main = await upstream((_request, response) => response.end('answer'));
    const told: RequestMirrored[] = [];
    const { url } = await listening(
      { registry: registryOf({ main: [main.url], shadow: [shadow.url] }) },
      (router) => {
        router.on('mirrored', (event) => told.push(event));
        router.route('/api/*', { service: 'main', stripPrefix: '/api', mirror: { service: 'shadow' } });
      },
    );
    const request = { method: 'POST', body: 'hello', headers: { 'x-tenant': 'a' } };
    expect(await (await fetch(`${url}/api/x?y=z`, request)).text()).toBe('answer');
    await until(() => told.length === 1);
    expect(shadow.got).toEqual([{ method: 'POST', url: '/x?y=z', body: 'hello', mark: '1', tenant: 'a' }]);
    const { error, ...rest } = told[0]!;
    expect(rest).toEqual({ route: '/api/*', service: 'shadow', instance: 'shadow-1', status: 500 });
    expect(error).toBeUndefined();
  });

  it('copies no body that streams, and only its share', async () => {
    const shadow = await noting();
    const main = await noting();
    const numbers = [0.1, 0.9, 0.3];
    const runtime = { random: () => numbers.shift() ?? 0.99 };
    const { url } = await listening({ runtime }, (router) =>
      router
        .route('/all', { url: main.url, mirror: { url: shadow.url } })
        .route('/part', { url: main.url, mirror: { url: shadow.url, share: 0.25 } }),
    );
    for (const body of ['a'.repeat(65_536), 'b'.repeat(65_537)]) {
      await (await fetch(`${url}/all`, { method: 'PUT', body })).text();
    }
    const stream = new ReadableStream({
      start: (controller) => {
        controller.enqueue(Buffer.from('c'));
        controller.close();
      },
    });
    await (await fetch(`${url}/all`, { method: 'PUT', body: stream, duplex: 'half' } as RequestInit)).text();
    for (let index = 0; index < 3; index += 1) await (await fetch(`${url}/part`)).text();
    await until(() => shadow.got.length === 2);
    expect(main.got).toHaveLength(6);
    expect(shadow.got.map(({ url: path, body }) => [path, body[0]])).toEqual([
      ['/all', 'a'],
      ['/part', undefined],
    ]);
  });

  it('never slows nor fails the request, and leaves copies out beyond its own limit', async () => {
    let stuck = 0;
    const shadow = await upstream(() => {
      stuck += 1;
    });
    const main = await upstream((_request, response) => response.end('answer'));
    const told: RequestMirrored[] = [];
    const { clock } = testRuntime();
    const { url, router } = await listening({ runtime: { clock } }, (it) => {
      it.on('mirrored', (event) => told.push(event));
      it.route('/stuck', { url: main.url, mirror: { url: shadow.url, concurrency: 2, timeout: '3s' } });
      it.route('/dead', { url: main.url, mirror: { url: 'http://127.0.0.1:1' } });
      it.route('/lost', { url: main.url, mirror: { url: 'http://169.254.169.254' } });
    });
    for (let index = 0; index < 5; index += 1)
      expect(await (await fetch(`${url}/stuck`)).text()).toBe('answer');
    await until(() => stuck === 2 && told.length === 3);
    expect(told.every(({ error }) => error instanceof BulkheadFullError)).toBe(true);
    expect(router.active).toBe(0);
    expect(await (await fetch(`${url}/dead`)).text()).toBe('answer');
    expect(await (await fetch(`${url}/lost`)).text()).toBe('answer');
    await until(() => told.length === 5);
    await clock.advance(3_000);
    await until(() => told.length === 7);
    expect(told.slice(5).every(({ error }) => error instanceof TimeoutError)).toBe(true);
  });

  it('ends with the router', async () => {
    let closed = 0;
    let arrived = 0;
    const shadow = await upstream((_request, response) => {
      arrived += 1;
      response.on('close', () => {
        closed += 1;
      });
    });
    const main = await upstream((_request, response) => response.end());
    const { url, router } = await listening({}, (it) =>
      it.route('/', { url: main.url, mirror: { url: shadow.url } }),
    );
    onCleanup(() => router.stop());
    await fetch(url);
    await until(() => arrived === 1);
    await router.stop({ timeout: 0 });
    await until(() => closed === 1);
  });
});
