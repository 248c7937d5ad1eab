export { type RedisCircuitStoreOptions, redisCircuitStore } from './circuit-store.ts';
export type { IoRedisClient, NodeRedisClient, RedisClient } from './client.ts';
export { type RedisRateStoreOptions, redisRateStore } from './rate-store.ts';
export {
  type RedisSagaBarrierOptions,
  type RedisTransaction,
  redisSagaBarrier,
} from './saga-barrier.ts';
export { type RedisSagaStoreOptions, redisSagaStore } from './saga-store.ts';
export type { IoRedisSubscriber, NodeRedisSubscriber, SubscribingRedisClient } from './subscription.ts';
