import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import postgres from 'pg';
import { afterAll, describe } from 'vitest';
import { postgresSagaStore } from '../../src/adapters/postgres/index.ts';
import { sqliteSagaStore } from '../../src/adapters/sqlite.ts';
import { describeServer } from '../servers/describe-server.ts';
import { postgres as postgresServer } from '../servers/postgres.ts';
import { lifeCycleTests } from './saga-life-cycle.ts';

describe('on one SQLite file', () => {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-life-'));
  const file = join(directory, 'journal.db');
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  lifeCycleTests(() => ({
    open: () => sqliteSagaStore({ database: new Database(file) }),
    poison: async (id) => {
      const database = new Database(file);
      database.prepare("UPDATE holdfast_sagas SET steps = '{not json' WHERE id = ?").run(id);
      database.close();
    },
  }));
});

describeServer(postgresServer, (server) => {
  const pools: postgres.Pool[] = [];
  afterAll(() => Promise.all(pools.map((pool) => pool.end())));
  const pool = (): postgres.Pool => {
    const made = new postgres.Pool({ connectionString: server().url.href, max: 4 });
    // Idle connections hear the server stop.
    made.on('error', () => {});
    pools.push(made);
    return made;
  };
  lifeCycleTests(() => ({
    open: () => postgresSagaStore({ client: pool() }),
    poison: async (id) => {
      await pool().query("UPDATE holdfast_sagas SET steps = '{not json' WHERE id = $1", [id]);
    },
  }));
});
