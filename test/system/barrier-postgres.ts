import pg from 'pg';
import { postgresSagaBarrier } from '../../src/adapters/postgres/saga-barrier.ts';
import type { SagaBarrierHarness } from '../../src/testing/conformance/saga-barrier-stage.ts';
import type { Server } from '../servers/server.ts';

let created = 0;

/** A schema of its own, so that tests do not meet. */
export async function barrierInPostgres(server: Server): Promise<
  SagaBarrierHarness<pg.PoolClient> & {
    readonly pool: pg.Pool;
    readonly schema: string;
  }
> {
  created += 1;
  // A name that must be quoted.
  const schema = `Barrier "${process.pid}" ${created}`;
  const quoted = `"${schema.replaceAll('"', '""')}"`;
  const pools = [0, 1].map(() => new pg.Pool({ connectionString: server.url.href, max: 20 }));
  // Idle connections hear the server stop.
  for (const one of pools) one.on('error', () => {});
  const [pool, second] = pools as [pg.Pool, pg.Pool];
  await pool.query(`CREATE SCHEMA ${quoted}; CREATE TABLE ${quoted}.account (balance integer NOT NULL)`);
  await pool.query(`INSERT INTO ${quoted}.account VALUES (0)`);
  return {
    pool,
    schema,
    barrier: postgresSagaBarrier({ client: pool, schema, tablePrefix: 'Stock_' }),
    other: postgresSagaBarrier({ client: second, schema, tablePrefix: 'Stock_' }),
    add: (client, amount) => client.query(`UPDATE ${quoted}.account SET balance = balance + $1`, [amount]),
    balance: async () =>
      ((await pool.query(`SELECT balance FROM ${quoted}.account`)).rows[0] as { balance: number }).balance,
    wallTime: () => Date.now(),
    advance: (duration) => new Promise((resolve) => setTimeout(resolve, duration)),
    close: async () => {
      await pool.query(`DROP SCHEMA ${quoted} CASCADE`);
      await Promise.all(pools.map((one) => one.end()));
    },
  };
}
