import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import BetterSqlite from 'better-sqlite3';
import { afterEach, describe, expect, it } from 'vitest';
import { type SqliteDatabase, sqliteSagaStore } from '../../src/adapters/sqlite.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';

const runtime = testRuntime();
const open: { readonly database: BetterSqlite.Database; readonly directory: string }[] = [];

function openFile(): BetterSqlite.Database {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-sqlite-'));
  const database = new BetterSqlite(join(directory, 'sagas.db'));
  open.push({ database, directory });
  return database;
}

afterEach(() => {
  for (const { database, directory } of open.splice(0)) {
    database.close();
    rmSync(directory, { recursive: true });
  }
});

/** The database, on a file system where the journal cannot be made a WAL. */
function withoutWal(database: BetterSqlite.Database, journalMode: string): SqliteDatabase {
  database.pragma(`journal_mode = ${journalMode}`);
  return {
    exec: (sql) => database.exec(sql),
    prepare: (sql) => database.prepare(sql === 'PRAGMA journal_mode = WAL' ? 'PRAGMA journal_mode' : sql),
  };
}

async function started(database: SqliteDatabase) {
  const store = sqliteSagaStore({ database, runtime });
  await store.start();
  return store;
}

/** Whether better-sqlite3, which is compiled for the Node that installed it, loads into this one. */
function betterSqliteLoads(): boolean {
  try {
    new BetterSqlite(':memory:').close();
    return true;
  } catch {
    return false;
  }
}

describe.skipIf(!betterSqliteLoads())('what a write to SQLite survives', () => {
  it.each(['wal', 'delete', 'truncate', 'persist'])(
    'is power loss with a journal of %s in a file',
    async (mode) => {
      const file = openFile();
      const store = await started(mode === 'wal' ? file : withoutWal(file, mode));
      expect(file.pragma('journal_mode', { simple: true })).toBe(mode);
      expect(file.pragma('synchronous', { simple: true })).toBe(mode === 'wal' ? 2 : 3);
      expect(store.durability).toBe('power loss');
    },
  );

  it('is the process only with a journal in memory', async () => {
    const store = await started(withoutWal(openFile(), 'memory'));
    expect(store.durability).toMatch(/^process, unless it dies within a write: with journal_mode=memory/);
  });

  it.each(['', ':memory:'])('is nothing for a database that no named file keeps (%j)', async (name) => {
    const database = new BetterSqlite(name);
    expect((await started(database)).durability).toBe('nothing: it ends with the process');
    database.close();
  });
});

/** The tables as version 1 had them, with one parked saga in them. */
const versionOne = `
  CREATE TABLE holdfast_saga_schema (version INTEGER NOT NULL);
  CREATE TABLE holdfast_sagas (id TEXT PRIMARY KEY, saga TEXT NOT NULL, hash TEXT NOT NULL, status TEXT NOT NULL,
    input TEXT NOT NULL, steps TEXT NOT NULL, reason TEXT, owner TEXT, epoch INTEGER NOT NULL,
    version INTEGER NOT NULL, created_at REAL NOT NULL, updated_at REAL NOT NULL) WITHOUT ROWID;
  CREATE TABLE holdfast_saga_leases (owner TEXT PRIMARY KEY, expires_at REAL NOT NULL) WITHOUT ROWID;
  INSERT INTO holdfast_saga_schema VALUES (1);
  INSERT INTO holdfast_sagas VALUES ('s', 'shop', 'h', 'parked', 'null', '[]', 'why', 'me', 1, 3, 5, 6);
`;

describe.skipIf(!betterSqliteLoads())('tables of another version', () => {
  it('are brought up to date, once, with what is in them, while a process of version 1 goes on', async () => {
    const database = openFile();
    database.exec(versionOne);
    const old = database.prepare('UPDATE holdfast_sagas SET reason = ?, version = version + 1 WHERE id = ?');
    const store = await started(database);
    await store.start();
    const record = {
      id: 's',
      saga: 'shop',
      hash: 'h',
      status: 'parked',
      input: null,
      steps: [],
      reason: 'why',
    };
    const counters = { definitionVersion: 1, epoch: 1, version: 3, claims: 0 };
    expect(await store.get('s')).toEqual({ ...record, ...counters, createdAt: 5, updatedAt: 6 });
    const repairs = [{ action: 'retry', by: 'ann', reason: 'why not', parked: 'why', at: 7 }] as const;
    const taken = await store.take('s', { owner: 'o', ttl: 1_000 });
    expect(await store.update({ ...taken!, status: 'running', repairs })).toEqual({ requests: 0 });
    old.run('written by version 1', 's');
    expect(await store.get('s')).toMatchObject({ reason: 'written by version 1', repairs, version: 5 });
    database.exec(`INSERT INTO holdfast_sagas (id, saga, hash, status, input, steps, epoch, version, created_at,
      updated_at) VALUES ('t', 'shop', 'h', 'compensating', '1', '[]', 1, 0, 4, 4)`);
    const definitions = [{ saga: 'shop', hash: 'h' }];
    const request = { definitions, limitEach: 9, holding: [], maxClaims: 9 };
    await store.release('o');
    const claimed = await store.claim(request, { owner: 'o', ttl: 1_000 });
    expect(claimed.map(({ id, status }) => [id, status])).toEqual([
      ['t', 'compensating'],
      ['s', 'running'],
    ]);
    expect(database.prepare('SELECT version FROM holdfast_saga_schema').all()).toEqual([
      { version: 1 },
      { version: 3 },
    ]);
  });

  it('are refused when they are newer, with advice', async () => {
    const database = openFile();
    await started(database);
    database.exec('INSERT INTO holdfast_saga_schema VALUES (4)');
    await expect(started(database)).rejects.toThrow('of version 4 and this code knows 3; upgrade holdfast');
  });
});
