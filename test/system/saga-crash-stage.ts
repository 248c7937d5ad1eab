/** Kills processes that run sagas, and audits the books of the participants afterwards. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';

const script = fileURLToPath(new URL('saga-crash-worker.mjs', import.meta.url));

/** Every place at which a worker can be told to kill itself, before and after. */
export const failpoints: readonly string[] = [
  ...['create', 'update', 'claim', 'heartbeat', 'request', 'get'],
  ...['do reserve', 'do stock', 'do credit', 'do pay', 'do ship', 'do mail'],
  ...['undo reserve', 'undo stock', 'undo credit'],
].flatMap((place) => [`${place} before`, `${place} after`]);

/** What is read of a saga's record. */
export interface CrashRecord {
  readonly id: string;
  readonly status: string;
  readonly reason: string | null;
}

/** What the participants' books and the journal say. */
export interface CrashReport {
  readonly completed: number;
  readonly compensated: number;
  readonly parked: number;
  /** Sagas that are not at an end. */
  readonly stuck: number;
  /** Sagas that a worker was told are durable, and are not there. */
  readonly lost: number;
  /** Effects that happened twice. */
  readonly doubled: number;
  /** Sagas whose effects are not what their end says. */
  readonly untrue: number;
  /** Money that no completed saga accounts for. */
  readonly missing: number;
  /** Cancels that were answered in two ways, or not truly. */
  readonly liedTo: number;
  readonly cancels: number;
}

/** A worker process, and what it has said. */
export class CrashWorker {
  readonly lines: string[] = [];
  readonly ready: Promise<void>;
  readonly exited: Promise<number | null>;
  readonly #child: ChildProcess;
  #errors = '';

  constructor(child: ChildProcess) {
    this.#child = child;
    child.stderr!.on('data', (chunk: Buffer) => {
      this.#errors += chunk;
    });
    this.exited = new Promise((resolve) => child.once('close', (code) => resolve(code)));
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

  /** What it wrote to its error output. */
  get errors(): string {
    return this.#errors;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.exited;
  }

  said(what: string): string[] {
    return this.lines
      .filter((line) => line.startsWith(`${what} `))
      .map((line) => line.slice(what.length + 1));
  }
}

/** A journal that is shared by processes which die, and a ledger beside it. */
export class CrashStage {
  readonly directory: string = mkdtempSync(join(tmpdir(), 'holdfast-crash-'));
  readonly journal: string;
  readonly #ledger: string;
  readonly #books: Database.Database;
  readonly #workers = new Set<ChildProcess>();
  readonly #begun = new Set<string>();
  resumed = 0;

  /** @param journal a URL, or nothing for a SQLite file */
  constructor(journal?: string) {
    this.journal = journal ?? join(this.directory, 'journal.db');
    this.#ledger = join(this.directory, 'ledger.db');
    this.#books = new Database(this.#ledger);
    this.#books.exec(`
      PRAGMA journal_mode = WAL;
      CREATE TABLE effect (key TEXT PRIMARY KEY, saga TEXT, step TEXT, state TEXT);
      CREATE TABLE answer (saga TEXT, outcome TEXT);
      CREATE TABLE account (balance INTEGER);
      INSERT INTO account VALUES (0);
    `);
  }

  start(name: string, mode: 'run' | 'drain' = 'run', environment: Record<string, string> = {}): CrashWorker {
    const child = spawn(process.execPath, [script, this.journal, this.#ledger, name, mode], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    });
    this.#workers.add(child);
    child.once('close', () => this.#workers.delete(child));
    return new CrashWorker(child);
  }

  /** Remember what a dead worker said. */
  bury(dead: CrashWorker): void {
    for (const id of dead.said('begun')) this.#begun.add(id);
    this.resumed += dead.said('resumed').length;
  }

  /** How many sagas the buried said they had begun. */
  get begun(): number {
    return this.#begun.size;
  }

  /** Let one last worker bring everything to its end. */
  async drain(): Promise<void> {
    const last = this.start('drain', 'drain');
    const code = await last.exited;
    if (code !== 0) throw new Error(`the last worker ended with ${code}: ${last.errors}`);
    this.bury(last);
  }

  end(): void {
    for (const child of this.#workers) child.kill('SIGKILL');
    this.#books.close();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** Compare what the journal says with what the participants did. */
  audit(records: readonly CrashRecord[]): CrashReport {
    for (const { id, reason } of records.filter(({ status }) => status === 'parked')) {
      console.log(`${id} is parked: ${reason}`);
    }
    const ended = new Map(records.map(({ id, status }) => [id, status]));
    const live = new Map<string, number>();
    const rows = this.#books
      .prepare("SELECT saga, count(*) AS n FROM effect WHERE state = 'live' GROUP BY saga")
      .all();
    for (const { saga, n } of rows as { saga: string; n: number }[]) live.set(saga, n);
    const wanted = ({ id, status }: { id: string; status: string }): number =>
      status === 'completed' ? stepsOf(id) : 0;
    const count = (...of: string[]): number => records.filter((r) => of.includes(r.status)).length;
    const completed = records.filter(({ status }) => status === 'completed');
    const spent = completed.reduce((sum, { id }) => sum + stepsOf(id), 0);
    const { balance } = this.#books.prepare('SELECT balance FROM account').get() as { balance: number };
    return {
      completed: completed.length,
      compensated: count('compensated'),
      parked: count('parked'),
      stuck: count('running', 'waiting', 'compensating'),
      lost: [...this.#begun].filter((id) => !ended.has(id)).length,
      doubled: this.#books.prepare('SELECT 1 FROM effect GROUP BY saga, step HAVING count(*) > 1').all()
        .length,
      untrue: records.filter((record) => (live.get(record.id) ?? 0) !== wanted(record)).length,
      missing: balance + spent,
      ...this.#answers(ended),
    };
  }

  #answers(ended: ReadonlyMap<string, string>): Pick<CrashReport, 'liedTo' | 'cancels'> {
    const answers = this.#books.prepare('SELECT DISTINCT saga, outcome FROM answer').all() as {
      saga: string;
      outcome: string;
    }[];
    const told = new Map<string, string>();
    let liedTo = 0;
    for (const { saga, outcome } of answers) {
      const before = told.get(saga) ?? outcome;
      told.set(saga, before);
      const truth = ended.get(saga) === 'completed' ? 'tooLate' : 'accepted';
      if (before !== outcome || outcome !== truth) liedTo += 1;
    }
    return { liedTo, cancels: told.size };
  }
}

/** How many effects a completed saga has: every second one has a step more. */
function stepsOf(id: string): number {
  return Number(id.split('-').at(-1)) % 2 === 0 ? 6 : 5;
}

/** Nothing of this may be. */
export const nothingWrong: Partial<CrashReport> = {
  lost: 0,
  doubled: 0,
  stuck: 0,
  untrue: 0,
  parked: 0,
  missing: 0,
  liedTo: 0,
};
