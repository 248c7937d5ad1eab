/** What the gateway decides by other things than the address keeps cached answers apart. */
import { describe, expect, it } from 'vitest';
import { cache } from '../../../src/gateway/guards/cache/response-cache.ts';
import { RequestRouter } from '../../../src/gateway/request-router.ts';
import { closeAfterEach, exchange, listening, registryOf, upstream } from '../support.ts';

closeAfterEach();

const get = async (router: RequestRouter, headers: Record<string, string> = {}): Promise<string> =>
  (await router.fetch(new Request('http://shop/p', { headers }))).text();

/** An upstream whose answers may be kept for a minute, and how often it was asked. */
async function saying(text: (host: string) => string): Promise<{ readonly url: string; calls: number }> {
  const { url } = await upstream((request, response) => {
    state.calls += 1;
    response.setHeader('cache-control', 'max-age=60');
    response.end(text(String(request.headers['x-forwarded-host'])));
  });
  const state = { url, calls: 0 };
  return state;
}

describe('a cache for all routes', () => {
  it('keeps routes apart that differ by a condition', async () => {
    const [a, b] = [await saying(() => 'A'), await saying(() => 'B')];
    const router = new RequestRouter()
      .use(cache())
      .route('/*', { url: a.url })
      .route('/*', { url: b.url, when: { headers: { 'x-group': 'b' } } });
    const answers: string[] = [];
    for (const group of ['a', 'b', 'a', 'b']) answers.push(await get(router, { 'x-group': group }));
    expect(answers).toEqual(['A', 'B', 'A', 'B']);
    expect([a.calls, b.calls]).toEqual([1, 1]);
    await router.stop();
  });

  it('keeps the ways of a split apart, and stays with the way under which it looked', async () => {
    const [a, b] = [await saying(() => 'A'), await saying(() => 'B')];
    const shares = [a, b].map(({ url }) => ({ url, weight: 1 }));
    const sticky =
      (groups: string) =>
      ({ headers }: { headers: { get(name: string): string | undefined } }) =>
        groups.includes(headers.get('x-user') ?? '') ? 'k1' : 'k4';
    const router = new RequestRouter()
      .use(cache(), (it) => it.headers.set('x-user', '?'))
      .route('/*', { split: shares, sticky: sticky('ab') });
    const ways = new Map<string, string>();
    for (const user of ['a', 'b', 'c', 'd', 'a', 'c']) ways.set(user, await get(router, { 'x-user': user }));
    expect([ways.get('a'), ways.get('c')].sort()).toEqual(['A', 'B']);
    expect([ways.get('b'), ways.get('d')]).toEqual([ways.get('a'), ways.get('c')]);
    expect([a.calls, b.calls]).toEqual([1, 1]);
    await router.stop();
  });

  it('keeps services apart that a function names', async () => {
    const [a, b] = [await saying(() => 'A'), await saying(() => 'B')];
    const registry = registryOf({ red: [a.url], blue: [b.url] });
    const router = new RequestRouter({ registry })
      .use(cache())
      .route('/*', { service: (it) => it.headers.get('x-tenant') ?? '' });
    const tenants = ['red', 'blue', 'red', 'blue'];
    const answers = await Promise.all(tenants.map((tenant) => get(router, { 'x-tenant': tenant })));
    expect(answers).toEqual(['A', 'B', 'A', 'B']);
    expect([a.calls, b.calls]).toEqual([1, 1]);
    await router.stop();
  });

  it('keeps paths apart that a function makes', async () => {
    const { url } = await upstream((request, response) => {
      response.setHeader('cache-control', 'max-age=60');
      response.end(request.url);
    });
    const router = new RequestRouter()
      .use(cache())
      .route('/*', { url, rewrite: (it) => `/${it.headers.get('x-tenant')}` });
    expect([await get(router, { 'x-tenant': 'a' }), await get(router, { 'x-tenant': 'b' })]).toEqual([
      '/a',
      '/b',
    ]);
    await router.stop();
  });

  it('asks the new upstream after the routes were replaced, and keeps what a route held that stayed', async () => {
    const [a, b] = [await saying(() => 'A'), await saying(() => 'B')];
    const router = new RequestRouter().use(cache()).route('/*', { url: a.url });
    expect(await get(router)).toBe('A');
    router.replace([
      { pattern: '/*', url: a.url },
      { pattern: '/other', url: b.url },
    ]);
    expect([await get(router), a.calls]).toEqual(['A', 1]);
    router.replace([{ pattern: '/*', url: b.url }]);
    expect(await get(router)).toBe('B');
    await router.stop();
  });

  it.each([
    ['X-Forwarded-Host: evil', 'X-Forwarded-Host: shop'],
    ['X-Forwarded-Prefix: /evil', 'X-Forwarded-Prefix: /'],
    ['X-Forwarded-Port: 1', 'X-Forwarded-Port: 2'],
    ['Forwarded: for=192.0.2.1;host=evil', 'Forwarded: for=192.0.2.1;Host="shop"'],
  ])('keeps what a trusted proxy says of the address apart: %s', async (evil, honest) => {
    const page = await saying((host) => `link to ${host}`);
    const { port } = await listening({ trustedProxies: ['127.0.0.1'] }, (router) =>
      router.use(cache()).route('/*', { url: page.url }),
    );
    const ask = (line: string): Promise<string> => exchange(port, ['GET /p HTTP/1.1', 'Host: shop', line]);
    await ask(evil);
    await ask(honest);
    expect(page.calls).toBe(2);
    await ask(honest);
    expect(page.calls).toBe(2);
  });

  it('is one cache for the clients of a trusted proxy, whoever they are', async () => {
    const page = await saying(() => 'page');
    const { port } = await listening({ trustedProxies: ['127.0.0.1'] }, (router) =>
      router.use(cache()).route('/*', { url: page.url }),
    );
    for (const last of [1, 2, 3]) {
      const lines = [`X-Forwarded-For: 192.0.2.${last}`, `Forwarded: for=192.0.2.${last}`];
      await exchange(port, ['GET /p HTTP/1.1', 'Host: shop', ...lines]);
    }
    expect(page.calls).toBe(1);
  });

  it('forgets the answers of all routes to an address by its key, and by a change', async () => {
    const [a, b] = [await saying(() => 'A'), await saying(() => 'B')];
    const pages = cache();
    const router = new RequestRouter()
      .use(pages)
      .route('/*', { url: a.url })
      .route('GET /*', { url: b.url, when: { headers: { 'x-group': 'b' } } });
    const fill = async (): Promise<void> => {
      await get(router);
      await get(router, { 'x-group': 'b' });
    };
    await fill();
    expect(pages.stats().size).toBe(2);
    expect(pages.purge('http://shop/p')).toBe(2);
    await fill();
    await (await router.fetch(new Request('http://shop/p', { method: 'POST', body: 'x' }))).text();
    expect(pages.stats().size).toBe(0);
    await router.stop();
  });
});
