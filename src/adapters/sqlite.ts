export type { SqliteDatabase, SqliteStatement } from './sqlite/database.ts';
export { type SqliteSagaStoreOptions, sqliteSagaStore } from './sqlite/saga-store.ts';
