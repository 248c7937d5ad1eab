import fc from 'fast-check';
import { describe, it } from 'vitest';
import { memorySagaBarrier } from '../../../src/adapters/memory/saga-barrier.ts';
import { sqliteSagaBarrier } from '../../../src/adapters/sqlite/saga-barrier.ts';
import type { SagaBarrierHarness } from '../../../src/testing/conformance/saga-barrier-stage.ts';
import { withEachDriver } from '../../conformance/sqlite-drivers.ts';
import { followsTheModel, isSomeOrder, someCalls } from './barrier-model.ts';

const numRuns = Number(process.env.HOLDFAST_RUNS ?? 300);
const runs = { numRuns: Math.min(numRuns, 5_000) };

function declare(name: string, open: () => Promise<SagaBarrierHarness<unknown>>): void {
  describe(`the barrier's model: ${name}`, () => {
    it.each([
      ['one call after another', followsTheModel],
      ['all calls at once', isSomeOrder],
    ])('%s', async (_order, check) => {
      const harness = await open();
      await harness.barrier.start();
      let saga = 0;
      try {
        await fc.assert(
          fc.asyncProperty(someCalls, (calls) => {
            saga += 1;
            return check(harness, `s${saga}`, calls);
          }),
          runs,
        );
      } finally {
        await harness.close();
      }
    });
  });
}

const still = { wallTime: () => 0, advance: async () => {}, close: async () => {} };

declare('memory', async () => {
  const barrier = memorySagaBarrier();
  let balance = 0;
  const add = (transaction: unknown, amount: number): void =>
    (transaction as { apply(change: () => void): void }).apply(() => {
      balance += amount;
    });
  return {
    ...still,
    barrier,
    other: barrier,
    add,
    balance: async () => balance,
  } as SagaBarrierHarness<unknown>;
});

withEachDriver((name, driver) => {
  declare(`SQLite by ${name}`, async () => {
    const database = driver(':memory:');
    database.exec('CREATE TABLE account (balance INTEGER NOT NULL); INSERT INTO account VALUES (0)');
    const barrier = sqliteSagaBarrier({ database });
    const add = (_: unknown, amount: number): void =>
      void database.prepare('UPDATE account SET balance = balance + ?').run(amount);
    const balance = async (): Promise<number> =>
      Number((database.prepare('SELECT balance FROM account').get() as { balance: number }).balance);
    const close = async (): Promise<void> => void database.close();
    return { ...still, barrier, other: barrier, add, balance, close } as SagaBarrierHarness<unknown>;
  });
});
