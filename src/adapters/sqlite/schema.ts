import { StoreError } from '../../core/errors.ts';
import { type SqliteDatabase, transact } from './database.ts';

/** Quoted names of the store's tables. */
export interface SagaTables {
  readonly sagas: string;
  readonly leases: string;
  readonly requests: string;
}

/** Names of the tables under a prefix, which must be a checked identifier. */
export function sagaTables(prefix: string): SagaTables {
  return {
    sagas: `"${prefix}sagas"`,
    leases: `"${prefix}saga_leases"`,
    requests: `"${prefix}saga_requests"`,
  };
}

/**
 * What makes the tables of each version from those of the one before, the first from nothing. Never change one that was
 * released: append. A step must leave tables that processes of the version before can go on with until they end.
 */
function migrations(prefix: string): readonly string[] {
  const { sagas, leases, requests } = sagaTables(prefix);
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
  // The table is made anew, ordered by its insertions: what is under way at one time lies on few pages, so a commit
  // writes few. What a process of the version before says to it still holds; so `due_at` is computed, to be right for
  // what such a process writes. `ready_at` is when it was created, but never later than by the clock of the store: one
  // whose creator's clock is ahead is due as well. The index of what is due ends in what a census needs, so that one reads nothing else.
  const columns =
    'id, saga, hash, status, input, steps, reason, owner, epoch, version, created_at, updated_at, repairs';
  const waiting = `
    ALTER TABLE ${sagas} RENAME TO "${prefix}sagas_2";
    CREATE TABLE ${sagas} (
      id TEXT NOT NULL PRIMARY KEY,
      saga TEXT NOT NULL,
      hash TEXT NOT NULL,
      definition_version INTEGER NOT NULL DEFAULT 1,
      status TEXT NOT NULL,
      owner TEXT,
      epoch INTEGER NOT NULL,
      version INTEGER NOT NULL,
      claims INTEGER NOT NULL DEFAULT 0,
      request_count INTEGER NOT NULL DEFAULT 0,
      woken INTEGER NOT NULL DEFAULT 0,
      created_at REAL NOT NULL,
      updated_at REAL NOT NULL,
      deadline REAL,
      wake_at REAL,
      ready_at REAL NOT NULL DEFAULT 0,
      due_at REAL GENERATED ALWAYS AS
        (CASE WHEN status = 'waiting' AND woken = 0 THEN wake_at ELSE ready_at END) VIRTUAL,
      reason TEXT,
      parked_at TEXT,
      repairs TEXT,
      steps TEXT NOT NULL,
      input TEXT NOT NULL
    );
    INSERT INTO ${sagas} (${columns}, ready_at) SELECT ${columns}, created_at FROM "${prefix}sagas_2" ORDER BY created_at;
    DROP TABLE "${prefix}sagas_2";
    CREATE INDEX "${prefix}sagas_newest" ON ${sagas} (created_at DESC);
    CREATE INDEX "${prefix}sagas_due" ON ${sagas} (saga, hash, due_at, id, definition_version, status)
      WHERE status IN ('running', 'waiting', 'compensating');
    CREATE INDEX "${prefix}sagas_parked" ON ${sagas} (saga, hash, definition_version) WHERE status = 'parked';
    CREATE TABLE ${requests} (
      saga_id TEXT NOT NULL,
      request_id TEXT NOT NULL,
      place INTEGER NOT NULL,
      body TEXT NOT NULL,
      PRIMARY KEY (saga_id, request_id)
    ) WITHOUT ROWID;
  `;
  return [tables, repairs, waiting];
}

/** The version of the tables under a prefix; 0 when there are none. */
function versionOf(database: SqliteDatabase, prefix: string): number {
  const name = `${prefix}saga_schema`;
  const known = database
    .prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ? COLLATE NOCASE")
    .get(name);
  if (known === undefined) return 0;
  const row = database.prepare(`SELECT max(version) AS version FROM "${name}"`).get();
  return Number((row as { readonly version: number | bigint | null }).version ?? 0);
}

function wrongVersion(found: number, known: number): StoreError {
  const advice =
    found > known ? 'upgrade holdfast' : '`holdfast saga migrate` or a start with migrateOnStart makes them';
  const why = `its tables are of version ${found} and this code knows ${known}; ${advice}`;
  return new StoreError('sqlite', 'start', new Error(why));
}

/** Create the tables, or bring those that are there to the version that this code reads and writes. */
export function prepareSchema(database: SqliteDatabase, prefix: string): void {
  const steps = migrations(prefix);
  transact(database, () => {
    const found = versionOf(database, prefix);
    if (found > steps.length) throw wrongVersion(found, steps.length);
    if (found === steps.length) return;
    const versions = `"${prefix}saga_schema"`;
    database.exec(`CREATE TABLE IF NOT EXISTS ${versions} (version INTEGER NOT NULL)`);
    for (const step of steps.slice(found)) database.exec(step);
    database.exec(`INSERT INTO ${versions} (version) VALUES (${steps.length})`);
  });
}

/** @throws StoreError when there are no tables under the prefix, or those of another version. */
export function assertSchema(database: SqliteDatabase, prefix: string): void {
  const { length } = migrations(prefix);
  const found = versionOf(database, prefix);
  if (found === 0) {
    const why = `there are no tables with the prefix ${JSON.stringify(prefix)}; \`holdfast saga migrate\` or a start with migrateOnStart makes them`;
    throw new StoreError('sqlite', 'start', new Error(why));
  }
  if (found !== length) throw wrongVersion(found, length);
}
