/** The SQLite drivers that this Node has. */
import BetterSqlite from 'better-sqlite3';
import { describe, it } from 'vitest';
import type { SqliteDatabase } from '../../src/adapters/sqlite/database.ts';

/** An open database that can be closed. */
export interface ClosableDatabase extends SqliteDatabase {
  close(): unknown;
}

type NodeSqlite = { readonly DatabaseSync: new (file: string) => ClosableDatabase };
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

/** Declare tests with each driver; one that is not here is shown as skipped, with the reason. */
export function withEachDriver(body: (name: string, open: (file: string) => ClosableDatabase) => void): void {
  if (betterSqliteLoads()) body('better-sqlite3', (file) => new BetterSqlite(file));
  else {
    describe.skip(`SQLite by better-sqlite3 (not compiled for Node ${process.version})`, () => {
      it('needs: npm rebuild better-sqlite3', () => {});
    });
  }
  if (builtIn !== undefined) body('node:sqlite', (file) => new builtIn.DatabaseSync(file));
  else {
    describe.skip(`SQLite by node:sqlite (Node ${process.version} does not have it)`, () => {
      it('needs Node 22.13', () => {});
    });
  }
}

/** Open a database by whichever driver this Node has. */
export function openSqlite(file: string): ClosableDatabase {
  return builtIn === undefined || betterSqliteLoads()
    ? new BetterSqlite(file)
    : new builtIn.DatabaseSync(file);
}
