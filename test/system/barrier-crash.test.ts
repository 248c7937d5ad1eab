/** Participants that are killed, in their work, after it, and at any moment: nothing is done twice and nothing is lost. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import BetterSqlite from 'better-sqlite3';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeServer } from '../servers/describe-server.ts';
import { postgres } from '../servers/postgres.ts';

const program = fileURLToPath(new URL('barrier-worker.mjs', import.meta.url));

interface Place {
  readonly kind: 'sqlite' | 'postgres';
  readonly place: string;
  readonly balance: () => Promise<number>;
}

interface Ended {
  /** What became of the steps, in order. */
  readonly told: readonly string[];
  readonly signal: NodeJS.Signals | null;
}

/** Run the worker, and kill it once it has told so much. */
function work({ kind, place }: Place, values: readonly string[], killAfter = Infinity): Promise<Ended> {
  const child = spawn(process.execPath, [program, kind, place, ...values], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString();
    if (text.split('\n').length > killAfter) child.kill('SIGKILL');
  });
  return new Promise((resolve) => {
    child.on('close', (_code, signal) => resolve({ told: text.trim().split('\n').filter(Boolean), signal }));
  });
}

function crashes(where: () => Place): void {
  it.each([
    ['do', 'in its work', 'work', 1, 'performed'],
    ['do', 'after its commit', 'commit', 2, 'repeated'],
    ['undo', 'in its work', 'work', 3, 'performed'],
    ['undo', 'after its commit', 'commit', 4, 'repeated'],
  ])('a %s that is killed %s takes effect once', async (operation, _when, moment, step, then) => {
    const steps = [String(step), String(step + 1)];
    if (operation === 'undo')
      expect((await work(where(), ['do', ...steps])).told).toEqual([`${step} performed`]);
    const before = await where().balance();
    const effect = operation === 'do' ? 1 : -1;
    const killed = await work(where(), [operation, ...steps, moment]);
    expect(killed).toEqual({ told: [], signal: 'SIGKILL' });
    expect((await where().balance()) - before).toBe(moment === 'work' ? 0 : effect);
    expect((await work(where(), [operation, ...steps])).told).toEqual([`${step} ${then}`]);
    expect((await where().balance()) - before).toBe(effect);
  });

  it('a participant that is killed again and again does each step once', async () => {
    const before = await where().balance();
    let done = 0;
    for (let round = 1; round <= 6; round += 1) {
      // Each begins anew: what the ones before did is repeated, and then some more is done.
      const { told } = await work(where(), ['do', '200', '700'], done + 3 + round * 11);
      const performed = told.filter((line) => line.endsWith('performed')).length;
      expect(told.slice(0, done).every((line) => line.endsWith('repeated'))).toBe(true);
      done += performed;
      // One more may be committed that it did not come to tell.
      const balance = (await where().balance()) - before;
      expect(balance).toBeGreaterThanOrEqual(done);
      done = balance;
    }
    expect(done).toBeGreaterThan(0);
    const { told } = await work(where(), ['do', '200', '700']);
    expect(told).toHaveLength(500);
    expect((await where().balance()) - before).toBe(500);
  });
}

describe('SQLite', () => {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-barrier-crash-'));
  const place = join(directory, 'account.db');
  let database: BetterSqlite.Database;
  beforeAll(() => {
    database = new BetterSqlite(place);
    database.exec('CREATE TABLE account (balance INTEGER NOT NULL); INSERT INTO account VALUES (10)');
  });
  afterAll(() => {
    database.close();
    rmSync(directory, { recursive: true });
  });
  const balance = async (): Promise<number> =>
    (database.prepare('SELECT balance FROM account').get() as { balance: number }).balance;
  crashes(() => ({ kind: 'sqlite', place, balance }));
});

describeServer(postgres, (server) => {
  let pool: pg.Pool;
  beforeAll(async () => {
    pool = new pg.Pool({ connectionString: server().url.href });
    pool.on('error', () => {});
    await pool.query('CREATE TABLE account (balance integer NOT NULL); INSERT INTO account VALUES (10)');
  });
  afterAll(async () => {
    await pool.query('DROP TABLE account, holdfast_saga_barrier, holdfast_saga_barrier_schema');
    await pool.end();
  });
  const balance = async (): Promise<number> =>
    ((await pool.query('SELECT balance FROM account')).rows[0] as { balance: number }).balance;
  crashes(() => ({ kind: 'postgres', place: server().url.href, balance }));
});
