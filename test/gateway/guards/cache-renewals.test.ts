/** What a 304 may change of a stored answer, and what of it is for the one who asked only. */
import { describe, expect, it } from 'vitest';
import { cache, type ResponseCache } from '../../../src/gateway/guards/cache/response-cache.ts';
import { RequestRouter } from '../../../src/gateway/request-router.ts';
import type { ManualClock } from '../../../src/testing/manual-clock.ts';
import { testRuntime } from '../../../src/testing/test-runtime.ts';

interface Stage {
  readonly get: (headers?: Record<string, string>) => Promise<Response>;
  readonly calls: () => number;
  readonly pages: ResponseCache;
  readonly pass: (milliseconds: number) => Promise<void>;
}

/** A cache in front of a page that answers 304, with some fields of its own, to whoever has it. */
function stage(first: Record<string, string>, renewal: (call: number) => Record<string, string>): Stage {
  const runtime = testRuntime({ wallTime: Date.UTC(2026, 0, 1) });
  const pages = cache({ runtime });
  let calls = 0;
  const router = new RequestRouter({ runtime }).use(pages).route('/', {
    handle: (exchange) => {
      calls += 1;
      const etag = '"1"';
      return exchange.headers.has('if-none-match')
        ? new Response(null, { status: 304, headers: { etag, ...renewal(calls) } })
        : new Response('page', { headers: { etag, ...first } });
    },
  });
  return {
    get: (headers = {}) => router.fetch(new Request('http://shop/', { headers })),
    calls: () => calls,
    pages,
    pass: (milliseconds) => (runtime.clock as ManualClock).advance(milliseconds),
  };
}

const fresh = { 'cache-control': 'public, max-age=60' };

/** Status, body and cookie of an answer. */
async function seen(answer: Response): Promise<[number, string, string | null]> {
  return [answer.status, await answer.text(), answer.headers.get('set-cookie')];
}

describe('a 304 that renews what a cache holds', () => {
  it('gives its cookie to the one who asked, and to nobody else', async () => {
    const { get, calls, pages, pass } = stage(fresh, (call) => ({
      ...fresh,
      'set-cookie': `session=${call}`,
    }));
    await (await get()).text();
    await pass(61_000);
    expect(await seen(await get())).toEqual([200, 'page', 'session=2']);
    expect(pages.stats().size).toBe(0);
    expect(await seen(await get())).toEqual([200, 'page', null]);
    expect(await seen(await get())).toEqual([200, 'page', null]);
    expect([calls(), pages.stats().size]).toEqual([3, 1]);
  });

  it('gives its cookie to one who has the page already, too', async () => {
    const { get, pass } = stage(fresh, (call) => ({ ...fresh, 'set-cookie': `session=${call}` }));
    await (await get()).text();
    await pass(61_000);
    expect(await seen(await get({ 'if-none-match': '"1"' }))).toEqual([304, '', 'session=2']);
    expect((await seen(await get()))[2]).toBeNull();
  });

  it('gives nobody the cookie of a renewal behind the scenes', async () => {
    const { get, calls, pages, pass } = stage(
      { 'cache-control': 'public, max-age=60, stale-while-revalidate=60' },
      (call) => ({ ...fresh, 'set-cookie': `session=${call}` }),
    );
    await (await get()).text();
    await pass(61_000);
    expect((await seen(await get()))[2]).toBeNull();
    expect([calls(), pages.stats().size]).toEqual([2, 0]);
    expect((await seen(await get()))[2]).toBeNull();
  });

  it.each<[string, Record<string, string>]>([
    ['varies by everything', { ...fresh, vary: '*' }],
    ['is private', { 'cache-control': 'private, max-age=60' }],
    ['is no-store', { 'cache-control': 'no-store' }],
  ])('that %s is for the one who asked, and what was held is held no longer', async (_what, fields) => {
    const { get, calls, pages, pass } = stage(fresh, () => fields);
    await (await get()).text();
    await pass(61_000);
    const renewed = await get();
    expect([await renewed.text(), pages.stats().size]).toEqual(['page', 0]);
    expect(renewed.headers.get('cache-control')).toBe(fields['cache-control']);
    await (await get()).text();
    expect(calls()).toBe(3);
  });
});
