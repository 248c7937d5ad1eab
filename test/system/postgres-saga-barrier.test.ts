/** The barrier in a real Postgres: the contract, and what only a database with sessions can get wrong. */
import fc from 'fast-check';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { postgresSagaBarrier } from '../../src/adapters/postgres/saga-barrier.ts';
import { RefusedError, StoreError } from '../../src/core/errors.ts';
import type { BarrierCall } from '../../src/ports/saga-barrier.ts';
import { sagaBarrierConformance } from '../../src/testing/conformance/saga-barrier.ts';
import { followsTheModel, isSomeOrder, someCalls } from '../saga/participant/barrier-model.ts';
import { describeServer } from '../servers/describe-server.ts';
import { postgres } from '../servers/postgres.ts';
import { until } from '../servers/until.ts';
import { barrierInPostgres } from './barrier-postgres.ts';

const call = (operation: 'do' | 'undo'): BarrierCall => ({ saga: 's1', step: 'hold', operation });
const never = (): never => expect.fail('the work was run');

describeServer(postgres, (server) => {
  sagaBarrierConformance({
    api: { describe, it },
    name: 'Postgres',
    create: () => barrierInPostgres(server()),
  });

  async function stage(body: (stage: Awaited<ReturnType<typeof barrierInPostgres>>) => Promise<void>) {
    const made = await barrierInPostgres(server());
    try {
      await made.barrier.start();
      await body(made);
    } finally {
      await made.close();
    }
  }

  it.each([
    ['one call after another', followsTheModel],
    ['all calls at once, on many connections', isSomeOrder],
  ])('follows its model: %s', (_order, check) =>
    stage(async (harness) => {
      let saga = 0;
      const property = fc.asyncProperty(someCalls, (calls) => {
        saga += 1;
        return check(harness as never, `s${saga}`, calls);
      });
      await fc.assert(property, { numRuns: 150 });
    }),
  );

  const waiting = (pool: pg.Pool) => async () => {
    const { rows } = await pool.query("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'");
    return rows.length > 0;
  };

  it('lets an undo wait for a do that is under way, and take it back', () =>
    stage(async ({ barrier, other, add, balance, pool }) => {
      let finish = (): void => {};
      const gate = new Promise<void>((resolve) => {
        finish = resolve;
      });
      let enter = (): void => {};
      const entered = new Promise<void>((resolve) => {
        enter = resolve;
      });
      const doing = barrier.attempt(call('do'), async (client) => {
        await add(client, 1);
        enter();
        await gate;
      });
      // Else the undo may be the first, and there is nothing to wait for.
      await entered;
      const undoing = other.attempt(call('undo'), (client) => add(client, -1) as Promise<unknown> as never);
      // It may reject before anybody looks at it.
      undoing.catch(() => {});
      await until(waiting(pool), 'the undo waiting for the do');
      finish();
      expect((await doing).type).toBe('performed');
      // A result of pg is no JSON, so that the undo was rolled back; the next one does it.
      await expect(undoing).rejects.toThrow('cannot be stored as JSON');
      const again = await other.attempt(call('undo'), async (client) => void (await add(client, -1)));
      expect(again.type).toBe('performed');
      expect(await balance()).toBe(0);
    }));

  it('lets an undo that waited go first when the do was cut off', () =>
    stage(async ({ barrier, other, balance, add, pool }) => {
      const cut = barrier.attempt(call('do'), async (client) => {
        await add(client, 1);
        const undoing = other.attempt(call('undo'), never);
        await until(waiting(pool), 'the undo waiting for the do');
        // As if this process had been killed.
        const { pid } = (await client.query('SELECT pg_backend_pid() AS pid')).rows[0] as { pid: number };
        await pool.query('SELECT pg_terminate_backend($1)', [pid]);
        expect((await undoing).type).toBe('nothing');
      });
      await expect(cut).rejects.toThrow();
      expect((await barrier.attempt(call('do'), never)).type).toBe('refused');
      expect(await balance()).toBe(0);
    }));

  it("works in the user's own transaction, and commits or goes with it", () =>
    stage(async ({ barrier, add, balance, pool }) => {
      const postgresBarrier = barrier as ReturnType<typeof postgresSagaBarrier<pg.PoolClient>>;
      const client = await pool.connect();
      const work = async (one: pg.PoolClient) => void (await add(one, 1));
      try {
        await client.query('BEGIN');
        expect((await postgresBarrier.within(client, call('do'), work)).type).toBe('performed');
        await client.query('ROLLBACK');
        expect(await balance()).toBe(0);
        await client.query('BEGIN');
        await expect(
          postgresBarrier.within(client, call('do'), () => client.query('SELECT 1/0')),
        ).rejects.toThrow('division by zero');
        const refusing = postgresBarrier.within(client, call('do'), async (one) => {
          await add(one, 1);
          throw new RefusedError('sold out');
        });
        expect(await refusing).toEqual({ type: 'refused', by: 'work', reason: 'sold out' });
        await add(client, 7);
        await client.query('COMMIT');
        expect(await balance()).toBe(7);
        expect((await barrier.attempt(call('do'), never)).type).toBe('refused');
      } finally {
        client.release();
      }
    }));

  it('does not take for done what the work spoiled and swallowed', () =>
    stage(async ({ barrier, add, balance }) => {
      const spoiled = barrier.attempt(call('do'), async (client) => {
        await add(client, 1);
        await client.query('SELECT nonsense').catch(() => {});
      });
      await expect(spoiled).rejects.toThrow(StoreError);
      const committed = barrier.attempt(call('do'), async (client) => void (await client.query('COMMIT')));
      await expect(committed).rejects.toThrow('does it commit by itself?');
      expect(await balance()).toBe(0);
      // What it committed by itself, the mark included, is done.
      expect((await barrier.attempt(call('do'), never)).type).toBe('repeated');
    }));

  it('creates its schema, from many processes at once, and refuses tables that are newer', async () => {
    const pool = new pg.Pool({ connectionString: server().url.href, max: 8 });
    // Idle connections hear the server stop.
    pool.on('error', () => {});
    const schema = `fresh_${process.pid}`;
    try {
      const barriers = Array.from({ length: 8 }, () => postgresSagaBarrier({ client: pool, schema }));
      await Promise.all(barriers.map((one) => one.start()));
      expect((await barriers[0]!.attempt(call('do'), async () => 'r')).type).toBe('performed');
      await pool.query(`INSERT INTO ${schema}.holdfast_saga_barrier_schema VALUES (99)`);
      await expect(barriers[0]!.start()).rejects.toThrow('upgrade holdfast');
    } finally {
      await pool.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`);
      await pool.end();
    }
  });

  it('gives no broken connection to others, and says what failed', async () => {
    const pool = new pg.Pool({ connectionString: 'postgres://nobody@127.0.0.1:1/none' });
    const barrier = postgresSagaBarrier({ client: pool });
    await expect(barrier.attempt(call('do'), never)).rejects.toThrow(StoreError);
    await pool.end();
  });
});
