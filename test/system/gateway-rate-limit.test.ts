/** The rate limit guard of two gateways that count together in a real Redis. */
import { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { redisRateStore } from '../../src/adapters/redis/rate-store.ts';
import { rateLimit } from '../../src/gateway/guards/rate-limit.ts';
import { RequestRouter } from '../../src/gateway/request-router.ts';
import { closeAfterEach, onCleanup } from '../gateway/support.ts';
import { describeServer } from '../servers/describe-server.ts';
import { redis } from '../servers/redis.ts';

closeAfterEach();

describeServer(redis, (server) => {
  let used = 0;
  const gateway = (
    whenStoreFails?: 'allow' | 'refuse',
    prefix = `holdfast-test:${process.pid}:guard${used}:`,
  ) => {
    const client = new Redis(server().url.href, { maxRetriesPerRequest: 0, retryStrategy: () => null });
    client.on('error', () => {});
    onCleanup(() => client.disconnect());
    const guard = rateLimit({
      limit: 10,
      per: '1h',
      store: redisRateStore({ client, prefix }),
      whenStoreFails,
    });
    const router = new RequestRouter().use(guard).route('/*', { handle: () => new Response('ok') });
    const get = (clientAddress: string): Promise<Response> =>
      router.fetch(new Request('http://shop/'), { clientAddress });
    return { client, get };
  };

  it('lets through what is allowed to both together, and says how much is left', async () => {
    used += 1;
    const [one, other] = [gateway(), gateway()];
    const asked = Array.from({ length: 30 }, (_, index) =>
      (index % 2 === 0 ? one : other).get('2001:db8::1'),
    );
    const answers = await Promise.all(asked);
    const allowed = answers.filter(({ status }) => status === 200);
    expect(allowed).toHaveLength(10);
    const left = allowed.map(({ headers }) => Number(/r=(\d+)/.exec(headers.get('ratelimit') ?? '')?.[1]));
    expect(left.sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    const refused = answers.find(({ status }) => status === 429);
    expect(refused?.headers.get('ratelimit-policy')).toBe('"default";q=10;w=3600');
    expect(Number(refused?.headers.get('retry-after'))).toBeGreaterThan(0);
    // The same subscriber by another address of his /64; another subscriber.
    expect((await one.get('2001:db8::ffff')).status).toBe(429);
    expect((await other.get('2001:db8:0:1::1')).status).toBe(200);
  });

  it('decides by itself when Redis is gone', async () => {
    used += 1;
    const [open, closed] = [gateway('allow'), gateway('refuse')];
    for (const { client } of [open, closed]) client.disconnect();
    expect((await open.get('10.0.0.1')).status).toBe(200);
    expect((await closed.get('10.0.0.1')).status).toBe(503);
  });
});
