import { createHash } from 'node:crypto';
import { StoreError } from '../../core/errors.ts';
import type { GcraDecision, GcraLimit } from '../../core/gcra.ts';
import { parseOptions, z } from '../../core/options.ts';
import type { RateStore } from '../../ports/rate-store.ts';
import { commandOf, type RedisClient, redisClientOption } from './client.ts';

/** Options of {@link redisRateStore}. */
export interface RedisRateStoreOptions {
  /** Your connected client, of `redis` (node-redis) or `ioredis`. It stays yours: the store never closes it. */
  readonly client: RedisClient;
  /** What every key begins with. Default `holdfast:rate:`. */
  readonly prefix?: string | undefined;
}

const optionsSchema = z.strictObject({
  client: redisClientOption(),
  prefix: z.string().default('holdfast:rate:'),
});

/**
 * GCRA as in `core/gcra.ts`, by the server's clock, so that the clocks of its clients do not matter. One script is one
 * atomic step. Numbers come back as text, since Redis cuts Lua's numbers down to integers.
 */
const script = `
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local interval, tolerance, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local base = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local after = base + interval * cost
local slack = interval / 1000
local allowed = after - now <= tolerance + slack
local kept = base
if allowed then
  kept = after
  redis.call('SET', KEYS[1], string.format('%.17g', kept), 'PX', math.ceil(kept - now) + 1)
end
local text = function(number) return string.format('%.17g', number) end
return {
  allowed and 1 or 0,
  text(math.max(0, math.floor((tolerance - (kept - now) + slack) / interval))),
  text(allowed and 0 or after - tolerance - now),
  text(kept - now),
  text(kept)
}`;

const digest = createHash('sha1').update(script).digest('hex');

/**
 * Counts the use of rate limits in Redis (5 or newer), for all processes together. Keys expire by themselves once they
 * are full again.
 *
 * A Redis cluster needs a client of ioredis, which routes by key.
 *
 * @throws InvalidOptionsError naming each option that is not acceptable. `take` rejects with `StoreError`.
 */
export function redisRateStore(options: RedisRateStoreOptions): RateStore {
  const { client, prefix } = parseOptions('redisRateStore', optionsSchema, options);
  const command = commandOf(client);
  const evaluate = async (...parameters: readonly string[]): Promise<unknown> => {
    try {
      return await command('EVALSHA', digest, '1', ...parameters);
    } catch (error) {
      // The server does not know the script yet, or not any more.
      if (!String(error).includes('NOSCRIPT')) throw error;
      return command('EVAL', script, '1', ...parameters);
    }
  };
  return {
    name: 'redis',
    async take(key, rule, cost = 1) {
      try {
        const { interval, tolerance } = measuresOf(rule);
        return decisionOf(await evaluate(prefix + key, `${interval}`, `${tolerance}`, `${cost}`));
      } catch (error) {
        throw new StoreError('redis', 'decide on a rate limit', error);
      }
    },
  };
}

function measuresOf({ limit, period, burst }: GcraLimit): { interval: number; tolerance: number } {
  const interval = period / limit;
  return { interval, tolerance: interval * (burst ?? limit) };
}

function decisionOf(answer: unknown): GcraDecision {
  const [allowed, remaining, retryAfter, resetAfter, arrival] = (answer as readonly unknown[]).map(Number);
  return {
    allowed: allowed === 1,
    remaining: remaining!,
    retryAfter: retryAfter!,
    resetAfter: resetAfter!,
    arrival: arrival!,
  };
}
