/**
 * The little of a SQLite driver that the store needs. `better-sqlite3` and `node:sqlite` both have it; both answer
 * synchronously.
 */
import { StoreError } from '../../core/errors.ts';

/** A prepared statement. Texts, numbers and null are bound; drivers' own types differ in how they say so. */
export interface SqliteStatement {
  /** Execute it; how many rows it changed. */
  run(...values: unknown[]): { readonly changes: number | bigint };
  /** Its first row. */
  get(...values: unknown[]): unknown;
  /** All its rows. */
  all(...values: unknown[]): unknown[];
}

/** An open database: `new Database(file)` of better-sqlite3, or `new DatabaseSync(file)` of node:sqlite. */
export interface SqliteDatabase {
  /** Execute statements without a result. */
  exec(sql: string): unknown;
  /** Prepare a statement. */
  prepare(sql: string): SqliteStatement;
}

/**
 * Run `work` as one immediate transaction: it takes the write lock first, so it never fails half way for having read
 * what another process wrote meanwhile.
 *
 * @throws StoreError with what went wrong; then nothing of it was written.
 */
export function transact<T>(database: SqliteDatabase, operation: string, work: () => T): T {
  return guard(operation, () => {
    database.exec('BEGIN IMMEDIATE');
    try {
      const result = work();
      database.exec('COMMIT');
      return result;
    } catch (error) {
      // A failed commit, or a full disk, may have rolled it back already.
      try {
        database.exec('ROLLBACK');
      } catch {}
      throw error;
    }
  });
}

/** @throws StoreError for whatever `work` throws. */
export function guard<T>(operation: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof StoreError ? error : new StoreError('sqlite', operation, error);
  }
}
