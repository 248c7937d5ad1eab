/** One of several processes that write sagas into one SQLite file: begins and finishes some, then says how many. */
import BetterSqlite from 'better-sqlite3';
import { sqliteSagaStore } from 'holdfast/adapters/sqlite';

const [file, name, count] = process.argv.slice(2);
const database = new BetterSqlite(file);
const store = sqliteSagaStore({ database, busyTimeout: '60s' });
const lease = { owner: name, ttl: 60_000 };
let turns = 0;
const beat = setInterval(() => {
  turns += 1;
}, 1);
await store.start();

async function one(id) {
  const shape = { saga: 'checkout', hash: 'h', definitionVersion: 1, status: 'running' };
  const { record, created } = await store.create(
    { ...shape, id, input: null, steps: [], createdAt: 1 },
    lease,
  );
  if (!created) throw new Error(`${id} was there`);
  if ((await store.request(id, { id: name, type: 'signal', name: 'go', at: 1 })) !== 'added')
    throw new Error(id);
  const written = await store.update({ ...record, status: 'completed', reason: name });
  if (written?.requests !== 1) throw new Error(`${id} was lost`);
}

for (let n = 0; n < Number(count); n += 10) {
  await Promise.all(Array.from({ length: 10 }, (_, k) => one(`${name}-${n + k}`)));
  await store.claim(
    { definitions: [{ saga: 'checkout', hash: 'h' }], limitEach: 5, holding: [], maxClaims: 9 },
    lease,
  );
}
clearInterval(beat);
await store.release(name);
database.close();
process.stdout.write(JSON.stringify({ turns }));
