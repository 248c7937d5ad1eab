export {
  type PooledClient,
  type PostgresPool,
  type PostgresSagaBarrier,
  type PostgresSagaBarrierOptions,
  type PostgresTransaction,
  postgresSagaBarrier,
} from './saga-barrier.ts';
