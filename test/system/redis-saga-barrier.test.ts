/** The barrier in a real Redis, over ioredis and over what node-redis offers; and where Redis is no database. */
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import type { NodeRedisClient } from '../../src/adapters/redis/client.ts';
import { type RedisTransaction, redisSagaBarrier } from '../../src/adapters/redis/saga-barrier.ts';
import { RefusedError } from '../../src/core/errors.ts';
import type { BarrierCall } from '../../src/ports/saga-barrier.ts';
import { sagaBarrierConformance } from '../../src/testing/conformance/saga-barrier.ts';
import { followsTheModel, isSomeOrder, someCalls } from '../saga/participant/barrier-model.ts';
import { describeServer } from '../servers/describe-server.ts';
import { redis } from '../servers/redis.ts';

/** The method of node-redis that the adapter calls, by way of ioredis. */
const likeNodeRedis = (client: Redis): NodeRedisClient => ({
  sendCommand: ([name, ...parameters]) => client.call(name!, ...parameters),
});
const call = (operation: 'do' | 'undo'): BarrierCall => ({ saga: 's1', step: 'hold', operation });
const never = (): never => expect.fail('the work was run');

describeServer(redis, (server) => {
  let created = 0;
  const open = async (dress: (client: Redis) => Redis | NodeRedisClient = (client) => client) => {
    const clients = [new Redis(server().url.href), new Redis(server().url.href)];
    // Others may use the server too, so it is not flushed.
    created += 1;
    const prefix = `holdfast-test:${process.pid}:${created}:`;
    const account = `${prefix}account`;
    const [barrier, other] = clients.map((client) => redisSagaBarrier({ client: dress(client), prefix }));
    return {
      client: clients[0]!,
      prefix,
      account,
      barrier: barrier!,
      other: other!,
      add: (transaction: RedisTransaction, amount: number) => transaction.write('INCRBY', account, amount),
      balance: async () => Number((await clients[0]!.get(account)) ?? 0),
      wallTime: () => Date.now(),
      advance: (duration: number) => new Promise<void>((resolve) => setTimeout(resolve, duration)),
      close: async () => {
        for (const client of clients) await client.quit();
      },
    };
  };
  const except = {
    'purging deletes the marks of a step together, when both are old':
      'Redis forgets them by itself, after `retention`',
  };
  const api = { describe, it };
  sagaBarrierConformance({ api, name: 'Redis, over ioredis', create: () => open(), except });
  sagaBarrierConformance({
    api,
    name: 'Redis, as over node-redis',
    create: () => open(likeNodeRedis),
    except,
  });

  async function stage(body: (stage: Awaited<ReturnType<typeof open>>) => Promise<void>) {
    const made = await open();
    try {
      await body(made);
    } finally {
      await made.close();
    }
  }

  it.each([
    ['one call after another', followsTheModel],
    ['all calls at once', isSomeOrder],
  ])('follows its model: %s', (_order, check) =>
    stage(async (harness) => {
      let saga = 0;
      const property = fc.asyncProperty(someCalls, (calls) => {
        saga += 1;
        return check(harness as never, `s${saga}`, calls);
      });
      await fc.assert(property, { numRuns: 300 });
    }),
  );

  it('sells the last one once: what the work read must still be so when it is applied', () =>
    stage(async ({ barrier, other, client, account, balance }) => {
      await client.set(account, 3);
      const buy = (buyer: number) =>
        (buyer % 2 === 0 ? barrier : other).attempt(
          { saga: `s${buyer}`, step: 'hold', operation: 'do' },
          async (redis) => {
            const left = Number(await redis.read('GET', account));
            if (left < 1) throw new RefusedError('sold out');
            redis.write('DECR', account);
            return left - 1;
          },
        );
      const outcomes = await Promise.all(Array.from({ length: 10 }, (_, buyer) => buy(buyer)));
      expect(
        outcomes
          .filter((o) => o.type === 'performed')
          .map((o) => 'result' in o && o.result)
          .sort(),
      ).toEqual([0, 1, 2]);
      expect(outcomes.filter((o) => o.type === 'refused')).toHaveLength(7);
      expect(await balance()).toBe(0);
    }));

  it('says so when what it reads never stays the same', () =>
    stage(async ({ client, account, prefix }) => {
      const barrier = redisSagaBarrier({ client, prefix, attempts: 3 });
      let runs = 0;
      const restless = barrier.attempt(call('do'), async (redis) => {
        runs += 1;
        await redis.read('HGETALL', account);
        await client.hset(account, `field${runs}`, runs);
        redis.write('DEL', account);
      });
      await expect(restless).rejects.toThrow('changed by others 3 times; nothing was done');
      expect(await client.hlen(account)).toBe(3);
    }));

  it('does nothing when its first command fails, and is done by the next call', () =>
    stage(async ({ barrier, client, account }) => {
      await client.set(account, 'text');
      const add = barrier.attempt(call('do'), (redis) => redis.write('INCRBY', account, 1));
      await expect(add).rejects.toThrow('nothing was done');
      await client.del(account);
      await barrier.run(call('do'), (redis) => redis.write('INCRBY', account, 1));
      expect(await client.get(account)).toBe('1');
    }));

  it('does not do half of it twice: a later command that fails leaves the step to a person', () =>
    stage(async ({ barrier, client, account, prefix }) => {
      await client.rpush(`${account}:list`, 'x');
      const half = () =>
        barrier.attempt(call('do'), (redis) => {
          redis.write('INCRBY', account, 1);
          redis.write('INCRBY', `${account}:list`, 1);
        });
      const key = `${prefix}["s1","hold"]`;
      await expect(half()).rejects.toThrow(`command 2 (INCRBY) failed`);
      await expect(half()).rejects.toThrow(`delete the key ${key}`);
      await expect(barrier.attempt(call('undo'), never)).rejects.toThrow('delete the key');
      expect(await client.get(account)).toBe('1');
      await client.del(key, account);
      expect((await barrier.attempt(call('undo'), never)).type).toBe('nothing');
    }));

  it('loads its scripts again after the server forgot them, and lets marks expire', () =>
    stage(async ({ client, account, prefix }) => {
      const barrier = redisSagaBarrier({ client, prefix, retention: 150 });
      const add = () => barrier.attempt(call('do'), (redis) => redis.write('INCRBY', account, 1));
      expect((await add()).type).toBe('performed');
      await client.script('FLUSH');
      expect((await add()).type).toBe('repeated');
      await expect.poll(() => client.exists(`${prefix}["s1","hold"]`)).toBe(0);
      expect((await add()).type).toBe('performed');
    }));
});
