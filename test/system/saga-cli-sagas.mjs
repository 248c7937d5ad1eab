// A definition, and, when it is started as a program, a runner of it on a SQLite file: `node saga-cli-sagas.mjs FILE ID`.
// It ends with what became of that saga; `DEPOT=open` lets its shipping succeed, `LIVE=yes` waits until any is completed.

import Database from 'better-sqlite3';
import { SagaRunner, saga } from 'holdfast';
import { sqliteSagaStore } from 'holdfast/adapters/sqlite';
import { z } from 'zod';

export const shop = saga('shop', { input: z.object({}) })
  .step('hold', () => ({ item: 'kelp' }), { undo: () => {} })
  .pivot('pay', () => ({ receipt: 'r-1' }))
  .step('ship', () => {
    if (process.env.DEPOT !== 'open') throw new Error('the depot is closed');
    return { parcel: 'P-1' };
  });

const [, program, file, id] = process.argv;
if (program === new URL(import.meta.url).pathname) {
  const database = new Database(file);
  const options = { store: sqliteSagaStore({ database }), sagas: [shop], retry: { attempts: 1 } };
  const sagas = await new SagaRunner({ ...options, pollInterval: '20ms' }).start();
  if (process.env.LIVE === 'yes') {
    // A runner alone does not hold its process.
    const holding = setInterval(() => {}, 1_000);
    process.stdout.write('ready\n');
    await new Promise((resolve) => sagas.on('completed', resolve));
    clearInterval(holding);
  }
  const ended = await sagas.run(shop, {}, { id }).catch((error) => ({ error: error.message }));
  process.stdout.write(`${JSON.stringify(ended)}\n`);
  await sagas.stop();
  database.close();
}
