import { describe, expect, it } from 'vitest';
import { InvalidOptionsError, ProblemError } from '../../../src/core/errors.ts';
import type { Exchange } from '../../../src/gateway/exchange/exchange.ts';
import {
  type CacheOptions,
  cache,
  type ResponseCache,
} from '../../../src/gateway/guards/cache/response-cache.ts';
import { cors } from '../../../src/gateway/guards/cors.ts';
import { requestId } from '../../../src/gateway/guards/request-id.ts';
import { RequestRouter } from '../../../src/gateway/request-router.ts';
import type { ManualClock } from '../../../src/testing/manual-clock.ts';
import { type TestRuntime, testRuntime } from '../../../src/testing/test-runtime.ts';

type Handler = (exchange: Exchange, call: number) => Response | Promise<Response>;

interface Stage {
  readonly get: (path?: string, headers?: Record<string, string>, method?: string) => Promise<Response>;
  readonly calls: Exchange[];
  readonly pages: ResponseCache;
  readonly runtime: TestRuntime;
  readonly pass: (milliseconds: number) => Promise<void>;
}

/** A cache in front of a function that counts its calls. */
function stage(handler: Handler, options: CacheOptions = {}): Stage {
  const runtime = testRuntime({ wallTime: Date.UTC(2026, 0, 1) });
  const calls: Exchange[] = [];
  const pages = cache({ runtime, ...options });
  const router = new RequestRouter({ runtime }).use(pages).route('/*', {
    handle: (exchange) => handler(exchange, calls.push(exchange)),
  });
  return {
    get: (path = '/', headers = {}, method = 'GET') =>
      router.fetch(new Request(`http://shop${path}`, { headers, method })),
    calls,
    pages,
    runtime,
    pass: (milliseconds) => (runtime.clock as ManualClock).advance(milliseconds),
  };
}

const text = (headers: Record<string, string>, body = 'body'): Response => new Response(body, { headers });

const fresh = { 'cache-control': 'max-age=60' };

describe('cache', () => {
  it('a successful unsafe request forgets what its Location and Content-Location name, of the same origin only', async () => {
    const named: Record<string, string> = {};
    const { get, calls } = stage(({ method }) =>
      method === 'GET' ? text(fresh) : new Response(null, { status: 201, headers: named }),
    );
    const renewed = async (path: string, headers: Record<string, string>): Promise<boolean> => {
      await get(path);
      const before = calls.length;
      for (const name of Object.keys(named)) delete named[name];
      Object.assign(named, headers);
      await get('/things', {}, 'POST');
      await get(path);
      // The POST itself, and the GET if it had to be made.
      return calls.length === before + 2;
    };
    expect(await renewed('/things/1?a=b', { location: '/things/1?a=b' })).toBe(true);
    expect(await renewed('/things/2', { 'content-location': 'http://shop/x/../things/%32' })).toBe(true);
    expect(await renewed('/things/3', { location: 'things/3', 'content-location': '/' })).toBe(true);
    expect(await renewed('/things/4', { location: 'http://elsewhere/things/4' })).toBe(false);
    expect(await renewed('/things/5', { location: 'https://shop/things/5' })).toBe(false);
    expect(await renewed('/things/6', { location: 'http://[' })).toBe(false);
  });

  it('gives an answer again while it is fresh, with its age, and asks again after', async () => {
    const { get, calls, pass } = stage((_it, call) =>
      text({ ...fresh, 'x-call': String(call) }, `body ${call}`),
    );
    const first = await get('/a');
    expect([await first.text(), first.headers.get('age')]).toEqual(['body 1', null]);
    expect(first.headers.get('cache-status')).toBe('holdfast; fwd=uri-miss; stored');
    await pass(59_000);
    const second = await get('/a');
    expect([await second.text(), second.headers.get('age'), second.headers.get('x-call')]).toEqual([
      'body 1',
      '59',
      '1',
    ]);
    expect(second.headers.get('cache-status')).toBe('holdfast; hit; ttl=1');
    expect(second.headers.get('content-length')).toBe('6');
    await pass(2_000);
    expect(await (await get('/a')).text()).toBe('body 2');
    expect(calls).toHaveLength(2);
  });

  it.each<[string, Record<string, string>]>([
    ['says nothing', {}],
    ['is no-store', { 'cache-control': 'no-store, max-age=60' }],
    ['is private', { 'cache-control': 'private, max-age=60' }],
    ['sets a cookie', { ...fresh, 'set-cookie': 'a=b' }],
    ['sets a cookie, though it is public', { 'cache-control': 'public, max-age=60', 'set-cookie': 'a=b' }],
    ['varies by everything', { ...fresh, vary: '*' }],
    ['says 0', { 'cache-control': 'max-age=0' }],
    ['has expired', { expires: 'Thu, 01 Jan 2020 00:00:00 GMT' }],
    ['is too long by its own word', { ...fresh, 'content-length': '2000000' }],
  ])('does not hold an answer that %s', async (_what, headers) => {
    const { get, calls, pages } = stage((it) =>
      it.method === 'HEAD'
        ? new Response(null, { headers })
        : text(headers, headers['content-length'] ? 'x'.repeat(2_000_000) : 'x'),
    );
    await (await get()).text();
    await (await get()).text();
    expect([calls.length, pages.stats().size, pages.stats().bytes]).toEqual([2, 0, 0]);
  });

  it('does not hold what turns out to be too long', async () => {
    const { get, calls, pages } = stage(() => text(fresh, 'x'.repeat(101)), { maxEntryBytes: 100 });
    expect(await (await get()).text()).toHaveLength(101);
    await (await get()).text();
    expect([calls.length, pages.stats().size]).toEqual([2, 0]);
  });

  it('keeps what was made for somebody from everybody else', async () => {
    const { get, calls } = stage((it) => text(fresh, it.headers.get('authorization') ?? 'nobody'));
    const ann = { authorization: 'Bearer ann' };
    expect(await (await get('/', ann)).text()).toBe('Bearer ann');
    expect(await (await get('/', { authorization: 'Bearer bob' })).text()).toBe('Bearer bob');
    expect(await (await get()).text()).toBe('nobody');
    // What anybody was given, somebody may be given, too.
    expect(await (await get('/', ann)).text()).toBe('nobody');
    expect(calls).toHaveLength(3);
  });

  it('a principal counts as much as the header does, however it was established', async () => {
    const runtime = testRuntime();
    const router = new RequestRouter({ runtime })
      .use((it) => {
        it.principal = { subject: it.headers.get('x-api-key') ?? '', claims: {} };
      })
      .use(cache({ runtime }))
      .route('/*', { handle: (it) => text(fresh, it.principal?.subject) })
      .route('/open', { handle: () => text({ 'cache-control': 'public, max-age=60' }, 'for all') });
    const ask = async (key: string, path = '/'): Promise<string | null> => {
      const response = await router.fetch(new Request(`http://a${path}`, { headers: { 'x-api-key': key } }));
      return `${await response.text()}${response.headers.has('age') ? ' again' : ''}`;
    };
    expect([await ask('ann'), await ask('bob')]).toEqual(['ann', 'bob']);
    expect([await ask('ann', '/open'), await ask('bob', '/open')]).toEqual(['for all', 'for all again']);
  });

  it('keeps variants apart by what Vary names', async () => {
    const { get, calls } = stage((it) =>
      text({ ...fresh, vary: 'Accept-Language' }, it.headers.get('accept-language') ?? ''),
    );
    for (const language of ['en', 'de', 'en', 'de']) {
      expect(await (await get('/', { 'accept-language': language })).text()).toBe(language);
    }
    expect(calls).toHaveLength(2);
  });

  it('keeps what differs in scheme, host, path or query apart', async () => {
    const { calls, pages, get } = stage((it) => text(fresh, `${it.host}${it.path}?${it.query}`));
    for (const path of ['/a', '/b', '/a?x=1', '/a?x=2', '/A']) await (await get(path)).text();
    expect([calls.length, pages.stats().size]).toEqual([5, 5]);
  });

  it('asks whether a stale answer has changed, and renews it by a 304', async () => {
    const { get, calls, pass } = stage((it, call) =>
      it.headers.get('if-none-match') === '"1"'
        ? new Response(null, { status: 304, headers: { ...fresh, etag: '"1"', 'x-call': String(call) } })
        : text({ ...fresh, etag: '"1"', 'content-type': 'text/plain' }, 'long'),
    );
    await (await get()).text();
    await pass(61_000);
    const renewed = await get();
    expect([renewed.status, await renewed.text(), renewed.headers.get('x-call')]).toEqual([200, 'long', '2']);
    expect(renewed.headers.get('content-type')).toBe('text/plain');
    expect(renewed.headers.get('cache-status')).toBe('holdfast; fwd=stale; fwd-status=304');
    await (await get()).text();
    expect(calls).toHaveLength(2);
  });

  it('answers 304 from the store, and from upstream on behalf of a client that has a copy', async () => {
    const { get, calls } = stage(() => text({ ...fresh, etag: 'W/"1"', 'x-other': 'y' }, 'body'));
    const has = { 'if-none-match': '"0", "1"' };
    const first = await get('/', has);
    expect([first.status, await first.text()]).toEqual([304, '']);
    expect(calls[0]?.headers.has('if-none-match')).toBe(false);
    const second = await get('/', has);
    expect([second.status, second.headers.get('etag'), second.headers.get('x-other')]).toEqual([
      304,
      'W/"1"',
      null,
    ]);
    expect(await (await get('/', { 'if-none-match': '"2"' })).text()).toBe('body');
    expect(calls).toHaveLength(1);
  });

  it('answers HEAD from a stored GET, and stores nothing for it', async () => {
    const { get, calls } = stage(() => text(fresh, 'body'));
    await get('/', {}, 'HEAD');
    expect(calls).toHaveLength(1);
    await (await get()).text();
    const head = await get('/', {}, 'HEAD');
    expect([head.headers.get('content-length'), await head.text(), calls.length]).toEqual(['4', '', 2]);
  });

  it('a client may insist on a new answer, or on a stored one', async () => {
    const { get, calls } = stage(() => text(fresh));
    await (await get()).text();
    await (await get('/', { 'cache-control': 'no-cache' })).text();
    expect(calls).toHaveLength(2);
    expect((await get('/', { 'cache-control': 'only-if-cached' })).status).toBe(200);
    expect((await get('/other', { 'cache-control': 'only-if-cached' })).status).toBe(504);
    await (await get('/third', { 'cache-control': 'no-store' })).text();
    await (await get('/third')).text();
    expect(calls).toHaveLength(4);
  });

  it('gives must-revalidate while it is fresh, and never stale', async () => {
    let broken = false;
    const { get, calls, pass } = stage(
      () => {
        if (broken) throw new ProblemError(503, 'down');
        return text({ 'cache-control': 'max-age=60, must-revalidate', etag: '"1"' });
      },
      { staleIfError: '1h', staleWhileRevalidate: '1h' },
    );
    await (await get()).text();
    expect((await get()).headers.get('age')).toBe('0');
    await pass(61_000);
    broken = true;
    expect((await get()).status).toBe(503);
    expect((await get('/', { 'cache-control': 'max-stale' })).status).toBe(503);
    expect(calls).toHaveLength(3);
  });

  it('holds no more bytes than it may, and forgets what was used longest ago', async () => {
    const { get, pages, calls } = stage(() => text(fresh, 'x'.repeat(10_000)), { maxBytes: 50_000 });
    for (let index = 0; index < 50; index += 1) {
      await (await get(`/${index}`)).text();
      await (await get('/0')).text();
      expect(pages.stats().bytes).toBeLessThanOrEqual(50_000);
    }
    expect(pages.stats().size).toBe(4);
    // The one that was asked for all the time is still there.
    expect(calls.filter(({ path }) => path === '/0')).toHaveLength(1);
    pages.purge();
    expect([pages.stats().size, pages.stats().bytes]).toEqual([0, 0]);
  });

  it('one address cannot fill the store by variants', async () => {
    const { get, pages } = stage(() => text({ ...fresh, vary: 'x-any' }));
    for (let index = 0; index < 100; index += 1) await (await get('/', { 'x-any': String(index) })).text();
    expect(pages.stats().size).toBe(16);
  });

  it('does not keep what guards add for one client', async () => {
    const runtime = testRuntime();
    let calls = 0;
    const router = new RequestRouter({ runtime })
      .use(cors({ origins: ['https://a', 'https://b'] }), requestId({ runtime }), cache({ runtime }))
      .route('/*', {
        handle: () => {
          calls += 1;
          return text({ ...fresh, vary: 'Accept' });
        },
      });
    const seen: (string | null)[] = [];
    for (const origin of ['https://a', 'https://b', 'https://evil']) {
      const { headers } = await router.fetch(new Request('http://shop/', { headers: { origin } }));
      seen.push(headers.get('access-control-allow-origin'), headers.get('vary'));
      expect(headers.get('x-request-id')).toMatch(/^id-\d+$/);
      seen.push(headers.get('x-request-id'));
    }
    expect(new Set([seen[2], seen[5], seen[8]]).size).toBe(3);
    expect([seen[0], seen[3], seen[6]]).toEqual(['https://a', 'https://b', null]);
    expect([seen[1], seen[4], seen[7]].map((vary) => vary?.split(', ').sort().join())).toEqual(
      Array.from({ length: 3 }, () => 'Accept,Origin'),
    );
    expect(calls).toBe(1);
  });

  it('forgets by key, by test, and what a successful change has changed', async () => {
    const { get, calls, pages } = stage((it) =>
      it.method === 'PUT' ? new Response(null, { status: it.query === 'fail' ? 500 : 204 }) : text(fresh),
    );
    for (const path of ['/a', '/b', '/c']) await (await get(path)).text();
    expect(pages.purge('http://shop/a')).toBe(1);
    expect(pages.purge((key) => key.endsWith('/b'))).toBe(1);
    await get('/c?fail', {}, 'PUT');
    expect(pages.stats().size).toBe(1);
    await get('/c', {}, 'PUT');
    expect([pages.stats().size, calls.length]).toEqual([0, 5]);
  });

  it('refuses options that make no cache', () => {
    for (const options of [{ maxBytes: 0 }, { maxEntryBytes: 1.5 }, { ttl: '1m' }, { waitAtMost: -1 }]) {
      expect(() => cache(options as CacheOptions)).toThrow(InvalidOptionsError);
    }
  });
});
