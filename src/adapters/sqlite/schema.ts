import { StoreError } from '../../core/errors.ts';
import { type SqliteDatabase, transact } from './database.ts';

/** Quoted names of the store's tables. */
export interface SagaTables {
  readonly sagas: string;
  readonly leases: string;
}

/** Names of the tables under a prefix, which must be a checked identifier. */
export function sagaTables(prefix: string): SagaTables {
  return { sagas: `"${prefix}sagas"`, leases: `"${prefix}saga_leases"` };
}

/**
 * What makes the tables of each version from those of the one before, the first from nothing. Never change one that was
 * released: append. A step must leave tables that processes of the version before can go on with until they end.
 */
function migrations(prefix: string): readonly string[] {
  const { sagas, leases } = sagaTables(prefix);
  const tables = `
    CREATE TABLE ${sagas} (
      id TEXT PRIMARY KEY,
      saga TEXT NOT NULL,
      hash TEXT NOT NULL,
      status TEXT NOT NULL,
      input TEXT NOT NULL,
      steps TEXT NOT NULL,
      reason TEXT,
      owner TEXT,
      epoch INTEGER NOT NULL,
      version INTEGER NOT NULL,
      created_at REAL NOT NULL,
      updated_at REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX "${prefix}sagas_open" ON ${sagas} (created_at, id) WHERE status IN ('running', 'compensating');
    CREATE INDEX "${prefix}sagas_newest" ON ${sagas} (created_at DESC);
    CREATE TABLE ${leases} (owner TEXT PRIMARY KEY, expires_at REAL NOT NULL) WITHOUT ROWID;
  `;
  const repairs = `ALTER TABLE ${sagas} ADD COLUMN repairs TEXT`;
  return [tables, repairs];
}

/** Create the tables, or bring those that are there to the version that this code reads and writes. */
export function prepareSchema(database: SqliteDatabase, prefix: string): void {
  const versions = `"${prefix}saga_schema"`;
  const steps = migrations(prefix);
  transact(database, 'start', () => {
    database.exec(`CREATE TABLE IF NOT EXISTS ${versions} (version INTEGER NOT NULL)`);
    const row = database.prepare(`SELECT max(version) AS version FROM ${versions}`).get();
    const found = Number((row as { readonly version: number | bigint | null }).version ?? 0);
    if (found > steps.length) {
      const why = `its tables are of version ${found} and this code knows ${steps.length}; upgrade holdfast`;
      throw new StoreError('sqlite', 'start', new Error(why));
    }
    for (const step of steps.slice(found)) database.exec(step);
    if (found < steps.length) database.exec(`INSERT INTO ${versions} (version) VALUES (${steps.length})`);
  });
}
