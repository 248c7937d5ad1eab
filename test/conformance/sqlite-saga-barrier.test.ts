import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'vitest';
import { sqliteSagaBarrier } from '../../src/adapters/sqlite/saga-barrier.ts';
import { sagaBarrierConformance } from '../../src/testing/conformance/saga-barrier.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { withEachDriver } from './sqlite-drivers.ts';

withEachDriver((name, open) => {
  sagaBarrierConformance({
    api: { describe, it },
    name: `SQLite by ${name}`,
    create: async () => {
      const runtime = testRuntime();
      const directory = mkdtempSync(join(tmpdir(), 'holdfast-barrier-'));
      const databases = [0, 1].map(() => open(join(directory, 'stock.db')));
      const [database, second] = databases;
      database!.exec('PRAGMA journal_mode = WAL; CREATE TABLE account (balance INTEGER NOT NULL)');
      database!.exec('INSERT INTO account VALUES (0)');
      return {
        barrier: sqliteSagaBarrier({ database: database!, runtime }),
        other: sqliteSagaBarrier({ database: second!, runtime }),
        add: (transaction, amount) =>
          void transaction.prepare('UPDATE account SET balance = balance + ?').run(amount),
        balance: async () =>
          Number((second!.prepare('SELECT balance FROM account').get() as { balance: number }).balance),
        wallTime: () => runtime.clock.wallTime(),
        advance: (duration) => runtime.clock.advance(duration),
        close: async () => {
          for (const one of databases) one.close();
          rmSync(directory, { recursive: true });
        },
      };
    },
  });
});
