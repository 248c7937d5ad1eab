/** The command on real servers, by the drivers of this project. */
import { Redis } from 'ioredis';
import pg from 'pg';
import { expect, it, vi } from 'vitest';
import { z } from 'zod';
import { postgresSagaStore } from '../../src/adapters/postgres/saga-store.ts';
import { redisSagaStore } from '../../src/adapters/redis/saga-store.ts';
import { runCli } from '../../src/cli/program.ts';
import type { SagaStore } from '../../src/ports/saga-store.ts';
import { SagaRunner } from '../../src/saga/runner.ts';
import { saga } from '../../src/saga/saga.ts';
import { testIo } from '../cli/cli-io.ts';
import { describeServer } from '../servers/describe-server.ts';
import { postgres } from '../servers/postgres.ts';
import { redis } from '../servers/redis.ts';

vi.setConfig({ testTimeout: 60_000 });

const shop = (ship: () => unknown) =>
  saga('shop', { input: z.object({}) })
    .pivot('pay', () => 'paid')
    .step('ship', ship);

async function run(...args: string[]) {
  const io = testIo();
  const code = await runCli(['saga', ...args], io);
  return { code, ...io.written };
}

async function execute(store: SagaStore, id: string, ship: () => unknown): Promise<unknown> {
  const definition = shop(ship);
  const sagas = await new SagaRunner({ store, sagas: [definition], retry: { attempts: 1 } }).start();
  try {
    return await sagas.run(definition, {}, { id }).catch((error: Error) => error.message);
  } finally {
    await sagas.stop();
  }
}

const closed = (): never => {
  throw new Error('the depot is closed');
};

/** Parked, listed, shown, retried, gone on with, and too late to be cancelled. */
async function throughItsLife(address: string, store: SagaStore, id: string): Promise<void> {
  expect(await execute(store, id, closed)).toContain('is parked');
  const listed = await run('list', '--store', address, '--status', 'parked', '--id-prefix', id, '--json');
  expect(JSON.parse(listed.out)).toMatchObject([{ id, parkedAt: { step: 'ship' } }]);
  expect((await run('show', id, '--store', address)).out).toContain('parked at ship');
  const retried = await run('retry', id, '--store', address, '--by', 'ann', '--reason', 'it is open');
  expect(retried).toEqual({ code: 0, out: `${id}: running\n`, error: '' });
  expect(await execute(store, id, () => 'sent')).toMatchObject({ ship: 'sent' });
  const late = await run('cancel', id, '--store', address, '--reason', 'x');
  expect(late).toMatchObject({ code: 1, out: `${id}: too late, it is completed\n` });
}

describeServer(postgres, (server) => {
  it('finds its way in Postgres, in any schema and under any prefix', async () => {
    const schema = `Cli "${process.pid}"`;
    const url = new URL(server().url);
    const address = `${url.href}?application_name=cli&schema=${encodeURIComponent(schema)}&prefix=Shop_`;
    const missing = await run('list', '--store', address);
    expect([missing.code, missing.out]).toEqual([1, '']);
    expect(missing.error).toContain('migrate');
    expect(await run('migrate', '--store', address)).toMatchObject({ code: 0, error: '' });
    const pool = new pg.Pool({ connectionString: url.href, max: 4 });
    pool.on('error', () => {});
    try {
      await throughItsLife(address, postgresSagaStore({ client: pool, schema, tablePrefix: 'Shop_' }), 'o1');
    } finally {
      await pool.query(`DROP SCHEMA "${schema.replaceAll('"', '""')}" CASCADE`);
      await pool.end();
    }
  });

  it('says that a server is not there, and no password', async () => {
    const { code, error } = await run('list', '--store', 'postgres://user:hunter2@127.0.0.1:1/none');
    expect([code, error]).toEqual([1, expect.stringContaining('[HOLDFAST_STORE]')]);
    expect(error).not.toContain('hunter2');
  });
});

describeServer(redis, (server) => {
  it('finds its way in Redis, under any prefix', async () => {
    const prefix = `cli:${process.pid}:{sagas}:`;
    const client = new Redis(server().url.href);
    try {
      const address = `${server().url.href}?prefix=${encodeURIComponent(prefix)}`;
      expect(await run('list', '--store', address)).toEqual({ code: 0, out: 'no sagas\n', error: '' });
      await throughItsLife(address, redisSagaStore({ client, prefix }), 'o1');
      expect(await run('migrate', '--store', address)).toMatchObject({ code: 0 });
    } finally {
      await client.quit();
    }
  });

  it('says that a server is not there, or that the prefix is none', async () => {
    const gone = await run('list', '--store', 'redis://:hunter2@127.0.0.1:1');
    expect([gone.code, gone.error]).toEqual([1, expect.stringMatching(/ECONNREFUSED.*\[HOLDFAST_STORE\]/)]);
    expect(gone.error).not.toContain('hunter2');
    const bad = await run('list', '--store', `${server().url.href}?prefix=x`);
    expect([bad.code, bad.error]).toEqual([2, expect.stringContaining('a prefix with a hash tag')]);
  });
});
