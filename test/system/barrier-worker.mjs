// Participant's work in a process that may die: `node barrier-worker.mjs KIND PLACE OPERATION FROM TO [MOMENT]` does, or
// undoes, the steps FROM to TO one after another, each of which moves the balance by one, and prints each that is over.
// At a MOMENT it kills itself at the first of them: `work` after its change, `commit` once it is committed.
import process from 'node:process';
import Database from 'better-sqlite3';
import { postgresSagaBarrier } from 'holdfast/adapters/postgres';
import { sqliteSagaBarrier } from 'holdfast/adapters/sqlite';
import pg from 'pg';

const [, , kind, place, operation, from, to, moment] = process.argv;
const amount = operation === 'do' ? 1 : -1;
const die = (at) => {
  if (moment === at) process.kill(process.pid, 'SIGKILL');
};

function inSqlite() {
  const database = new Database(place);
  database.pragma('journal_mode = WAL');
  const work = (db) => {
    db.prepare('UPDATE account SET balance = balance + ?').run(amount);
    die('work');
  };
  return { barrier: sqliteSagaBarrier({ database }), work, end: () => database.close() };
}

function inPostgres() {
  const pool = new pg.Pool({ connectionString: place, max: 1 });
  const work = async (client) => {
    await client.query('UPDATE account SET balance = balance + $1', [amount]);
    die('work');
  };
  return { barrier: postgresSagaBarrier({ client: pool }), work, end: () => pool.end() };
}

const { barrier, work, end } = kind === 'sqlite' ? inSqlite() : inPostgres();
await barrier.start();
for (let step = Number(from); step < Number(to); step += 1) {
  const { type } = await barrier.attempt({ saga: 's', step: `step${step}`, operation }, work);
  die('commit');
  process.stdout.write(`${step} ${type}\n`);
}
await end();
