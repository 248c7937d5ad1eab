export type { IoRedisClient, NodeRedisClient, RedisClient } from './client.ts';
export { type RedisRateStoreOptions, redisRateStore } from './rate-store.ts';
