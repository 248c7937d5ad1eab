export type { PostgresClient } from './client.ts';
export {
  type PooledClient,
  type PostgresPool,
  type PostgresSagaBarrier,
  type PostgresSagaBarrierOptions,
  type PostgresTransaction,
  postgresSagaBarrier,
} from './saga-barrier.ts';
export {
  type PostgresSagaStore,
  type PostgresSagaStoreOptions,
  postgresSagaStore,
} from './saga-store.ts';
