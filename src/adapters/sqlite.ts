export type { SqliteDatabase, SqliteStatement, SqliteValue } from './sqlite/database.ts';
export { type SqliteSagaStoreOptions, sqliteSagaStore } from './sqlite/saga-store.ts';
