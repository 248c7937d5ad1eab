import { describe, expect, it } from 'vitest';
import { InvalidOptionsError } from '../../src/core/errors.ts';
import { RequestRouter } from '../../src/gateway/request-router.ts';
import { closeAfterEach, listening, registryOf, upstream } from './support.ts';

closeAfterEach();

describe('RequestRouter', () => {
  it('routes to a service, a fixed upstream and a function, by method, host and path', async () => {
    const orders = await upstream((request, response) =>
      response.end(`orders ${request.method} ${request.url}`),
    );
    const fixed = await upstream((request, response) => response.end(`fixed ${request.url}`));
    const { url } = await listening({ registry: registryOf({ orders: [orders.url] }) }, (router) =>
      router
        .route('/orders/*', { service: 'orders' })
        .route('GET /fixed/:id', { url: fixed.url })
        .route('POST /here', { handle: async (exchange) => new Response(await exchange.readBody()) }),
    );
    expect(await (await fetch(`${url}/orders/7?a=b`)).text()).toBe('orders GET /orders/7?a=b');
    expect(await (await fetch(`${url}/orders`, { method: 'DELETE' })).text()).toBe('orders DELETE /orders');
    expect(await (await fetch(`${url}/fixed/1`)).text()).toBe('fixed /fixed/1');
    expect(await (await fetch(`${url}/here`, { method: 'POST', body: 'hello' })).text()).toBe('hello');
  });

  it('answers what it cannot serve as problem+json', async () => {
    const { url } = await listening({ registry: registryOf({}) }, (router) =>
      router.route('GET,PUT /things/:id', { service: 'nowhere' }),
    );
    const unknown = await fetch(`${url}/nothing`);
    expect(unknown.status).toBe(404);
    expect(unknown.headers.get('content-type')).toBe('application/problem+json');
    expect(await unknown.json()).toMatchObject({ title: 'Not Found', status: 404 });
    const wrong = await fetch(`${url}/things/1`, { method: 'POST' });
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'GET, HEAD, PUT']);
    const none = await fetch(`${url}/things/1`);
    expect(none.status).toBe(503);
    expect(await none.json()).toMatchObject({ code: 'HOLDFAST_NO_INSTANCE' });
  });

  it('fetch is the same exchange by another door', async () => {
    const echo = await upstream((request, response) => {
      response.setHeader('x-forwarded-seen', String(request.headers['x-forwarded-for']));
      request.pipe(response);
    });
    const router = new RequestRouter().route('/*', { url: echo.url });
    const big = 'x'.repeat(300_000);
    const response = await router.fetch(new Request('http://shop/a', { method: 'POST', body: big }), {
      clientAddress: '192.0.2.7',
    });
    expect(response.headers.get('x-forwarded-seen')).toBe('192.0.2.7');
    expect(await response.text()).toBe(big);
    expect((await router.fetch(new Request('http://shop/a%2fb'))).status).toBe(400);
    await router.stop();
    expect((await router.fetch(new Request('http://shop/'))).status).toBe(503);
  });

  it.each([
    [{ trustedProxies: ['10.0.0.0/33'] }, 'trustedProxies.0'],
    [{ registry: {} }, 'registry'],
    [{ limits: { headers: 0 } }, 'limits.headers'],
    [{ colour: 'red' }, 'colour'],
  ])('refuses the options %o', (options, field) => {
    expect(() => new RequestRouter(options as never)).toThrow(InvalidOptionsError);
    expect(() => new RequestRouter(options as never)).toThrow(field);
  });

  it.each([
    ['orders', { url: 'http://a' }, 'pattern'],
    ['/a?b', { url: 'http://a' }, 'pattern'],
    ['/:id(^(a+)+$)', { url: 'http://a' }, 'pattern'],
    ['NONSENSE /a', { url: 'http://a' }, 'pattern'],
    ['/a/{id}', { url: 'http://a' }, ':name'],
    ['/a', {}, 'got none of them; accepts exactly one'],
    ['/a', { url: 'http://a', service: 'b' }, 'got several of them; accepts exactly one'],
    ['/a', { url: 'http://a/path' }, 'got "http://a/path"; accepts an http(s) origin'],
    ['/a', { url: 'ftp://a' }, 'origin'],
    ['/a', { service: 'b' }, 'got a router without a registry'],
    ['/a', { url: 'http://a', policy: {} }, 'policy'],
    ['/a', { url: 'http://a', timeouts: { connect: -1 } }, 'timeouts.connect'],
  ])('refuses the route %s %o', (pattern, options, said) => {
    const router = new RequestRouter();
    expect(() => router.route(pattern, options as never)).toThrow(InvalidOptionsError);
    expect(() => router.route(pattern, options as never)).toThrow(said);
  });

  it('refuses a pattern twice', () => {
    const router = new RequestRouter().route('/a', { url: 'http://a' });
    expect(() => router.route('/a', { url: 'http://b' })).toThrow('declared already');
  });
});
