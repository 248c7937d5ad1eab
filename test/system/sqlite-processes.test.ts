/** Several processes that write into one SQLite file at the same time. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import BetterSqlite from 'better-sqlite3';
import { expect, it } from 'vitest';
import { sqliteSagaStore } from '../../src/adapters/sqlite.ts';

const writer = fileURLToPath(new URL('./sqlite-writer.mjs', import.meta.url));

it('lets four processes write at the same time, and none of them fails or loses anything', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-sqlite-'));
  const file = join(directory, 'sagas.db');
  const writers = ['a', 'b', 'c', 'd'].map((name) =>
    promisify(execFile)(process.execPath, [writer, file, name, '200']),
  );
  const outputs = await Promise.all(writers);
  // Their event loops turned meanwhile.
  for (const { stdout } of outputs) expect(JSON.parse(stdout).turns).toBeGreaterThan(0);
  const database = new BetterSqlite(file);
  const store = sqliteSagaStore({ database });
  await store.start();
  const counts = await store.census();
  expect(counts.map(({ status, count }) => [status, count])).toEqual([['completed', 800]]);
  expect((await store.get('c-199'))?.requests).toHaveLength(1);
  database.close();
  rmSync(directory, { recursive: true });
});
