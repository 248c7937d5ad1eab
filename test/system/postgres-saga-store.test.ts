/** The store of sagas in a real Postgres: the contract, and what only a server across a network can get wrong. */
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { postgresSagaStore } from '../../src/adapters/postgres/saga-store.ts';
import { InvalidPayloadError, SagaCompensatedError, StoreError } from '../../src/core/errors.ts';
import type { SagaRecord } from '../../src/ports/saga-store.ts';
import { SagaRunner } from '../../src/saga/runner.ts';
import { saga } from '../../src/saga/saga.ts';
import { sagaStoreConformance } from '../../src/testing/conformance/saga-store.ts';
import { newSaga, signal } from '../../src/testing/conformance/saga-store-harness.ts';
import { describeServer } from '../servers/describe-server.ts';
import { FaultProxy } from '../servers/fault-proxy.ts';
import { postgres } from '../servers/postgres.ts';
import { until } from '../servers/until.ts';
import { sagasInPostgres } from './saga-store-postgres.ts';

const lease = { owner: 'me', ttl: 60_000 };

describeServer(postgres, (server) => {
  sagaStoreConformance({ describe, it, name: 'Postgres', open: () => sagasInPostgres(server()) });
  sagaStoreConformance({
    describe,
    it,
    name: 'Postgres, with prepared statements',
    open: () => sagasInPostgres(server(), { prepare: true }),
  });

  async function stage(body: (stage: Awaited<ReturnType<typeof sagasInPostgres>>) => Promise<void>) {
    const made = await sagasInPostgres(server());
    try {
      await made.store.start();
      await body(made);
    } finally {
      await made.dispose();
    }
  }

  it('creates its tables once when many start together, and refuses those of a newer version', () =>
    stage(async ({ another, pool, table }) => {
      await Promise.all(Array.from({ length: 6 }, another));
      const versions = table.replace('Shop_sagas', 'Shop_saga_schema');
      expect((await pool.query(`SELECT version FROM ${versions}`)).rows).toEqual([{ version: 1 }]);
      await pool.query(`INSERT INTO ${versions} VALUES (9)`);
      await expect(another()).rejects.toThrow('of version 9 and this code knows 1; upgrade holdfast');
    }));

  it('creates nothing when it may not, and says what to do', async () => {
    const pool = new pg.Pool({ connectionString: server().url.href });
    // Idle connections hear the server stop.
    pool.on('error', () => {});
    const store = postgresSagaStore({ client: pool, schema: 'nobody made it', migrateOnStart: false });
    await expect(store.start()).rejects.toThrow(
      'there is no table "nobody made it"."holdfast_sagas"; call migrate() or run: holdfast saga migrate',
    );
    await expect(store.list({})).rejects.toThrow('the tables are not there: call start() or migrate()');
    expect(await store.migrate()).toEqual({ version: 1 });
    await store.start();
    expect(store.durability).toBe('power loss');
    await pool.query('DROP SCHEMA "nobody made it" CASCADE');
    await pool.end();
  });

  it('has NUL in a result and an error kept, parked or told, and the other sagas go on', () =>
    stage(async ({ store }) => {
      const undone: string[] = [];
      const order = saga('order', { input: z.object({ result: z.string(), error: z.string().optional() }) })
        .step('hold', ({ input }) => input.result, { undo: ({ sagaId }) => void undone.push(sagaId) })
        .step(
          'check',
          ({ input }) => {
            if (input.error !== undefined) throw new Error(input.error);
          },
          { undo: 'nothing' },
        );
      const sagas = await new SagaRunner({ store, sagas: [order] }).start();
      const all = ['plain', 'nul', 'failed'].map((id) => {
        const result = id === 'plain' ? 'x' : 'a\0b';
        return sagas.run(order, { result, ...(id === 'failed' && { error: 'c\0d' }) }, { id });
      });
      const [plain, nul, failed] = await Promise.allSettled(all);
      expect(plain).toMatchObject({ status: 'fulfilled', value: { hold: 'x' } });
      expect(nul).toMatchObject({ status: 'fulfilled', value: { hold: 'a\0b' } });
      expect(failed).toMatchObject({ status: 'rejected', reason: expect.any(SagaCompensatedError) });
      expect(undone).toEqual(['failed']);
      expect((await sagas.get('failed'))?.steps[1]).toMatchObject({
        name: 'check',
        error: 'the store does not take its error',
      });
      await expect(sagas.begin(order, { result: 'x' }, { id: 'a\0b' })).rejects.toThrow('id: got');
      expect(await sagas.run(order, { result: 'y' }, { id: 'after' })).toMatchObject({ hold: 'y' });
      await sagas.stop();
    }));

  it('commits many writes at once', () =>
    stage(async ({ store, pool }) => {
      const transactions = async () =>
        Number((await pool.query('SELECT pg_current_xact_id()::text AS id')).rows[0].id);
      const before = await transactions();
      const names = Array.from({ length: 200 }, (_, n) => `s${n}`);
      const made = await Promise.all(names.map((id) => store.create(newSaga(id), lease)));
      const written = await Promise.all(made.map(({ record }) => store.update({ ...record, reason: 'x' })));
      expect(written.every((one) => one?.requests === 0)).toBe(true);
      expect((await transactions()) - before).toBeLessThan(20);
    }));

  it('finds rows by their key, also when it wrote its first ones to an empty table', async () => {
    const { store, pool, table, dispose } = await sagasInPostgres(server(), { prepare: true });
    const begin = async (names: readonly string[]): Promise<SagaRecord[]> =>
      (await Promise.all(names.map((id) => store.create(newSaga(id), lease)))).map(({ record }) => record);
    const write = async (records: readonly SagaRecord[], times: number): Promise<void> => {
      for (let version = 0; version < times; version += 1) {
        const writes = await Promise.all(records.map((record) => store.update({ ...record, version })));
        expect(writes.every((written) => written !== undefined)).toBe(true);
      }
    };
    const count = async (column: string): Promise<number> => {
      const read = `SELECT ${column} AS count FROM pg_stat_all_tables WHERE relid = '${table}'::regclass`;
      return Number((await pool.query(read)).rows[0].count);
    };
    await store.start();
    // As often as a server waits before it keeps the plan of a prepared statement.
    await write(await begin(Array.from({ length: 60 }, (_, n) => `early-${n}`)), 20);
    const [lone] = (await begin(['lone'])) as [SagaRecord];
    await write([lone], 20);
    for (let n = 0; n < 20; n += 1) await store.request('lone', signal(`early-${n}`));
    await begin(Array.from({ length: 6_000 }, (_, n) => `s${n}`));
    const late = await begin(Array.from({ length: 60 }, (_, n) => `late-${n}`));
    const [byKey, read] = [await count('idx_scan'), await count('seq_tup_read')];
    await write(late, 40);
    for (let version = 20; version < 60; version += 1) await store.update({ ...lone, version });
    for (let n = 0; n < 40; n += 1) await store.request('lone', signal(`late-${n}`));
    // Connections tell the server's counters with a delay.
    await until(async () => (await count('idx_scan')) - byKey >= 60 * 40 + 2 * 40, 'the server has counted');
    expect((await count('seq_tup_read')) - read).toBeLessThan(20_000);
    await dispose();
  });

  it('fails what Postgres does not take alone, and writes its neighbours', () =>
    stage(async ({ store }) => {
      // Too long for an index, which only the server knows.
      const long = Array.from({ length: 9_000 }, (_, n) =>
        String.fromCodePoint(0x4e00 + ((n * 7_919) % 20_000)),
      );
      const ids = ['a', long.join(''), 'b', 'c', 'd'];
      const made = await Promise.allSettled(ids.map((id) => store.create(newSaga(id), lease)));
      expect(made.map(({ status }) => status)).toEqual([
        'fulfilled',
        'rejected',
        'fulfilled',
        'fulfilled',
        'fulfilled',
      ]);
      expect((made[1] as PromiseRejectedResult).reason).toBeInstanceOf(InvalidPayloadError);
      await expect(store.create(newSaga('nul \0'), lease)).rejects.toBeInstanceOf(InvalidPayloadError);
      await expect(store.request('a', signal('nul \0'))).rejects.toBeInstanceOf(InvalidPayloadError);
      const records = (await Promise.all(['a', 'b'].map((id) => store.get(id)))) as SagaRecord[];
      const [bad, good] = await Promise.allSettled([
        store.update({ ...records[0]!, reason: 'nul \0' }),
        store.update({ ...records[1]!, reason: 'good' }),
      ]);
      expect(bad).toMatchObject({ status: 'rejected', reason: { code: 'HOLDFAST_INVALID_PAYLOAD' } });
      expect(good).toEqual({ status: 'fulfilled', value: { requests: 0 } });
      expect((await store.get('a'))?.version).toBe(0);
      expect(await store.get('nul \0')).toBeUndefined();
    }));

  it('gives each saga to one of many that claim at the same time, again and again', () =>
    stage(async ({ store, another }) => {
      const other = await another();
      const names = Array.from({ length: 30 }, (_, n) => `s${n}`);
      await Promise.all(names.map((id) => store.create(newSaga(id), lease)));
      const definitions = [{ saga: 'checkout', hash: 'h1' }];
      for (let round = 0; round < 20; round += 1) {
        for (let n = 0; n < 6; n += 1) await store.release(`${round - 1} ${n}`);
        await store.release(lease.owner);
        // Of owners that nobody has seen before: a claim does not see the leases of those beside it.
        const claims = Array.from({ length: 6 }, (_, n) => {
          const request = { definitions, limitEach: 9, holding: [], maxClaims: 1_000 };
          return (n % 2 ? store : other).claim(request, { owner: `${round} ${n}`, ttl: 60_000 });
        });
        const taken = (await Promise.all(claims)).flat().map(({ id }) => id);
        expect(taken.sort()).toEqual([...names].sort());
      }
    }));

  it('loses nothing and doubles nothing when connections are cut in the middle of a write', async () => {
    const target = server().url;
    const proxy = await FaultProxy.start({ host: target.hostname, port: Number(target.port) });
    const url = new URL(target);
    url.port = String(proxy.port);
    const pool = new pg.Pool({ connectionString: url.href, max: 4 });
    pool.on('error', () => {});
    await stage(async ({ store: direct, table }) => {
      const schema = table.split('."Shop_')[0]!.slice(1, -1).replaceAll('""', '"');
      const store = postgresSagaStore({ client: pool, schema, tablePrefix: 'Shop_' });
      const written = new Map<string, number>();
      let failed = 0;
      for (let round = 0; round < 30; round += 1) {
        const names = Array.from({ length: 8 }, (_, n) => `r${round}-${n}`);
        const writes = names.map(async (id) => {
          const { record } = await store.create(newSaga(id), lease);
          written.set(id, 0);
          const done = await store.update({ ...record, reason: 'done' });
          if (done !== undefined) written.set(id, 1);
        });
        if (round % 2 === 1) setImmediate(() => void proxy.down().then(() => proxy.up()));
        for (const outcome of await Promise.allSettled(writes)) {
          if (outcome.status === 'fulfilled') continue;
          failed += 1;
          expect(outcome.reason).toBeInstanceOf(StoreError);
        }
      }
      expect(failed).toBeGreaterThan(0);
      expect(written.size).toBeGreaterThan(0);
      // What resolved is there; what was rejected is there or not, but never twice.
      for (const [id, version] of written) {
        const found = await direct.get(id);
        expect(found?.version).toBeGreaterThanOrEqual(version);
        expect(found?.version).toBeLessThanOrEqual(1);
      }
    });
    await pool.end();
    await proxy.stop();
  });
});
