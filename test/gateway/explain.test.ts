import { describe, expect, it } from 'vitest';
import { RequestRouter } from '../../src/gateway/request-router.ts';
import { CircuitBreaker } from '../../src/resilience/circuit-breaker.ts';
import { registryOf } from './support.ts';

const registry = registryOf({ orders: ['http://10.0.0.1:80'], beta: ['http://10.0.0.2:80'] });

function shop(): RequestRouter {
  return new RequestRouter({ registry, trustedProxies: ['10.0.0.0/8'] })
    .use(function counted() {})
    .route('GET /orders/:id', {
      service: 'orders',
      stripPrefix: '/orders',
      addPrefix: '/v2',
      policy: new CircuitBreaker({ name: 'orders' }),
      mirror: { service: 'beta', share: 0.5 },
    })
    .route('/orders/*', { url: 'http://10.0.0.9' })
    .route('GET /orders/:id', { service: 'beta', when: { headers: { 'x-beta': true } } })
    .route('POST /orders/:id', { service: 'orders' })
    .route('api.example/orders/:id', { service: 'orders' })
    .route('/old/*', { redirect: '/orders/{*}' })
    .route('/split', {
      split: [
        { service: 'orders', weight: 3 },
        { url: 'http://10.0.0.3', weight: 1 },
      ],
      sticky: { header: 'x-user' },
    });
}

describe('explain', () => {
  it('says which route, why, where to, and which were near', async () => {
    const explained = await shop().explain({ url: 'http://shop.example/orders/7?a=b' });
    expect(explained).toEqual({
      method: 'GET',
      host: 'shop.example',
      path: '/orders/7',
      query: 'a=b',
      clientAddress: 'unknown',
      route: 'GET /orders/:id',
      params: { id: '7' },
      why: ['every host', 'path /orders/:id', 'method GET'],
      guards: ['counted'],
      policy: 'orders',
      destination: {
        kind: 'service',
        service: 'orders',
        instance: 'orders-1',
        url: 'http://10.0.0.1:80/v2/7?a=b',
        path: '/v2/7?a=b',
        shares: undefined,
        mirror: { service: 'beta', url: undefined, part: 0.5 },
      },
      passedOver: [
        { route: '/orders/*', by: 'order', because: 'GET /orders/:id is the more specific' },
        { route: 'GET /orders/:id', by: 'condition', because: 'header x-beta is present: got nothing' },
        { route: 'POST /orders/:id', by: 'method', because: 'method POST: got GET' },
        { route: 'api.example/orders/:id', by: 'host', because: 'host api.example: got shop.example' },
      ],
    });
    expect(registry.open).toBe(0);
    expect(registry.outcomes.every(({ outcome }) => outcome === 'cancelled')).toBe(true);
  });

  it('takes a Request as well, and says what another header would have changed', async () => {
    const request = new Request('http://shop.example/orders/7', { headers: { 'X-Beta': '1' } });
    const explained = await shop().explain(request);
    expect(explained.destination).toMatchObject({ service: 'beta', url: 'http://10.0.0.2:80/orders/7' });
    expect(explained.why).toContain('header x-beta is present');
    expect(explained.passedOver[0]?.because).toBe('GET /orders/:id has more conditions');
  });

  it('says what is refused, and what was near', async () => {
    const router = shop();
    expect(await router.explain({ url: '/orders/..%2fadmin' })).toMatchObject({
      refused: { status: 400, reason: expect.stringContaining('encoded slash') },
      passedOver: [],
    });
    const lost = await router.explain({ url: '/old', method: 'trace' });
    expect(lost.refused).toEqual({ status: 404, reason: 'no route leads here' });
    expect(lost.passedOver).toEqual([
      { route: '/old/*', by: 'method', because: 'method every method but this: got TRACE' },
    ]);
    const wrong = await new RequestRouter()
      .route('GET /a/b', { url: 'http://a' })
      .explain({ url: '/a/b', method: 'PUT' });
    expect(wrong.refused).toEqual({ status: 405, reason: 'PUT is not among GET, HEAD' });
    const typo = await new RequestRouter().route('GET /a/b', { url: 'http://a' }).explain({ url: '/a/c' });
    expect(typo.passedOver).toEqual([{ route: 'GET /a/b', by: 'path', because: 'path /a/b: got /a/c' }]);
  });

  it('knows the way of a split only when its key decides', async () => {
    const router = shop();
    const chance = await router.explain({ url: '/split' });
    expect(chance.destination).toMatchObject({
      kind: 'split',
      shares: [
        { service: 'orders', part: 0.75 },
        { url: 'http://10.0.0.3', part: 0.25 },
      ],
    });
    expect(chance.destination?.url).toBeUndefined();
    const kept = await router.explain({ url: '/split', headers: { 'x-user': 'ann' } });
    expect(kept.destination?.url).toMatch(/\/split$/);
  });

  it('tells where a redirect leads, who asks by way of a trusted proxy, and what cannot be served now', async () => {
    const router = shop().route('/gone', { service: 'nobody' });
    expect((await router.explain({ url: '/old/7?a' })).destination).toEqual({
      kind: 'redirect',
      url: '/orders/7?a',
    });
    const behind = { clientAddress: '10.1.1.1', headers: { 'X-Forwarded-For': '192.0.2.7' } };
    expect((await router.explain({ url: '/old/7', ...behind })).clientAddress).toBe('192.0.2.7');
    expect((await router.explain({ url: '/gone' })).destination).toMatchObject({
      service: 'nobody',
      problem: expect.stringContaining('none is registered'),
    });
  });
});
