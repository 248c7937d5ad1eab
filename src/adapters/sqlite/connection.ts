import type { Clock } from '../../core/clock.ts';
import type { Runtime } from '../../core/runtime.ts';
import { isBusy, type SqliteDatabase, type SqliteStatement, storeErrorOf, transact } from './database.ts';

/**
 * How long one call may block the process while another process writes, in milliseconds. What is longer is waited for
 * between calls, so that the event loop turns.
 */
const blockingWait = 5;

/** A user's database with what the store asks of it again and again. */
export class SqliteConnection {
  readonly database: SqliteDatabase;
  readonly clock: Clock;
  readonly #random: () => number;
  readonly #busyTimeout: number;
  readonly #statements: Map<string, SqliteStatement> = new Map();

  constructor(database: SqliteDatabase, busyTimeout: number, { clock, random }: Runtime) {
    this.database = database;
    this.clock = clock;
    this.#random = random;
    this.#busyTimeout = busyTimeout;
  }

  /** Let SQLite itself wait for other processes only briefly; the rest is waited for here. */
  shortenWaits(): void {
    this.database.exec(`PRAGMA busy_timeout = ${blockingWait}`);
  }

  /** The statement of this text, prepared once. */
  prepare(sql: string): SqliteStatement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  /**
   * Run `work` as one transaction, again when another process had the lock; so it must do nothing but read and write.
   *
   * @throws StoreError with what went wrong, and when the lock was not to be had within the busy timeout.
   */
  transact<T>(operation: string, work: () => T): Promise<T> {
    return this.run(operation, () => transact(this.database, work));
  }

  /** Run one statement, or several that only read. @throws StoreError as `transact` does. */
  async run<T>(operation: string, work: () => T): Promise<T> {
    const since = this.clock.now();
    for (;;) {
      try {
        return work();
      } catch (error) {
        if (!isBusy(error) || this.clock.now() - since >= this.#busyTimeout)
          throw storeErrorOf(operation, error);
      }
      // Full jitter, so that several processes do not come back together.
      await this.#sleep(1 + this.#random() * 9);
    }
  }

  #sleep(duration: number): Promise<void> {
    return new Promise((resolve) => this.clock.schedule(duration, resolve, { hold: true }));
  }

  /** Forget the prepared statements. */
  forget(): void {
    this.#statements.clear();
  }
}
