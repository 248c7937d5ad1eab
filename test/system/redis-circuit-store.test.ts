/** The Redis circuit store against a real server, over ioredis and over node-redis. */
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import { describe, expect, it } from 'vitest';
import { redisCircuitStore } from '../../src/adapters/redis/circuit-store.ts';
import type { SubscribingRedisClient } from '../../src/adapters/redis/subscription.ts';
import { StoreError } from '../../src/core/errors.ts';
import type { CircuitNotice } from '../../src/ports/circuit-store.ts';
import { CircuitBreaker } from '../../src/resilience/circuit-breaker.ts';
import { CircuitSharing } from '../../src/resilience/circuit-sharing.ts';
import { circuitStoreConformance } from '../../src/testing/conformance/circuit-store.ts';
import { describeServer } from '../servers/describe-server.ts';
import { redis } from '../servers/redis.ts';

/** A connected client that comes back by itself, and how to be done with it. */
interface Connected {
  readonly client: SubscribingRedisClient;
  readonly isReady: () => boolean;
  readonly quit: () => void;
}

async function overIoRedis(url: string): Promise<Connected> {
  const client = new Redis(url, { maxRetriesPerRequest: 0, retryStrategy: () => 50 });
  client.on('error', () => {});
  await expect.poll(() => client.status, patiently).toBe('ready');
  return { client, isReady: () => client.status === 'ready', quit: () => client.disconnect() };
}

async function overNodeRedis(url: string): Promise<Connected> {
  const client = createClient({ url, disableOfflineQueue: true, socket: { reconnectStrategy: () => 50 } });
  client.on('error', () => {});
  await client.connect();
  return { client, isReady: () => client.isReady, quit: () => client.destroy() };
}

const drivers = [
  ['ioredis', overIoRedis],
  ['node-redis', overNodeRedis],
] as const;

/** A limit only ends what hangs; the machine may be busy. */
const patiently = { timeout: 60_000 };

const pause = (duration: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, duration));

describeServer(redis, (server) => {
  let created = 0;
  // Others may use the server too, so it is not flushed.
  const uniqueKey = (): string => {
    created += 1;
    return `holdfast-test:${process.pid}:${created}`;
  };
  const stage = (connect: (url: string) => Promise<Connected>) => async () => {
    const clients = [await connect(server().url.href), await connect(server().url.href)];
    const key = uniqueKey();
    const [store, other] = clients.map(({ client }) => redisCircuitStore({ client, key }));
    return {
      store: store!,
      other: other!,
      wallTime: () => Date.now(),
      advance: pause,
      close: async () => {
        await store!.close();
        await other!.close();
        for (const { quit } of clients) quit();
      },
    };
  };
  const api = { describe, it };
  for (const [driver, connect] of drivers) {
    circuitStoreConformance({ api, name: `Redis, over ${driver}`, create: stage(connect) });
  }

  it('tells what the channel has missed, takes no nonsense, and tidies up what is over', async () => {
    const client = new Redis(server().url.href);
    const key = uniqueKey();
    const store = redisCircuitStore({ client, key, refresh: 20 });
    try {
      const told: CircuitNotice[] = [];
      store.watch((notice) => told.push(notice));
      const until = Date.now() + 60_000;
      const notice = { breaker: 'a', origin: 'p', state: 'open', until, wait: 60_000, reason: '' };
      const old = { ...notice, origin: 'q', until: Date.now() - 1 };
      await client.hset(key, { junk: '{"breaker":1}', broken: '{', proto: '{"__proto__":{}}' });
      await client.hset(key, '["a","q"]', JSON.stringify(old));
      // As if it had been published while the connection was down.
      await client.hset(key, '["a","p"]', JSON.stringify(notice));
      await expect.poll(() => told, patiently).toEqual([notice]);
      await expect.poll(() => client.hexists(key, '["a","q"]'), patiently).toBe(0);
      await client.publish(key, 'not json');
    } finally {
      await store.close();
      await client.del(key);
      client.disconnect();
    }
  });

  it.each(drivers)(
    'over %s, siblings open together; while Redis is away each goes on alone, and together again when it is back',
    async (_, connect) => {
      const key = uniqueKey();
      const members = await Promise.all(
        [0, 1].map(async () => {
          const connected = await connect(server().url.href);
          const breaker = new CircuitBreaker({ name: 'payments', consecutiveFailures: 1, openFor: '1h' });
          const store = redisCircuitStore({ client: connected.client, key, refresh: 50 });
          const sharing = await new CircuitSharing({ store }).add(breaker).start();
          return { connected, breaker, store, sharing };
        }),
      );
      const [a, b] = members as [(typeof members)[0], (typeof members)[0]];
      const fail = (): Promise<unknown> =>
        a.breaker.run(() => Promise.reject(new Error('down'))).catch(() => {});
      try {
        await fail();
        await expect.poll(() => b.breaker.state, patiently).toBe('open');
        a.breaker.reset();
        await expect.poll(() => b.breaker.state, patiently).toBe('half-open');
        b.breaker.reset();
        if (server().site === undefined) return;
        const failed: unknown[] = [];
        a.sharing.on('tellingFailed', ({ error }) => failed.push(error));
        await server().crash();
        await fail();
        expect(a.breaker.state).toBe('open');
        await expect.poll(() => failed[0], patiently).toBeInstanceOf(StoreError);
        expect(b.breaker.state).toBe('closed');
        await expect(b.breaker.run(() => 'ok')).resolves.toBe('ok');
        await server().restart();
        await expect.poll(() => a.connected.isReady(), patiently).toBe(true);
        a.breaker.reset();
        await fail();
        await expect.poll(() => b.breaker.state, patiently).toBe('open');
      } finally {
        for (const { connected, store, sharing } of members) {
          await sharing.stop();
          await store.close();
          connected.quit();
        }
      }
    },
  );
});
