export type { SqliteDatabase, SqliteStatement } from './sqlite/database.ts';
export {
  type SqliteSagaBarrier,
  type SqliteSagaBarrierOptions,
  sqliteSagaBarrier,
} from './sqlite/saga-barrier.ts';
export { type SqliteSagaStoreOptions, sqliteSagaStore } from './sqlite/saga-store.ts';
