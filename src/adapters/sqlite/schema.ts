import { StoreError } from '../../core/errors.ts';
import { type SqliteDatabase, transact } from './database.ts';

/** The version of the tables that this code reads and writes. */
const schemaVersion = 1;

/** Quoted names of the store's tables. */
export interface SagaTables {
  readonly sagas: string;
  readonly leases: string;
}

/** Names of the tables under a prefix, which must be a checked identifier. */
export function sagaTables(prefix: string): SagaTables {
  return { sagas: `"${prefix}sagas"`, leases: `"${prefix}saga_leases"` };
}

/** Create the tables, or check that those that are there are of a version that this code knows. */
export function prepareSchema(database: SqliteDatabase, prefix: string): void {
  const { sagas, leases } = sagaTables(prefix);
  const versions = `"${prefix}saga_schema"`;
  transact(database, 'start', () => {
    database.exec(`CREATE TABLE IF NOT EXISTS ${versions} (version INTEGER NOT NULL)`);
    const row = database.prepare(`SELECT max(version) AS version FROM ${versions}`).get();
    const { version } = row as { readonly version: number | null };
    if (version === schemaVersion) return;
    if (version !== null) {
      const why = `its tables are of version ${version} and this code knows ${schemaVersion}; upgrade holdfast`;
      throw new StoreError('sqlite', 'start', new Error(why));
    }
    database.exec(`
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
      INSERT INTO ${versions} (version) VALUES (${schemaVersion});
    `);
  });
}
