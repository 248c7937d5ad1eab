/**
 * The same saga, by each contender: three steps that do nothing but answer, of which the second is the pivot. Each
 * contender makes what it needs and gives `run(id)`, which resolves when the saga is over and written down.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DBOS } from '@dbos-inc/dbos-sdk';
import BetterSqlite from 'better-sqlite3';
import { SagaRunner, saga } from 'holdfast';
import { memorySagaStore } from 'holdfast/adapters/memory';
import { postgresSagaStore } from 'holdfast/adapters/postgres';
import { sqliteSagaStore } from 'holdfast/adapters/sqlite';
import pg from 'pg';
import { z } from 'zod';

const order = { sku: 'kelp', amount: 20, customer: 'c-1048576' };
const [hold, pay, ship] = [
  async () => ({ shelf: 'A7' }),
  async () => ({ receipt: 'r-77' }),
  async () => ({ parcel: 3 }),
];

/** As many connections for each contender. */
const connections = 20;

async function poolOf(url) {
  const pool = new pg.Pool({ connectionString: url, max: connections });
  // Idle connections hear the server stop.
  pool.on('error', () => {});
  return pool;
}

async function holdfastOn(store, concurrency) {
  const checkout = saga('checkout', {
    input: z.object({ sku: z.string(), amount: z.number(), customer: z.string() }),
  })
    .step('hold', hold, { undo: async () => {} })
    .pivot('pay', pay)
    .step('ship', ship);
  const runner = await new SagaRunner({
    store,
    sagas: [checkout],
    concurrency: Math.max(64, concurrency),
  }).start();
  return { run: (id) => runner.run(checkout, order, { id }), stop: () => runner.stop() };
}

/** Contenders on a Postgres server of their own tables. */
export const onPostgres = {
  async holdfast({ url, concurrency }) {
    const pool = await poolOf(url);
    const { run, stop } = await holdfastOn(postgresSagaStore({ client: pool, prepare: true }), concurrency);
    return { run, stop: () => stop().then(() => pool.end()) };
  },

  async 'DBOS Transact'({ url }) {
    DBOS.setConfig({
      name: 'bench',
      systemDatabaseUrl: url,
      systemDatabasePoolSize: connections,
      logLevel: 'error',
      runAdminServer: false,
    });
    const work = DBOS.registerWorkflow(
      async () => {
        const held = await DBOS.runStep(hold, { name: 'hold' });
        const paid = await DBOS.runStep(pay, { name: 'pay' });
        const shipped = await DBOS.runStep(ship, { name: 'ship' });
        return { held, paid, shipped };
      },
      { name: 'checkout' },
    );
    await DBOS.launch();
    const run = async (id) => (await DBOS.startWorkflow(work, { workflowID: id })(order)).getResult();
    return { run, stop: () => DBOS.shutdown() };
  },

  async 'by hand, autocommit'({ url }) {
    const pool = await poolOf(url);
    await pool.query(`CREATE TABLE hand_saga (id text PRIMARY KEY, status text NOT NULL, step integer NOT NULL,
        input jsonb NOT NULL);
      CREATE TABLE hand_step (saga text, name text, output jsonb NOT NULL, PRIMARY KEY (saga, name))`);
    const step = async (id, name, work, number, status) => {
      const output = await work();
      await pool.query('INSERT INTO hand_step (saga, name, output) VALUES ($1, $2, $3)', [id, name, output]);
      await pool.query('UPDATE hand_saga SET step = $2, status = $3 WHERE id = $1', [id, number, status]);
    };
    const run = async (id) => {
      const begin = 'INSERT INTO hand_saga (id, status, step, input) VALUES ($1, $2, 0, $3)';
      await pool.query(begin, [id, 'running', order]);
      await step(id, 'hold', hold, 1, 'running');
      await step(id, 'pay', pay, 2, 'running');
      await step(id, 'ship', ship, 3, 'completed');
    };
    return { run, stop: () => pool.end() };
  },

  async 'by hand, one statement a step'({ url }) {
    const pool = await poolOf(url);
    await pool.query(`CREATE TABLE hand_row (id text PRIMARY KEY, status text NOT NULL, version integer NOT NULL,
      input jsonb NOT NULL, steps jsonb NOT NULL)`);
    const update = `UPDATE hand_row SET steps = $3, status = $4, version = version + 1 WHERE id = $1 AND version = $2`;
    const run = async (id) => {
      const begin = `INSERT INTO hand_row (id, status, version, input, steps) VALUES ($1, 'running', 0, $2, '[]')`;
      await pool.query(begin, [id, order]);
      const steps = [];
      for (const [name, work] of Object.entries({ hold, pay, ship })) {
        const version = steps.length;
        steps.push({ name, output: await work() });
        const status = steps.length === 3 ? 'completed' : 'running';
        await pool.query(update, [id, version, JSON.stringify(steps), status]);
      }
    };
    return { run, stop: () => pool.end() };
  },
};

/** Contenders that need no server. */
export const embedded = {
  async 'SQLite, synchronous=FULL'({ concurrency }) {
    const directory = mkdtempSync(join(tmpdir(), 'holdfast-bench-'));
    const database = new BetterSqlite(join(directory, 'sagas.db'));
    const { run, stop } = await holdfastOn(sqliteSagaStore({ database }), concurrency);
    return {
      run,
      stop: async () => {
        await stop();
        database.close();
        rmSync(directory, { recursive: true });
      },
    };
  },
  memory: ({ concurrency }) => holdfastOn(memorySagaStore(), concurrency),
};

/** A runner with sagas that sleep for a day: begins so many of them. */
export async function sleepers(count) {
  const nap = saga('nap', { input: z.object({ customer: z.string() }) })
    .step('hold', hold, { undo: async () => {} })
    .delay('rest', '24h')
    .pivot('pay', pay);
  const store = memorySagaStore();
  const runner = await new SagaRunner({ store, sagas: [nap], concurrency: 1_000 }).start();
  for (let id = 0; id < count; id += 1_000) {
    const some = Array.from({ length: 1_000 }, (_, n) =>
      runner.begin(nap, { customer: `c-${n}` }, { id: `nap-${id + n}` }),
    );
    await Promise.all(some);
  }
  // Begun, each has its first step to do before it sleeps.
  const asleep = async () => (await store.census('waiting'))[0]?.count ?? 0;
  while ((await asleep()) < count) await new Promise((resolve) => setTimeout(resolve, 20));
  return { runner, store };
}
