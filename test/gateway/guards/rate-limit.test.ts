import { describe, expect, it } from 'vitest';
import { memoryRateStore } from '../../../src/adapters/memory/rate-store.ts';
import { InvalidOptionsError } from '../../../src/core/errors.ts';
import { type RateLimitOptions, rateLimit } from '../../../src/gateway/guards/rate-limit.ts';
import { RequestRouter } from '../../../src/gateway/request-router.ts';
import { testRuntime } from '../../../src/testing/test-runtime.ts';

function limited(options: RateLimitOptions): (clientAddress?: string, path?: string) => Promise<Response> {
  const router = new RequestRouter()
    .use(rateLimit(options))
    .route('/*', { handle: () => new Response('ok') });
  return (clientAddress = '1.2.3.4', path = '/') =>
    router.fetch(new Request(`http://a${path}`), { clientAddress });
}

describe('rateLimit', () => {
  it('lets so many pass and tells the rest when to come again', async () => {
    const runtime = testRuntime();
    const ask = limited({ limit: 2, per: '10s', runtime });
    const first = await ask();
    expect([first.status, first.headers.get('ratelimit-policy'), first.headers.get('ratelimit')]).toEqual([
      200,
      '"default";q=2;w=10',
      '"default";r=1;t=5',
    ]);
    expect((await ask()).status).toBe(200);
    const refused = await ask();
    expect([refused.status, refused.headers.get('retry-after'), refused.headers.get('ratelimit')]).toEqual([
      429,
      '5',
      '"default";r=0;t=10',
    ]);
    expect(refused.headers.get('content-type')).toBe('application/problem+json');
    runtime.clock.advanceSync(5_000);
    expect((await ask()).status).toBe(200);
  });

  it('counts each client, and an IPv6 subscriber as one (rule 17)', async () => {
    const ask = limited({ limit: 1, per: '10s', runtime: testRuntime() });
    expect((await ask('1.1.1.1')).status).toBe(200);
    expect((await ask('1.1.1.2')).status).toBe(200);
    expect((await ask('2001:db8::1')).status).toBe(200);
    expect((await ask('2001:db8::ffff:1')).status).toBe(429);
    expect((await ask('2001:db8:0:1::1')).status).toBe(200);
  });

  it('counts by any key, with a limit of its own for each exchange', async () => {
    const ask = limited({
      limit: ({ path }) => (path === '/gold' ? 3 : 1),
      per: '1m',
      key: ({ path }) => path,
      runtime: testRuntime(),
    });
    const statuses = [];
    for (const path of ['/gold', '/gold', '/gold', '/gold', '/tin', '/tin']) {
      statuses.push((await ask('1.1.1.1', path)).status);
    }
    expect(statuses).toEqual([200, 200, 200, 429, 200, 429]);
  });

  it('several limits are all told', async () => {
    const runtime = testRuntime();
    const router = new RequestRouter({ runtime })
      .use(rateLimit({ limit: 9, per: '1m', name: 'all', runtime }))
      .route('/', {
        guards: [rateLimit({ limit: 2, per: '1s', name: 'own', runtime })],
        handle: () => new Response(null, { headers: { ratelimit: 'none' } }),
      });
    const { headers } = await router.fetch(new Request('http://a/'));
    expect(headers.get('ratelimit-policy')).toBe('"all";q=9;w=60, "own";q=2;w=1');
    expect(headers.get('ratelimit')).toMatch(/^"all";r=8;t=\d+, "own";r=1;t=\d+$/);
  });

  it('shares a store, apart by name', async () => {
    const runtime = testRuntime();
    const store = memoryRateStore({ runtime });
    const one = limited({ limit: 1, per: '1m', store });
    const same = limited({ limit: 1, per: '1m', store });
    const other = limited({ limit: 1, per: '1m', store, name: 'other' });
    expect([(await one()).status, (await same()).status, (await other()).status]).toEqual([200, 429, 200]);
  });

  it.each(['sync', 'async'])('a store that fails (%s) lets pass, or refuses, as it is told', async (kind) => {
    const store = {
      name: 'down',
      take: () => {
        if (kind === 'sync') throw new Error('down');
        return Promise.reject(new Error('down'));
      },
    };
    expect((await limited({ limit: 1, per: '1m', store })()).status).toBe(200);
    expect((await limited({ limit: 1, per: '1m', store, whenStoreFails: 'refuse' })()).status).toBe(503);
  });

  it.each([
    [{ limit: 0, per: '1s' }, 'limit'],
    [{ limit: 1 }, 'per'],
    [{ limit: 1, per: 0 }, 'per'],
    [{ limit: 1.5, per: '1s' }, 'limit'],
    [{ limit: 1, per: '1s', store: {} }, 'store'],
  ])('refuses the options %o', (options, field) => {
    expect(() => rateLimit(options as never)).toThrow(InvalidOptionsError);
    expect(() => rateLimit(options as never)).toThrow(field);
  });
});
