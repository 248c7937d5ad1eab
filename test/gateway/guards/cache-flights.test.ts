import { describe, expect, it } from 'vitest';
import { cache } from '../../../src/gateway/guards/cache/response-cache.ts';
import { RequestRouter } from '../../../src/gateway/request-router.ts';
import type { ManualClock } from '../../../src/testing/manual-clock.ts';
import { testRuntime } from '../../../src/testing/test-runtime.ts';
import { closeAfterEach, exchange, listening, raw, statusOf, until, upstream } from '../support.ts';

closeAfterEach();

const answer = (control: string, body: string, etag?: string): Response =>
  new Response(body, { headers: { 'cache-control': control, ...(etag === undefined ? {} : { etag }) } });

const turns = async (count = 20): Promise<void> => {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

/** A cache in front of answers that the test gives by hand. */
function held(options = {}) {
  const runtime = testRuntime({ wallTime: Date.UTC(2026, 0, 1) });
  const pages = cache({ runtime, ...options });
  const waiting: ((response: Response) => void)[] = [];
  const router = new RequestRouter({ runtime }).use(pages).route('/*', {
    handle: () => new Promise<Response>((resolve) => void waiting.push(resolve)),
  });
  const get = (init: RequestInit = {}): Promise<Response> => router.fetch(new Request('http://shop/', init));
  return { get, waiting, pages, clock: runtime.clock as ManualClock };
}

describe('cache, many at once', () => {
  it('lets one of many through, and gives its answer to all', async () => {
    const { get, waiting, pages } = held();
    const asked = Array.from({ length: 50 }, () => get());
    await turns();
    expect(waiting).toHaveLength(1);
    waiting[0]!(answer('max-age=60', 'one'));
    expect(await Promise.all(asked.map(async (one) => (await one).text()))).toEqual(asked.map(() => 'one'));
    expect([waiting.length, pages.stats().hits]).toEqual([1, 49]);
  });

  it('lets all through at once when the answer may not be stored, and does not make the next ones wait', async () => {
    const { get, waiting } = held();
    const asked = Array.from({ length: 5 }, () => get());
    await turns();
    waiting[0]!(answer('private', 'for 0'));
    await turns();
    expect(waiting).toHaveLength(5);
    for (const [index, give] of waiting.entries()) if (index > 0) give(answer('private', `for ${index}`));
    const bodies = await Promise.all(asked.map(async (one) => (await one).text()));
    expect(new Set(bodies).size).toBe(5);
    void get();
    void get();
    await turns();
    expect(waiting).toHaveLength(7);
  });

  it('when the one that leads leaves, another takes its place', async () => {
    const { get, waiting } = held();
    const leaving = new AbortController();
    const first = get({ signal: leaving.signal });
    const others = [get(), get()];
    await turns();
    leaving.abort();
    await expect(first).rejects.toThrow();
    await turns();
    expect(waiting).toHaveLength(2);
    waiting[1]!(answer('max-age=60', 'two'));
    expect(await Promise.all(others.map(async (one) => (await one).text()))).toEqual(['two', 'two']);
  });

  it('those who wait may leave, and the others get their answer', async () => {
    const { get, waiting } = held();
    const leaving = new AbortController();
    const first = get();
    const left = get({ signal: leaving.signal });
    const patient = get();
    await turns();
    leaving.abort();
    await expect(left).rejects.toThrow();
    waiting[0]!(answer('max-age=60', 'one'));
    expect([await (await first).text(), await (await patient).text()]).toEqual(['one', 'one']);
    expect(waiting).toHaveLength(1);
  });

  it('nobody waits for ever', async () => {
    const { get, waiting, clock } = held({ waitAtMost: '1s' });
    void get();
    const patient = get();
    await turns();
    await clock.advance(1_000);
    await turns();
    expect(waiting).toHaveLength(2);
    waiting[1]!(answer('max-age=60', 'own'));
    expect(await (await patient).text()).toBe('own');
  });

  it('what was purged while it was under way is not stored', async () => {
    const { get, waiting, pages } = held();
    const before = get();
    await turns();
    pages.purge();
    waiting[0]!(answer('max-age=60', 'old'));
    expect(await (await before).text()).toBe('old');
    expect(pages.stats().size).toBe(0);
  });
});

describe('cache, stale', () => {
  it('gives a stale answer at once while one request renews it', async () => {
    const { get, waiting, clock } = held();
    const first = get();
    await turns();
    waiting[0]!(answer('max-age=60, stale-while-revalidate=30', 'old', '"1"'));
    await (await first).text();
    await clock.advance(70_000);
    const stale = await Promise.all([get(), get(), get()]);
    expect(await Promise.all(stale.map((one) => one.text()))).toEqual(['old', 'old', 'old']);
    expect(stale[0]!.headers.get('age')).toBe('70');
    await turns();
    expect(waiting).toHaveLength(2);
    waiting[1]!(answer('max-age=60', 'new', '"2"'));
    await turns();
    expect(await (await get()).text()).toBe('new');
    expect(waiting).toHaveLength(2);
  });

  it('a renewal goes on when the client leaves, and its failure costs nothing', async () => {
    const { get, waiting, clock } = held({ staleWhileRevalidate: '1m' });
    const first = get();
    await turns();
    waiting[0]!(answer('max-age=60', 'old'));
    await (await first).text();
    await clock.advance(70_000);
    const leaving = new AbortController();
    await (await get({ signal: leaving.signal })).text();
    leaving.abort();
    await turns();
    waiting[1]!(new Response('no', { status: 500 }));
    await turns();
    expect(await (await get()).text()).toBe('old');
    await turns();
    waiting[2]!(answer('max-age=60', 'new'));
    await turns();
    expect(await (await get()).text()).toBe('new');
  });

  it.each([500, 502, 503, 504])('gives a stale answer instead of %i', async (status) => {
    const { get, waiting, clock } = held({ staleIfError: '1m' });
    const first = get();
    await turns();
    waiting[0]!(answer('max-age=60', 'old'));
    await (await first).text();
    await clock.advance(70_000);
    const second = get();
    await turns();
    waiting[1]!(new Response('broken', { status, headers: { 'retry-after': '9' } }));
    const given = await second;
    expect([given.status, await given.text(), given.headers.get('retry-after')]).toEqual([200, 'old', null]);
    await clock.advance(60_000);
    const late = get();
    await turns();
    waiting[2]!(new Response('broken', { status }));
    expect((await late).status).toBe(status);
  });
});

describe('cache, on sockets', () => {
  it('stands in for an upstream that is gone, and breaks no framing', async () => {
    let asked = 0;
    const { url, server } = await upstream((_request, response) => {
      asked += 1;
      response.writeHead(200, {
        'Cache-Control': 'max-age=0, stale-if-error=60',
        ETag: '"1"',
        'X-Case': 'KePt',
      });
      response.write('first,');
      response.end('second');
    });
    const { port } = await listening({}, (router) => router.use(cache()).route('/*', { url }));
    expect(await exchange(port, ['GET / HTTP/1.1', 'Host: a'])).toContain('first,');
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    const client = raw(
      port,
      'GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    );
    const text = await client.closed;
    const [stale = '', refused = ''] = text.split(/(?=HTTP\/1\.1 )/);
    expect([statusOf(stale), stale.includes('X-Case: KePt'), stale.includes('Content-Length: 12')]).toEqual([
      200,
      true,
      true,
    ]);
    expect(stale.endsWith('\r\n\r\nfirst,second')).toBe(true);
    expect([statusOf(refused), asked]).toEqual([502, 1]);
  });

  it('what breaks off is not stored', async () => {
    let asked = 0;
    const { url } = await upstream((_request, response) => {
      asked += 1;
      response.writeHead(200, { 'Cache-Control': 'max-age=60', 'Content-Length': 100 });
      response.write('part');
      setImmediate(() => response.destroy());
    });
    const pages = cache();
    const { port, finished } = await listening({}, (router) => router.use(pages).route('/*', { url }));
    await exchange(port, ['GET / HTTP/1.1', 'Host: a']);
    await exchange(port, ['GET / HTTP/1.1', 'Host: a']);
    await until(() => finished.length === 2);
    expect([asked, pages.stats().size]).toEqual([2, 0]);
  });
});
