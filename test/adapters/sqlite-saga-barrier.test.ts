/** What of the SQLite barrier the contract does not say: transactions that are synchronous, and the user's own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type SqliteSagaBarrier, sqliteSagaBarrier } from '../../src/adapters/sqlite/saga-barrier.ts';
import { InvalidOptionsError, InvalidPayloadError, RefusedError, StoreError } from '../../src/core/errors.ts';
import type { BarrierCall } from '../../src/ports/saga-barrier.ts';
import { type ClosableDatabase, openSqlite } from '../conformance/sqlite-drivers.ts';

const call = (operation: 'do' | 'undo', step = 'hold'): BarrierCall => ({ saga: 's1', step, operation });
const never = (): never => expect.fail('the work was run');

describe('the SQLite barrier', () => {
  let directory = '';
  let database: ClosableDatabase;
  let barrier: SqliteSagaBarrier<ClosableDatabase>;

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'holdfast-barrier-'));
    database = openSqlite(join(directory, 'stock.db'));
    database.exec('PRAGMA journal_mode = WAL; CREATE TABLE account (balance INTEGER NOT NULL)');
    database.exec('INSERT INTO account VALUES (0)');
    barrier = sqliteSagaBarrier({ database });
    await barrier.start();
  });
  afterEach(() => {
    database.close();
    rmSync(directory, { recursive: true });
  });

  const add = (amount: number) => (db: ClosableDatabase) =>
    void db.prepare('UPDATE account SET balance = balance + ?').run(amount);
  const balance = (): number =>
    Number((database.prepare('SELECT balance FROM account').get() as { balance: number }).balance);

  it('takes back work that returns a promise, which would go on after the commit', async () => {
    const late = barrier.attempt(call('do'), async (db) => add(1)(db));
    await expect(late).rejects.toThrow(InvalidPayloadError);
    await expect(late).rejects.toThrow('await before the barrier');
    const rejected = barrier.attempt(call('do'), () => Promise.reject(new Error('unheard')));
    await expect(rejected).rejects.toThrow('await before the barrier');
    expect(balance()).toBe(0);
    expect((await barrier.attempt(call('do'), add(1))).type).toBe('performed');
  });

  it("works in the user's own transaction, and commits or goes with it", () => {
    database.exec('BEGIN IMMEDIATE');
    expect(barrier.within(call('do'), add(1))).toEqual({ type: 'performed', result: undefined });
    database.exec('ROLLBACK');
    expect(balance()).toBe(0);
    database.exec('BEGIN IMMEDIATE');
    add(10)(database);
    const failed = (): unknown =>
      barrier.within(call('do'), (db) => {
        add(1)(db);
        throw new Error('boom');
      });
    expect(failed).toThrow('boom');
    expect(barrier.within(call('undo', 'other'), never)).toEqual({ type: 'nothing' });
    const refused = barrier.within(call('do'), (db) => {
      add(1)(db);
      throw new RefusedError('sold out');
    });
    expect(refused).toEqual({ type: 'refused', by: 'work', reason: 'sold out' });
    database.exec('COMMIT');
    expect(balance()).toBe(10);
    expect(barrier.within(call('do'), never).type).toBe('refused');
    expect(barrier.within(call('do', 'other'), never).type).toBe('refused');
    expect(() => barrier.within({ ...call('do'), step: '' }, never)).toThrow(InvalidOptionsError);
  });

  it('lets nothing be written after work that ended the transaction by itself', async () => {
    const ending = barrier.attempt(call('do'), (db) => {
      add(1)(db);
      db.exec('ROLLBACK');
      throw new Error('boom');
    });
    await expect(ending).rejects.toThrow('does it commit by itself?');
    expect(balance()).toBe(0);
    expect((await barrier.attempt(call('do'), add(1))).type).toBe('performed');
  });

  it('fails, and does nothing, when another process writes for too long', async () => {
    const other = openSqlite(join(directory, 'stock.db'));
    try {
      const impatient = sqliteSagaBarrier({ database: other, busyTimeout: 20 });
      await impatient.start();
      database.exec('BEGIN IMMEDIATE');
      await expect(impatient.attempt(call('do'), never)).rejects.toThrow(StoreError);
      database.exec('COMMIT');
      expect((await impatient.attempt(call('do'), add(1))).type).toBe('performed');
    } finally {
      other.close();
    }
  });

  it('refuses tables that are newer than itself, and names that need no quoting only', async () => {
    database.exec('INSERT INTO holdfast_saga_barrier_schema VALUES (99)');
    await expect(barrier.start()).rejects.toThrow('upgrade holdfast');
    expect(() => sqliteSagaBarrier({ database, tablePrefix: 'a"b' })).toThrow('tablePrefix');
    expect(() => sqliteSagaBarrier({ database: {} as never })).toThrow('an open SQLite database');
    const own = sqliteSagaBarrier({ database, tablePrefix: 'Order_' });
    await own.start();
    expect((await own.attempt(call('do'), () => 'r')).type).toBe('performed');
    expect(database.prepare('SELECT result FROM Order_saga_barrier').get()).toMatchObject({ result: '"r"' });
  });
});
