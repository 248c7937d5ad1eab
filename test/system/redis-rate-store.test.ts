/** The Redis rate store against a real server, over ioredis and over node-redis. */
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import { describe, expect, it } from 'vitest';
import type { RedisClient } from '../../src/adapters/redis/client.ts';
import { redisRateStore } from '../../src/adapters/redis/rate-store.ts';
import { StoreError } from '../../src/core/errors.ts';
import { RateLimiter } from '../../src/resilience/rate-limiter.ts';
import { rateStoreConformance } from '../../src/testing/conformance/rate-store.ts';
import { describeServer } from '../servers/describe-server.ts';
import { redis } from '../servers/redis.ts';

const pause = (duration: number): Promise<void> =>
  // Redis counts whole milliseconds, and expires a little later.
  new Promise((resolve) => setTimeout(resolve, Math.ceil(duration) + 2));

/** A connected client, and how to be done with it. */
interface Connected {
  readonly client: RedisClient;
  readonly quit: () => Promise<unknown>;
}

async function overIoRedis(url: string): Promise<Connected> {
  const client = new Redis(url);
  return { client, quit: () => client.quit() };
}

async function overNodeRedis(url: string): Promise<Connected> {
  // Without a listener an error of the connection would be nobody's.
  const client = await createClient({ url })
    .on('error', () => {})
    .connect();
  return { client, quit: () => client.close() };
}

describeServer(redis, (server) => {
  let created = 0;
  const stage = (connect: (url: string) => Promise<Connected>) => async () => {
    const clients = [await connect(server().url.href), await connect(server().url.href)];
    // Others may use the server too, so it is not flushed.
    created += 1;
    const prefix = `holdfast-test:${process.pid}:${created}:`;
    const [store, other] = clients.map(({ client }) => redisRateStore({ client, prefix }));
    return {
      store: store!,
      other: other!,
      advance: pause,
      close: async () => {
        for (const { quit } of clients) await quit();
      },
    };
  };
  const api = { describe, it };
  rateStoreConformance({ api, name: 'Redis, over ioredis', period: 400, create: stage(overIoRedis) });
  rateStoreConformance({ api, name: 'Redis, over node-redis', period: 400, create: stage(overNodeRedis) });

  it.each([
    ['ioredis', overIoRedis],
    ['node-redis', overNodeRedis],
  ] as const)(
    'over %s, loads its script again after the server forgot it, and lets keys expire',
    async (name, connect) => {
      const admin = new Redis(server().url.href);
      const { client, quit } = await connect(server().url.href);
      try {
        const prefix = `holdfast-test:${process.pid}:expiry:${name}:`;
        const store = redisRateStore({ client, prefix });
        const rule = { limit: 1, period: 200 };
        await store.take('a', rule);
        await admin.script('FLUSH');
        expect((await store.take('a', rule)).allowed).toBe(false);
        expect(await admin.pttl(`${prefix}a`)).toBeLessThanOrEqual(201);
        await expect.poll(() => admin.exists(`${prefix}a`)).toBe(0);
      } finally {
        admin.disconnect();
        await quit();
      }
    },
  );

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
