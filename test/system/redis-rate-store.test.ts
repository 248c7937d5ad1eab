/** The Redis rate store against a real server, over ioredis and over what node-redis offers. */
import { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import type { NodeRedisClient } from '../../src/adapters/redis/client.ts';
import { redisRateStore } from '../../src/adapters/redis/rate-store.ts';
import { StoreError } from '../../src/core/errors.ts';
import { RateLimiter } from '../../src/resilience/rate-limiter.ts';
import { rateStoreConformance } from '../../src/testing/conformance/rate-store.ts';
import { describeServer } from '../servers/describe-server.ts';
import { redis } from '../servers/redis.ts';

const pause = (duration: number): Promise<void> =>
  // Redis counts whole milliseconds, and expires a little later.
  new Promise((resolve) => setTimeout(resolve, Math.ceil(duration) + 2));

/** The method of node-redis that the adapter calls, by way of ioredis. */
const likeNodeRedis = (client: Redis): NodeRedisClient => ({
  sendCommand: ([name, ...parameters]) => client.call(name!, ...parameters),
});

describeServer(redis, (server) => {
  let created = 0;
  const stage = (dress: (client: Redis) => Redis | NodeRedisClient) => async () => {
    const clients = [new Redis(server().url.href), new Redis(server().url.href)];
    // Others may use the server too, so it is not flushed.
    created += 1;
    const prefix = `holdfast-test:${process.pid}:${created}:`;
    const [store, other] = clients.map((client) => redisRateStore({ client: dress(client), prefix }));
    return {
      store: store!,
      other: other!,
      advance: pause,
      close: async () => {
        for (const client of clients) await client.quit();
      },
    };
  };
  const api = { describe, it };
  rateStoreConformance({ api, name: 'Redis, over ioredis', period: 400, create: stage((client) => client) });
  rateStoreConformance({ api, name: 'Redis, as over node-redis', period: 400, create: stage(likeNodeRedis) });

  it('loads its script again after the server forgot it, and lets keys expire', async () => {
    const client = new Redis(server().url.href);
    try {
      const prefix = `holdfast-test:${process.pid}:expiry:`;
      const store = redisRateStore({ client, prefix });
      const rule = { limit: 1, period: 200 };
      await store.take('a', rule);
      await client.script('FLUSH');
      expect((await store.take('a', rule)).allowed).toBe(false);
      expect(await client.pttl(`${prefix}a`)).toBeLessThanOrEqual(201);
      await expect.poll(() => client.exists(`${prefix}a`)).toBe(0);
    } finally {
      client.disconnect();
    }
  });

  it('limits processes together, and one by one while the server is away', async () => {
    const clients = [0, 1].map(
      () =>
        new Redis(server().url.href, {
          maxRetriesPerRequest: 0,
          enableOfflineQueue: false,
          lazyConnect: true,
        }),
    );
    await Promise.all(clients.map((client) => client.connect()));
    const prefix = `holdfast-test:${process.pid}:limiter:`;
    const limiters = clients.map(
      (client) =>
        new RateLimiter({ name: 'api', limit: 3, per: '1h', store: redisRateStore({ client, prefix }) }),
    );
    try {
      const decisions = await Promise.all(
        Array.from({ length: 10 }, (_, n) => limiters[n % 2]!.take('tenant')),
      );
      expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(3);
      for (const client of clients) client.disconnect();
      const failed: unknown[] = [];
      limiters[0]?.on('storeFailed', ({ error }) => failed.push(error));
      const locally = await Promise.all(Array.from({ length: 5 }, () => limiters[0]!.take('tenant')));
      expect(locally.filter(({ allowed }) => allowed)).toHaveLength(3);
      expect(failed).toHaveLength(5);
      expect(failed[0]).toBeInstanceOf(StoreError);
    } finally {
      for (const client of clients) client.disconnect();
    }
  });
});
