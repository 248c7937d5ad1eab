import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { afterAll, describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/testing/test-runtime.ts';

const loops = 100;
const seed = process.env.SEED === undefined ? Math.floor(Math.random() * 1e9) : Number(process.env.SEED);
const worker = fileURLToPath(new URL('saga-worker.mjs', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'holdfast-crash-'));
const journal = join(directory, 'journal.db');
const ledger = join(directory, 'ledger.db');
const alive = new Set<ChildProcess>();

afterAll(() => {
  for (const child of alive) child.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

/** A worker process, and what it has said. */
class Worker {
  readonly lines: string[] = [];
  readonly ready: Promise<void>;
  readonly exited: Promise<number | null>;
  readonly #child: ChildProcess;
  #errors = '';

  constructor(name: string, mode: 'run' | 'drain') {
    const child = spawn(process.execPath, [worker, journal, ledger, name, mode], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    alive.add(child);
    child.stderr!.on('data', (chunk: Buffer) => {
      this.#errors += chunk;
    });
    this.exited = new Promise((resolve) => {
      child.once('close', (code) => {
        alive.delete(child);
        resolve(code);
      });
    });
    this.ready = this.#listen(child);
    // A worker may be killed before anybody waits for it.
    this.ready.catch(() => {});
  }

  #listen(child: ChildProcess): Promise<void> {
    let rest = '';
    return new Promise((resolve, reject) => {
      child.stdout!.on('data', (chunk: Buffer) => {
        const lines = (rest + chunk).split('\n');
        rest = lines.pop()!;
        this.lines.push(...lines);
        if (lines.includes('ready')) resolve();
      });
      void this.exited.then((code) => reject(new Error(`a worker exited with ${code}: ${this.#errors}`)));
    });
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.exited;
  }

  said(what: string): string[] {
    return this.lines
      .filter((line) => line.startsWith(`${what} `))
      .map((line) => line.slice(what.length + 1));
  }
}

function pause(duration: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, duration));
}

/** Kill a worker and remember what it said it had begun; how many sagas it had taken over. */
async function bury(dying: Worker, begun: Set<string>): Promise<number> {
  await dying.kill();
  for (const id of dying.said('begun')) begun.add(id);
  return dying.said('resumed').length;
}

describe('sagas on SQLite under kill -9', () => {
  it(`lose nothing and double nothing in ${loops} loops (SEED=${seed})`, { timeout: 240_000 }, async () => {
    const random = seededRandom(seed);
    const books = new Database(ledger);
    books.exec(`
      PRAGMA journal_mode = WAL;
      CREATE TABLE effect (key TEXT PRIMARY KEY, saga TEXT, step TEXT, state TEXT);
      CREATE TABLE account (balance INTEGER);
      INSERT INTO account VALUES (0);
    `);
    const begun = new Set<string>();
    let resumed = 0;
    // The next one is there before one dies, so that two share the files for a while; and a third is starting.
    let current = new Worker('w0', 'run');
    let next = new Worker('w1', 'run');
    await current.ready;
    for (let loop = 1; loop <= loops; loop += 1) {
      await next.ready;
      const starting = new Worker(`w${loop + 1}`, 'run');
      await pause(20 + random() * 130);
      resumed += await bury(current, begun);
      current = next;
      next = starting;
    }
    resumed += (await bury(current, begun)) + (await bury(next, begun));
    const drain = new Worker('drain', 'drain');
    await drain.ready;
    expect(await drain.exited).toBe(0);
    resumed += drain.said('resumed').length;

    const report = audit(begun, books);
    console.log(`SEED=${seed}`, { loops, begun: begun.size, resumed, ...report });
    expect(report).toMatchObject({ lost: 0, doubled: 0, stuck: 0, untrue: 0, parked: 0, missing: 0 });
    expect(resumed).toBeGreaterThan(loops / 2);
  });
});

/** Compare what the journal says with what the participants did. */
function audit(begun: ReadonlySet<string>, books: Database.Database) {
  const records = new Database(journal).prepare('SELECT id, status FROM holdfast_sagas').all() as {
    id: string;
    status: string;
  }[];
  const ended = new Map(records.map(({ id, status }) => [id, status]));
  const live = new Map<string, number>();
  const rows = books
    .prepare("SELECT saga, count(*) AS n FROM effect WHERE state = 'live' GROUP BY saga")
    .all();
  for (const { saga, n } of rows as { saga: string; n: number }[]) live.set(saga, n);
  const steps = books.prepare('SELECT count(*) AS n FROM effect GROUP BY saga, step HAVING n > 1').all();
  const { balance } = books.prepare('SELECT balance FROM account').get() as { balance: number };
  const count = (status: string): number => records.filter((r) => r.status === status).length;
  const completed = count('completed');
  const wanted = (status: string): number => (status === 'completed' ? 4 : 0);
  return {
    completed,
    compensated: count('compensated'),
    parked: count('parked'),
    stuck: count('running') + count('compensating'),
    lost: [...begun].filter((id) => !ended.has(id)).length,
    doubled: steps.length,
    /** Sagas whose effects are not what their end says. */
    untrue: records.filter(({ id, status }) => (live.get(id) ?? 0) !== wanted(status)).length,
    /** Money that no completed saga accounts for. */
    missing: balance + 4 * completed,
  };
}
