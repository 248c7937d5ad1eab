import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import BetterSqlite from 'better-sqlite3';
import { describe, it } from 'vitest';
import { type SqliteDatabase, sqliteSagaStore } from '../../src/adapters/sqlite.ts';
import { sagaStoreConformance } from '../../src/testing/conformance/saga-store.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';

interface Closable extends SqliteDatabase {
  close(): unknown;
}

/** Two connections to one file, on virtual time. */
async function openFile(open: (file: string) => Closable) {
  const runtime = testRuntime();
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-sqlite-'));
  const file = join(directory, 'sagas.db');
  const [database, other] = [open(file), open(file)];
  return {
    store: sqliteSagaStore({ database, runtime }),
    another: async () => {
      const store = sqliteSagaStore({ database: other, runtime });
      await store.start();
      return store;
    },
    now: () => runtime.clock.wallTime(),
    pass: (duration: number) => runtime.clock.advance(duration),
    corrupt: async (id: string) => {
      database.prepare('UPDATE holdfast_sagas SET steps = ? WHERE id = ?').run('{"not', id);
    },
    dispose: async () => {
      database.close();
      other.close();
      rmSync(directory, { recursive: true });
    },
  };
}

type NodeSqlite = { readonly DatabaseSync: new (file: string) => Closable };
// By a variable, since the types of Node 20 do not know the module.
const nodeSqlite = 'node:sqlite';
const builtIn = await import(nodeSqlite).then(
  (module: NodeSqlite) => module,
  () => undefined,
);

/** Whether better-sqlite3, which is compiled for the Node that installed it, loads into this one. */
function betterSqliteLoads(): boolean {
  try {
    new BetterSqlite(':memory:').close();
    return true;
  } catch {
    return false;
  }
}

// Where there is the built-in driver to test by, a better-sqlite3 of another Node is no failure.
if (builtIn !== undefined && !betterSqliteLoads()) {
  describe.skip(`SagaStore: SQLite by better-sqlite3 (not compiled for Node ${process.version})`, () => {
    it('needs: npm rebuild better-sqlite3', () => {});
  });
} else {
  sagaStoreConformance({
    describe,
    it,
    name: 'SQLite by better-sqlite3',
    open: () => openFile((file) => new BetterSqlite(file)),
  });
}

if (builtIn === undefined) {
  describe.skip(`SagaStore: SQLite by node:sqlite (Node ${process.version} does not have it)`, () => {
    it('needs Node 22.13', () => {});
  });
} else {
  sagaStoreConformance({
    describe,
    it,
    name: 'SQLite by node:sqlite',
    open: () => openFile((file) => new builtIn.DatabaseSync(file)),
  });
}
