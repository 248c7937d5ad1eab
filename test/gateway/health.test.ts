import { describe, expect, it } from 'vitest';
import { ProblemError } from '../../src/core/errors.ts';
import { RequestRouter } from '../../src/gateway/request-router.ts';
import type { RequestRouterOptions } from '../../src/gateway/router-options.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { closeAfterEach, exchange, listening, raw, statusOf, until } from './support.ts';

closeAfterEach();

const status = async (router: RequestRouter, path: string, method = 'GET'): Promise<number> =>
  (await router.fetch(new Request(`http://a${path}`, { method }))).status;

describe('health', () => {
  it('answers before guards and routes, on the paths that were asked for', async () => {
    const router = (options: RequestRouterOptions): RequestRouter =>
      new RequestRouter(options)
        .use(() => {
          throw new ProblemError(401, 'no');
        })
        .route('/*', { handle: () => new Response() });
    const standard = router({ health: true });
    expect([await status(standard, '/livez'), await status(standard, '/readyz', 'HEAD')]).toEqual([200, 200]);
    expect([await status(standard, '/readyz', 'POST'), await status(standard, '/ready')]).toEqual([401, 401]);
    const own = router({ health: { live: false, ready: '/health/ready' } });
    expect([await status(own, '/livez'), await status(own, '/health/ready')]).toEqual([401, 200]);
    expect(await status(router({}), '/livez')).toBe(401);
    expect(() => new RequestRouter({ health: { live: 'livez' } })).toThrow('health.live');
  });

  it('asks the check for readiness only', async () => {
    let answer: () => boolean | Promise<boolean> = () => false;
    const router = new RequestRouter({ health: { check: () => answer() } });
    expect([await status(router, '/livez'), await status(router, '/readyz')]).toEqual([200, 503]);
    answer = async () => true;
    expect(await status(router, '/readyz')).toBe(200);
    answer = () => Promise.reject(new Error('no database'));
    expect(await status(router, '/readyz')).toBe(503);
  });

  it('is not ready from the beginning of a stop, while requests are served, and then accepts nothing', async () => {
    const { clock } = testRuntime();
    const { port, url, router } = await listening({ health: true, runtime: { clock } }, (it) =>
      it.route('/', { handle: () => new Response('here') }),
    );
    const before = raw(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => before.text().includes('here'));
    expect(before.text()).not.toMatch(/connection: close/i);
    const stopping = router.stop({ grace: '5s', timeout: '1s' });
    const ready = await exchange(port, ['GET /readyz HTTP/1.1', 'Host: a']);
    expect([statusOf(ready), ready.includes('stopping')]).toEqual([503, true]);
    expect(statusOf(await exchange(port, ['GET /livez HTTP/1.1', 'Host: a']))).toBe(200);
    // New connections are still served in the grace, and told not to be kept.
    const late = raw(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    expect(await late.closed).toMatch(/connection: close[\s\S]*here/i);
    before.socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    expect((await before.closed).match(/here/g)).toHaveLength(2);
    await clock.advance(5_000);
    await stopping;
    await expect(fetch(url)).rejects.toThrow();
  });
});
