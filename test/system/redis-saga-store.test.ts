/** The store of sagas in a real Redis, over ioredis and over node-redis. */
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import { describe, expect, it } from 'vitest';
import type { RedisClient } from '../../src/adapters/redis/client.ts';
import { redisSagaStore } from '../../src/adapters/redis/saga-store.ts';
import { sagaStoreConformance } from '../../src/testing/conformance/saga-store.ts';
import type { SagaStoreHarness } from '../../src/testing/conformance/saga-store-harness.ts';
import { describeServer } from '../servers/describe-server.ts';
import { redis } from '../servers/redis.ts';

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
  const open = (connect: (url: string) => Promise<Connected>) => async (): Promise<SagaStoreHarness> => {
    const [first, second] = [await connect(server().url.href), await connect(server().url.href)];
    const client = new Redis(server().url.href);
    // Others may use the server too, so it is not flushed.
    created += 1;
    const prefix = `holdfast-test:{${process.pid}:${created}}:`;
    const keys = (what: string): Promise<string[]> =>
      client.keys(`${prefix.replace(/[*?[\]\\]/g, '\\$&')}${what}`);
    return {
      store: redisSagaStore({ client: first.client, prefix }),
      another: async () => {
        const store = redisSagaStore({ client: second.client, prefix });
        await store.start();
        return store;
      },
      now: () => Date.now(),
      // The server's clock cannot be moved; what is compared with it can.
      pass: async (duration) => {
        for (const lease of await keys('lease:*')) {
          await client.pexpire(lease, (await client.pttl(lease)) - duration);
        }
        for (const due of await keys('due:*')) {
          for (const id of await client.zrange(due, 0, -1)) await client.zincrby(due, -duration, id);
        }
      },
      corrupt: async (id) => void (await client.hset(`${prefix}saga:${id}`, 'steps', '{"not')),
      dispose: async () => {
        const all = await keys('*');
        if (all.length > 0) await client.del(...all);
        for (const one of [client, first, second]) await one.quit();
      },
    };
  };
  sagaStoreConformance({ describe, it, name: 'Redis, over ioredis', open: open(overIoRedis) });
  sagaStoreConformance({ describe, it, name: 'Redis, over node-redis', open: open(overNodeRedis) });

  it('says what the server loses', async () => {
    const client = new Redis(server().url.href);
    const store = redisSagaStore({ client });
    const says = async (settings: readonly (readonly [string, string])[]): Promise<string> => {
      for (const [name, value] of settings) await client.config('SET', name, value);
      await store.start();
      return store.durability;
    };
    const before = (await client.config('GET', 'append*')) as string[];
    expect(await says([['appendonly', 'no']])).toMatch(/^nothing but snapshots/);
    expect(
      await says([
        ['appendonly', 'yes'],
        ['appendfsync', 'everysec'],
      ]),
    ).toMatch(/up to two seconds/);
    expect(await says([['appendfsync', 'no']])).toMatch(/what the system had not written/);
    expect(await says([['appendfsync', 'always']])).toMatch(/^power loss; a failover/);
    const evicting = [
      ['maxmemory', '1gb'],
      ['maxmemory-policy', 'allkeys-lru'],
    ] as const;
    expect(await says(evicting)).toMatch(/throws records away .* allkeys-lru/);
    await says([
      ['maxmemory', '0'],
      ['maxmemory-policy', 'noeviction'],
    ]);
    const settings = Object.fromEntries(before.flatMap((name, n) => (n % 2 ? [] : [[name, before[n + 1]]])));
    await says([
      ['appendonly', settings.appendonly!],
      ['appendfsync', settings.appendfsync!],
    ]);
    await client.quit();
  });

  it('refuses a prefix without a hash tag', () => {
    const client = { call: async () => null };
    expect(() => redisSagaStore({ client, prefix: 'sagas:' })).toThrow('hash tag');
  });
});
