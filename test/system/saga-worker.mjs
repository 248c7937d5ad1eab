/**
 * One process that runs sagas until it is killed. Journal and ledger are two files: what a participant did is not in the
 * transaction that records it, as in life. Prints a line for each saga that it was told is durable.
 *
 * Usage: node saga-worker.mjs <journal> <ledger> <name> <run | drain>
 */
import { writeSync } from 'node:fs';
import Database from 'better-sqlite3';
import { sqliteSagaStore } from 'holdfast/adapters/sqlite';
import { refuse, SagaRunner, saga } from 'holdfast/saga';

const [journal, ledgerFile, name, mode] = process.argv.slice(2);
const database = new Database(journal);
const ledger = new Database(ledgerFile);
ledger.pragma('journal_mode = WAL');
ledger.pragma('busy_timeout = 5000');

const known = ledger.prepare('SELECT state FROM effect WHERE key = ?');
const insert = ledger.prepare('INSERT INTO effect (key, saga, step, state) VALUES (?, ?, ?, ?)');
const revert = ledger.prepare("UPDATE effect SET state = 'undone' WHERE key = ? AND state = 'live'");
const pay = ledger.prepare('UPDATE account SET balance = balance + ?');

/** The effect, once per key, unless its undo came first. */
const apply = ledger.transaction((key, sagaId, step) => {
  const state = known.get(key)?.state;
  if (state === 'barred' || state === 'undone') refuse('its undo came first', { conclusive: true });
  if (state === 'live') return;
  insert.run(key, sagaId, step, 'live');
  pay.run(-1);
});

/** The effect taken back, or barred if it is not there yet. */
const takeBack = ledger.transaction((forwardKey, sagaId, step) => {
  if (known.get(forwardKey) === undefined) insert.run(forwardKey, sagaId, step, 'barred');
  if (revert.run(forwardKey).changes === 1) pay.run(1);
});

const wait = () => new Promise((resolve) => setTimeout(resolve, Math.random() * 4));
const kindOf = (sagaId) => Number(sagaId.split('-').at(-1)) % 10;

async function perform(step, { sagaId, key, attempt }) {
  await wait();
  const kind = kindOf(sagaId);
  if (step === 'pay' && kind === 0) refuse('declined', { conclusive: known.get(key) === undefined });
  apply.immediate(key, sagaId, step);
  await wait();
  if (step === 'hold' && kind === 1) throw new Error('the answer was lost');
  if (step === 'pay' && kind === 2 && attempt === 1) throw new Error('the answer was lost');
  if (step === 'ship' && kind === 3 && attempt < 3) throw new Error('busy');
  return { step };
}

async function undo(step, { sagaId, forwardKey, attempt }) {
  await wait();
  takeBack.immediate(forwardKey, sagaId, step);
  if (kindOf(sagaId) === 1 && attempt === 1) throw new Error('the answer was lost');
}

const anything = { '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) } };
const order = saga('order', { input: anything })
  .step('reserve', (context) => perform('reserve', context), { undo: (context) => undo('reserve', context) })
  .step('hold', (context) => perform('hold', context), { undo: (context) => undo('hold', context) })
  .pivot('pay', (context) => perform('pay', context))
  .step('ship', (context) => perform('ship', context));

const runner = await new SagaRunner({
  store: sqliteSagaStore({ database }),
  sagas: [order],
  lease: 400,
  pollInterval: 50,
  retry: { base: 5, max: 50 },
}).start();
runner.on('resumed', ({ id }) => writeSync(1, `resumed ${id}\n`));
writeSync(1, 'ready\n');

if (mode === 'drain') {
  const open = async () =>
    (await runner.list({ status: 'running', limit: 1 })).length +
    (await runner.list({ status: 'compensating', limit: 1 })).length;
  while ((await open()) > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  await runner.stop();
} else {
  for (let n = 0; ; n += 1) {
    const { id } = await runner.begin(order, { n }, { id: `${name}-${n}` });
    writeSync(1, `begun ${id}\n`);
    await wait();
  }
}
