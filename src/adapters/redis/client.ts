import { z } from '../../core/options.ts';

/** A client of `redis` (node-redis 4 or newer), as far as it is needed. */
export interface NodeRedisClient {
  /** Send one command, as words. */
  sendCommand(command: string[]): Promise<unknown>;
}

/** A client of `ioredis` 5 or newer, as far as it is needed. */
export interface IoRedisClient {
  /** Send one command, as words. */
  call(command: string, ...parameters: string[]): Promise<unknown>;
}

/** A connected client of Redis: of `redis` (node-redis) or of `ioredis`. */
export type RedisClient = NodeRedisClient | IoRedisClient;

const has = (value: object, method: string): boolean =>
  typeof (value as Record<string, unknown>)[method] === 'function';

/** The option `client`. */
export function redisClientOption(): z.ZodCustom<RedisClient, RedisClient> {
  return z.custom<RedisClient>(
    (value) =>
      typeof value === 'object' && value !== null && (has(value, 'call') || has(value, 'sendCommand')),
    { error: 'a client of redis (with sendCommand()) or of ioredis (with call())' },
  );
}

/** Sends one command to the server, whichever the client. */
export function commandOf(client: RedisClient): (...words: [string, ...string[]]) => Promise<unknown> {
  // ioredis has a sendCommand() as well, which takes something else.
  if ('call' in client) return (name, ...parameters) => client.call(name, ...parameters);
  return (...words) => client.sendCommand(words);
}
