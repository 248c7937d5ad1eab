import type { Duration } from '../../core/duration.ts';
import { StoreError } from '../../core/errors.ts';
import { durationOption, methodsOption, parseOptions, runtimeOption, z } from '../../core/options.ts';
import { type Runtime, resolveRuntime } from '../../core/runtime.ts';
import {
  checkBarrierCall,
  decideBarrier,
  encodeResult,
  performed,
  refusalOf,
} from '../../ports/barrier-decision.ts';
import type {
  BarrierCall,
  BarrierContext,
  BarrierOutcome,
  BarrierWork,
  SagaBarrier,
} from '../../ports/saga-barrier.ts';
import {
  assertKnownVersion,
  type BarrierRow,
  barrierColumns,
  foundMarks,
  tablePrefixOption,
} from '../internal/barrier-row.ts';
import { assertSynchronous, CheckedBarrier } from '../internal/barrier-run.ts';
import { guard, type SqliteDatabase, type SqliteStatement } from './database.ts';

/** Options of {@link sqliteSagaBarrier}. */
export interface SqliteSagaBarrierOptions {
  /**
   * The open database in which the work changes its data: `new Database(file)` of better-sqlite3 or `new
   * DatabaseSync(file)` of node:sqlite. It is never closed here.
   */
  readonly database: SqliteDatabase;
  /** Put before the names of the tables. Letters, digits and underscores. Default `holdfast_`. */
  readonly tablePrefix?: string | undefined;
  /** How long to wait for another process's write, which blocks this one. Default 5 s. */
  readonly busyTimeout?: Duration | undefined;
  /** Clock of the marks' ages: its wall time. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

/** A barrier in SQLite. The work is synchronous, as the drivers are. */
export interface SqliteSagaBarrier<Database extends SqliteDatabase = SqliteDatabase>
  extends SagaBarrier<Database> {
  /**
   * As `attempt`, in the transaction that you have begun and will commit: begin it with `BEGIN IMMEDIATE`. Commit
   * whatever the outcome is, a refusal too, since that is how it is remembered. When this throws, nothing of the call is
   * left in the transaction.
   *
   * @throws What {@link SagaBarrier.attempt} throws.
   */
  within(call: BarrierCall, work: BarrierWork<Database>): BarrierOutcome;
}

const optionsSchema = z.strictObject({
  database: methodsOption<SqliteDatabase>('an open SQLite database', 'exec', 'prepare'),
  tablePrefix: tablePrefixOption(),
  busyTimeout: durationOption().default(5_000),
  runtime: runtimeOption(),
});

/**
 * A barrier whose marks are in the same SQLite database as the data that the work changes, written in the same
 * transaction.
 *
 * @throws InvalidOptionsError naming the option.
 */
export function sqliteSagaBarrier<Database extends SqliteDatabase>(
  options: SqliteSagaBarrierOptions & { readonly database: Database },
): SqliteSagaBarrier<Database> {
  const { runtime, ...settings } = parseOptions('sqliteSagaBarrier', optionsSchema, options);
  const wallTime = (): number => resolveRuntime(runtime).clock.wallTime();
  return new SqliteBarrier({ ...settings, database: options.database, wallTime });
}

interface Settings<Database> {
  readonly database: Database;
  readonly tablePrefix: string;
  readonly busyTimeout: number;
  readonly wallTime: () => number;
}

/** What makes the tables of each version from those of the one before. Never change one that was released: append. */
function migrations(table: string): readonly string[] {
  return [
    `CREATE TABLE ${table} (
      saga TEXT NOT NULL,
      step TEXT NOT NULL,
      operation TEXT NOT NULL,
      set_by TEXT NOT NULL,
      fingerprint TEXT,
      refused TEXT,
      result TEXT,
      set_at REAL NOT NULL,
      PRIMARY KEY (saga, step, operation)
    ) WITHOUT ROWID`,
  ];
}

class SqliteBarrier<Database extends SqliteDatabase>
  extends CheckedBarrier<Database>
  implements SqliteSagaBarrier<Database>
{
  readonly name = 'sqlite';
  readonly #settings: Settings<Database>;
  readonly #table: string;
  readonly #statements: Map<string, SqliteStatement> = new Map();

  constructor(settings: Settings<Database>) {
    super();
    this.#settings = settings;
    this.#table = `"${settings.tablePrefix}saga_barrier"`;
  }

  async start(): Promise<void> {
    const { database, tablePrefix, busyTimeout } = this.#settings;
    const versions = `"${tablePrefix}saga_barrier_schema"`;
    const steps = migrations(this.#table);
    guard('start', () => {
      database.exec(`PRAGMA busy_timeout = ${Math.ceil(busyTimeout)}`);
      this.#transact(() => {
        database.exec(`CREATE TABLE IF NOT EXISTS ${versions} (version INTEGER NOT NULL)`);
        const row = database.prepare(`SELECT max(version) AS version FROM ${versions}`).get();
        const found = Number((row as { readonly version: number | bigint | null }).version ?? 0);
        assertKnownVersion(found, steps.length);
        for (const step of steps.slice(found)) database.exec(step);
        if (found < steps.length) database.exec(`INSERT INTO ${versions} (version) VALUES (${steps.length})`);
      });
    });
  }

  protected async perform(call: BarrierCall, work: BarrierWork<Database>): Promise<BarrierOutcome> {
    return this.#transact(() => this.#within(call, work));
  }

  within(call: BarrierCall, work: BarrierWork<Database>): BarrierOutcome {
    const checked = checkBarrierCall(call);
    return this.#revocable('holdfast_barrier', () => this.#within(checked, work));
  }

  /** The user's own errors pass as they are; those of the barrier's statements are StoreErrors. */
  #transact<T>(body: () => T): T {
    const { database } = this.#settings;
    guard('begin', () => database.exec('BEGIN IMMEDIATE'));
    let result: T;
    try {
      result = body();
      guard('commit', () => database.exec('COMMIT'));
    } catch (error) {
      try {
        database.exec('ROLLBACK');
      } catch {
        // A full disk, or a failed commit, may have rolled it back already.
      }
      throw error;
    }
    return result;
  }

  #within(call: BarrierCall, work: BarrierWork<Database>): BarrierOutcome {
    const decision = guard('mark a call', () => decideBarrier(call, this.#mark(call)));
    if (decision.type === 'answer') return decision.outcome;
    try {
      const result = this.#revocable('holdfast_work', () => this.#work(call, work, decision.context));
      if (result !== undefined) this.#store(call, 'result', result);
      return performed(result);
    } catch (error) {
      const reason = refusalOf(call, error);
      if (reason === undefined) throw error;
      this.#store(call, 'refused', reason);
      return { type: 'refused', by: 'work', reason };
    }
  }

  #work(call: BarrierCall, work: BarrierWork<Database>, context: BarrierContext): string | undefined {
    const value = work(this.#settings.database, context);
    assertSynchronous(value);
    return encodeResult(call, value);
  }

  /** Sets the call's own marks; what was there before. An undo sets that of its do first. */
  #mark({ saga, step, operation, fingerprint }: BarrierCall): ReturnType<typeof foundMarks> {
    const insert = this.#prepare(
      `INSERT INTO ${this.#table} (saga, step, operation, set_by, fingerprint, set_at)
       VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
    );
    const at = this.#settings.wallTime();
    const set = new Set<string>();
    const put = (of: string, print: string | null): void => {
      if (Number(insert.run(saga, step, of, operation, print, at).changes) === 1) set.add(of);
    };
    if (operation === 'undo') put('do', null);
    put(operation, fingerprint ?? null);
    const select = `SELECT ${barrierColumns} FROM ${this.#table} WHERE saga = ? AND step = ?`;
    return foundMarks(this.#prepare(select).all(saga, step) as BarrierRow[], set);
  }

  #store({ saga, step, operation }: BarrierCall, column: 'result' | 'refused', text: string): void {
    const update = `UPDATE ${this.#table} SET ${column} = ? WHERE saga = ? AND step = ? AND operation = ?`;
    guard('store a result', () => this.#prepare(update).run(text, saga, step, operation));
  }

  /** Run `body`; when it throws, nothing of what it wrote is left, and the transaction around it can go on. */
  #revocable<T>(savepoint: string, body: () => T): T {
    const { database } = this.#settings;
    guard('begin', () => database.exec(`SAVEPOINT ${savepoint}`));
    try {
      const result = body();
      guard('commit', () => database.exec(`RELEASE ${savepoint}`));
      return result;
    } catch (error) {
      this.#revoke(savepoint, error);
      throw error;
    }
  }

  #revoke(savepoint: string, cause: unknown): void {
    try {
      this.#settings.database.exec(`ROLLBACK TO ${savepoint}; RELEASE ${savepoint}`);
    } catch {
      // The whole transaction is gone: the work ended it, or the disk is full. Nothing may be written after that.
      throw new StoreError('sqlite', 'roll back the work; does it commit by itself?', cause);
    }
  }

  async purge(before: number, limit: number): Promise<number> {
    const own = this.#table;
    // A do and its undo go together: without its do's mark, an undo would be taken for one of nothing.
    const text = `DELETE FROM ${own} WHERE (saga, step) IN (
      SELECT saga, step FROM ${own} GROUP BY saga, step HAVING max(set_at) < ? LIMIT ?)`;
    return guard('purge', () => Number(this.#prepare(text).run(before, Math.ceil(limit / 2)).changes));
  }

  #prepare(sql: string): SqliteStatement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#settings.database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}
