import pg from 'pg';
import { expect } from 'vitest';
import {
  type PostgresSagaStore,
  type PostgresSagaStoreOptions,
  postgresSagaStore,
} from '../../src/adapters/postgres/saga-store.ts';
import type { SagaStoreHarness } from '../../src/testing/conformance/saga-store-harness.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import type { Server } from '../servers/server.ts';

let created = 0;

/** Rows whose `due_at` is not what their other columns say. */
function straysOf(table: string): string {
  return `SELECT id, status, woken, wake_at, ready_at, due_at FROM ${table} WHERE due_at IS DISTINCT FROM CASE
    WHEN status IN ('completed', 'compensated', 'resolved', 'parked') THEN NULL
    WHEN status = 'waiting' AND NOT woken THEN wake_at ELSE ready_at END`;
}

/** A schema of its own, so that tests do not meet, and two pools as two processes would have. */
export async function sagasInPostgres(
  server: Server,
  options: Partial<PostgresSagaStoreOptions> = {},
): Promise<
  SagaStoreHarness & { readonly store: PostgresSagaStore; readonly pool: pg.Pool; readonly table: string }
> {
  created += 1;
  // A name that must be quoted.
  const schema = `Sagas "${process.pid}" ${created}`;
  const quoted = `"${schema.replaceAll('"', '""')}"`;
  const pools = [0, 1].map(() => new pg.Pool({ connectionString: server.url.href, max: 10 }));
  // Idle connections hear the server stop.
  for (const one of pools) one.on('error', () => {});
  const [pool, second] = pools as [pg.Pool, pg.Pool];
  const runtime = testRuntime();
  const open = (client: pg.Pool): PostgresSagaStore =>
    postgresSagaStore({ client, schema, tablePrefix: 'Shop_', runtime, ...options });
  const table = `${quoted}."Shop_sagas"`;
  return {
    pool,
    table,
    store: open(pool),
    another: async () => {
      const store = open(second);
      await store.start();
      return store;
    },
    now: () => Date.now(),
    // The server's clock cannot be moved; what is compared with it can.
    pass: async (duration) => {
      await runtime.clock.advance(duration);
      await pool.query(`UPDATE ${quoted}."Shop_saga_leases" SET expires_at = expires_at - $1`, [duration]);
      const waits = `UPDATE ${table} SET wake_at = wake_at - $1,
        due_at = CASE WHEN status = 'waiting' AND NOT woken THEN due_at - $1 ELSE due_at END`;
      await pool.query(waits, [duration]);
    },
    corrupt: async (id) =>
      void (await pool.query(`UPDATE ${table} SET steps = $2 WHERE id = $1`, [id, '{"not'])),
    dispose: async () => {
      const [{ found }] = (await pool.query('SELECT to_regclass($1) AS found', [table])).rows;
      // Whatever a test did: what is kept beside the columns that it follows from agrees with them.
      const strays = found === null ? [] : (await pool.query(straysOf(table))).rows;
      await pool.query(`DROP SCHEMA IF EXISTS ${quoted} CASCADE`);
      await Promise.all(pools.map((one) => one.end()));
      expect(strays).toEqual([]);
    },
  };
}
