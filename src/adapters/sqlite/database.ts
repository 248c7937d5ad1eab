/**
 * The little of a SQLite driver that the store needs. `better-sqlite3` and `node:sqlite` both have it; both answer
 * synchronously.
 */
import { InvalidPayloadError, StoreError } from '../../core/errors.ts';
import { HoldfastError, messageOf } from '../../core/holdfast-error.ts';

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
 * @throws What went wrong; then nothing of it was written, unless it was the commit that failed.
 */
export function transact<T>(database: SqliteDatabase, work: () => T): T {
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
}

/** What a caller of the store is to hear of an error of the driver. */
export function storeErrorOf(operation: string, error: unknown): HoldfastError {
  if (error instanceof HoldfastError) return error;
  // Both drivers pass on SQLite's own words: "string or blob too big".
  if (/too big/.test(messageOf(error)))
    return new InvalidPayloadError('what is to be stored', messageOf(error), error);
  return new StoreError('sqlite', operation, error);
}

/** @throws StoreError for whatever `work` throws; what the library itself threw is passed on as it is. */
export function guard<T>(operation: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw storeErrorOf(operation, error);
  }
}

/** Whether another process has the lock: better-sqlite3 says so by name, node:sqlite by the number 5. */
export function isBusy(error: unknown): boolean {
  const { code, errcode } = error as { readonly code?: unknown; readonly errcode?: unknown };
  return String(code).startsWith('SQLITE_BUSY') || (typeof errcode === 'number' && (errcode & 0xff) === 5);
}

/** Whether the database is kept in a file, and not in memory or in a file that goes when it is closed. */
export function isInFile(database: SqliteDatabase): boolean {
  const files = database.prepare('PRAGMA database_list').all() as {
    readonly name: string;
    readonly file: string;
  }[];
  return files.some(({ name, file }) => name === 'main' && file !== '');
}

/**
 * What a committed write survives, by the journal that the database has and `synchronous` of FULL (WAL) or EXTRA. Not
 * every file system, driver or open database lets the journal be changed.
 *
 * @see https://sqlite.org/pragma.html#pragma_journal_mode
 */
export function durabilityOf(journalMode: string, inFile: boolean): string {
  if (!inFile) return 'nothing: it ends with the process';
  if (['wal', 'delete', 'truncate', 'persist'].includes(journalMode)) return 'power loss';
  return `process, unless it dies within a write: with journal_mode=${journalMode} that may spoil the file`;
}
