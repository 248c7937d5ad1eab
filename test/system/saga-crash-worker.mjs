/**
 * One process that runs sagas until it dies. Journal and ledger are two databases: what a participant did is not in the
 * transaction that records it, as in life. Prints a line for each saga that it was told is durable.
 *
 * Usage: node saga-crash-worker.mjs <sqlite file or postgres url> <ledger> <name> <run | drain>
 *
 * FAILPOINT=<place> <before | after> <n>: kill itself at the n-th call at this place, such as `update after 3` or
 * `do pay before 1`. WRITES=1: print a line for each write, too.
 */
import { writeSync } from 'node:fs';
import Database from 'better-sqlite3';
import { refuse, SagaRunner, saga } from 'holdfast/saga';
import { openStore } from './saga-crash-store.mjs';

const [journal, ledgerFile, name, mode] = process.argv.slice(2);
const [, place, when, count] = /^(.+) (before|after) (\d+)$/.exec(process.env.FAILPOINT ?? '') ?? [];
const ledger = new Database(ledgerFile);
ledger.pragma('journal_mode = WAL');
ledger.pragma('synchronous = NORMAL');
ledger.pragma('busy_timeout = 20000');

const say = (line) => writeSync(1, `${line}\n`);
const wait = (most = 4) => new Promise((resolve) => setTimeout(resolve, Math.random() * most));

let left = Number(count ?? 0);
/** Die here when it is time. There is nothing that a process could do about it. */
function failpoint(at, moment) {
  if (at !== place || moment !== when) return;
  left -= 1;
  if (left === 0) process.kill(process.pid, 'SIGKILL');
}

const known = ledger.prepare('SELECT state FROM effect WHERE key = ?');
const insert = ledger.prepare('INSERT INTO effect (key, saga, step, state) VALUES (?, ?, ?, ?)');
const revert = ledger.prepare("UPDATE effect SET state = 'undone' WHERE key = ? AND state = 'live'");
const pay = ledger.prepare('UPDATE account SET balance = balance + ?');
const answer = ledger.prepare('INSERT INTO answer (saga, outcome) VALUES (?, ?)');

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

async function perform(step, { input: { n }, sagaId, key, attempt }) {
  failpoint(`do ${step}`, 'before');
  await wait();
  const kind = n % 10;
  if (step === 'pay' && kind === 0) refuse('declined', { conclusive: known.get(key) === undefined });
  apply.immediate(key, sagaId, step);
  failpoint(`do ${step}`, 'after');
  await wait();
  if (step === 'credit' && kind === 1) throw new Error('the answer was lost');
  if (step === 'pay' && kind === 2 && attempt === 1) throw new Error('the answer was lost');
  if (step === 'ship' && kind === 3 && attempt < 3) throw new Error('busy');
  return { step };
}

async function undo(step, { input: { n }, sagaId, forwardKey, attempt }) {
  failpoint(`undo ${step}`, 'before');
  await wait();
  takeBack.immediate(forwardKey, sagaId, step);
  failpoint(`undo ${step}`, 'after');
  if (n % 10 === 1 && attempt === 1) throw new Error('the answer was lost');
}

const step = (of) => (context) => perform(of, context);
const back = (of) => ({ undo: (context) => undo(of, context) });
const anything = { '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) } };
const order = saga('order', { input: anything })
  .step('reserve', step('reserve'), back('reserve'))
  .parallel('hold', (group) =>
    group.step('stock', step('stock'), back('stock')).step('credit', step('credit'), back('credit')),
  )
  .waitFor('approved', { timeout: '30s', when: ({ input }) => input.n % 10 === 5 })
  .delay('settle', 20, { when: ({ input }) => input.n % 10 === 6 })
  .pivot('pay', step('pay'))
  .step('ship', step('ship'))
  .step('mail', step('mail'), { when: ({ input }) => input.n % 2 === 0 });

const { store, close } = await openStore(journal);
const writes = process.env.WRITES === '1';
const watched = new Proxy(store, {
  get(target, operation) {
    const value = Reflect.get(target, operation);
    if (typeof value !== 'function') return value;
    return async (...given) => {
      failpoint(operation, 'before');
      const result = await value.apply(target, given);
      failpoint(operation, 'after');
      if (writes && operation === 'update') {
        const { id, epoch, version } = given[0];
        say(`${result ? 'wrote' : 'fenced'} ${id} ${epoch} ${version}`);
      }
      return result;
    };
  },
});

const runner = new SagaRunner({
  store: watched,
  sagas: [order],
  lease: mode === 'drain' ? 2_000 : 400,
  pollInterval: 50,
  retry: { base: 5, max: 50 },
  // Processes die faster here than in any life: what is claimed again and again is not poison.
  maxClaims: 10_000,
});
await eventually(() => runner.start());
runner.on('resumed', ({ id }) => say(`resumed ${id}`));
say('ready');

/** Ask until it is answered: the store may be away for a while. */
async function eventually(ask) {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (error?.name !== 'StoreError' && error?.name !== 'TimeoutError') throw error;
      await wait(50);
    }
  }
}

async function cancel(id) {
  const { outcome } = await eventually(() =>
    runner.cancel(id, { reason: 'changed my mind', timeout: '60s' }),
  );
  answer.run(id, outcome);
}

const approve = (id) => eventually(() => runner.signal(id, 'approved', { by: name }, { id: 'approval' }));

async function serve(n) {
  const { id } = await eventually(() => runner.begin(order, { n }, { id: `${name}-${n}` }));
  say(`begun ${id}`);
  await wait(20);
  if (n % 10 === 5) await approve(id);
  if (n % 10 === 7) await cancel(id);
}

/** Ask again what died with a worker before it was asked: signals, and cancels, which must be answered as before. */
async function settle(id) {
  const n = Number(id.split('-').at(-1));
  if (n % 10 === 5) await approve(id).catch(() => {});
  if (n % 10 === 7) await cancel(id);
}

if (mode === 'drain') {
  const all = await eventually(() => runner.list({ saga: 'order', limit: 100_000 }));
  for (const { id } of all) void settle(id);
  const open = ['running', 'waiting', 'compensating'];
  const isOpen = () => eventually(() => runner.list({ status: open, limit: 1 }));
  while ((await isOpen()).length > 0) await wait(50);
  for (const { id } of all) await settle(id);
  await runner.stop();
  await close();
} else {
  let asking = 0;
  for (let n = 0; ; n += 1) {
    // Not more than the machine can finish: while the store is away nothing is held, but all that is asked waits for it.
    while (runner.size > 32 || asking > 64) await wait(20);
    asking += 1;
    void serve(n).finally(() => {
      asking -= 1;
    });
    await wait();
  }
}
