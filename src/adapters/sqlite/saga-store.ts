import type { Clock } from '../../core/clock.ts';
import type { Duration } from '../../core/duration.ts';
import { durationOption, methodsOption, parseOptions, runtimeOption, z } from '../../core/options.ts';
import { type Runtime, resolveRuntime } from '../../core/runtime.ts';
import type {
  ClaimRequest,
  Lease,
  NewSaga,
  SagaQuery,
  SagaRecord,
  SagaStore,
} from '../../ports/saga-store.ts';
import {
  decodeForRepair,
  decodeRow,
  encodeRepairs,
  encodeSteps,
  isClaimable,
  newRow,
  type SagaRow,
} from '../internal/saga-row.ts';
import {
  durabilityOf,
  guard,
  isInFile,
  type SqliteDatabase,
  type SqliteStatement,
  transact,
} from './database.ts';
import { prepareSchema, sagaTables } from './schema.ts';

/** Options of {@link sqliteSagaStore}. */
export interface SqliteSagaStoreOptions {
  /**
   * An open database: `new Database(file)` of better-sqlite3 or `new DatabaseSync(file)` of node:sqlite. Give the store a
   * connection of its own: it sets WAL, `synchronous=FULL` and the busy timeout on it. It is never closed here.
   */
  readonly database: SqliteDatabase;
  /** Put before the names of the tables. Letters, digits and underscores. Default `holdfast_`. */
  readonly tablePrefix?: string | undefined;
  /**
   * How long to wait for another process's write. The driver is synchronous, so this blocks the process. Default 5 s.
   */
  readonly busyTimeout?: Duration | undefined;
  /** Clock of the leases: its wall time, since processes share no other. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

const optionsSchema = z.strictObject({
  database: methodsOption<SqliteDatabase>('an open SQLite database', 'exec', 'prepare'),
  tablePrefix: z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]{0,47}$/, {
      error: 'up to 48 letters, digits and underscores that do not start with a digit',
    })
    .default('holdfast_'),
  busyTimeout: durationOption().default(5_000),
  runtime: runtimeOption(),
});

/**
 * Keeps sagas in a SQLite database, by the driver that the user has. Several processes on one machine may share a file.
 * A resolved write survives the process and, in a file, the loss of power (`synchronous=FULL`).
 *
 * @throws InvalidOptionsError naming the option.
 */
export function sqliteSagaStore(options: SqliteSagaStoreOptions): SagaStore {
  const { database, tablePrefix, busyTimeout, runtime } = parseOptions(
    'sqliteSagaStore',
    optionsSchema,
    options,
  );
  return new SqliteSagaStore(database, tablePrefix, busyTimeout, resolveRuntime(runtime).clock);
}

const columns =
  'id, saga, hash, status, input, steps, reason, repairs, epoch, version, created_at, updated_at' as const;

/** A row as the driver gives it; one set to safe integers gives them as BigInt. */
function toRow(raw: unknown): SagaRow {
  const row = raw as SagaRow;
  return { ...row, epoch: Number(row.epoch), version: Number(row.version) };
}

class SqliteSagaStore implements SagaStore {
  readonly name = 'sqlite';
  readonly #database: SqliteDatabase;
  readonly #prefix: string;
  readonly #busyTimeout: number;
  readonly #clock: Clock;
  readonly #statements: Map<string, SqliteStatement> = new Map();
  readonly #sagas: string;
  readonly #leases: string;
  #durability = 'power loss';

  constructor(database: SqliteDatabase, prefix: string, busyTimeout: number, clock: Clock) {
    this.#database = database;
    this.#prefix = prefix;
    this.#busyTimeout = busyTimeout;
    this.#clock = clock;
    const { sagas, leases } = sagaTables(prefix);
    this.#sagas = sagas;
    this.#leases = leases;
  }

  /** Known for sure once started: it depends on the journal that the database got. */
  get durability(): string {
    return this.#durability;
  }

  async start(): Promise<void> {
    guard('start', () => {
      // First the timeout, since changing the journal mode may have to wait for others.
      this.#database.exec(`PRAGMA busy_timeout = ${Math.ceil(this.#busyTimeout)}`);
      const mode = this.#database.prepare('PRAGMA journal_mode = WAL').get();
      const { journal_mode: journalMode } = mode as { readonly journal_mode: string };
      // EXTRA is FULL, and makes the end of a rollback journal as durable as WAL's commits are.
      this.#database.exec(`PRAGMA synchronous = ${journalMode === 'wal' ? 'FULL' : 'EXTRA'}`);
      this.#durability = durabilityOf(journalMode, isInFile(this.#database));
      prepareSchema(this.#database, this.#prefix);
    });
  }

  async create(saga: NewSaga, lease: Lease): Promise<{ created: boolean; record: SagaRecord }> {
    const row = newRow(saga);
    return transact(this.#database, 'create', () => {
      const insert = `INSERT INTO ${this.#sagas} (${columns}, owner) VALUES (${'?, '.repeat(12)}?) ON CONFLICT (id) DO NOTHING`;
      const { id, hash, status, input, steps, reason, repairs, epoch, version, created_at, updated_at } = row;
      const values = [id, saga.saga, hash, status, input, steps, reason, repairs, epoch, version] as const;
      const { changes } = this.#prepare(insert).run(...values, created_at, updated_at, lease.owner);
      if (Number(changes) === 1) {
        this.#extend(lease);
        return { created: true, record: decodeRow(row).record };
      }
      return { created: false, record: decodeRow(this.#find(id)!).record };
    });
  }

  async update(record: SagaRecord): Promise<boolean> {
    const [steps, repairs] = [encodeSteps(record), encodeRepairs(record)];
    const { id, status, reason = null, epoch, version, updatedAt } = record;
    // One statement is a transaction of its own.
    return guard('update', () => {
      const write = `UPDATE ${this.#sagas}
        SET status = ?, steps = ?, reason = ?, repairs = ?, updated_at = ?, version = version + 1
        WHERE id = ? AND epoch = ? AND version = ?`;
      const values = [status, steps, reason, repairs, updatedAt] as const;
      return Number(this.#prepare(write).run(...values, id, epoch, version).changes) === 1;
    });
  }

  async claim(request: ClaimRequest, lease: Lease): Promise<readonly SagaRecord[]> {
    const now = this.#clock.wallTime();
    return transact(this.#database, 'claim', () => {
      // Leases that have ended hold nothing, so they are swept here; what is left is alive.
      this.#prepare(`DELETE FROM ${this.#leases} WHERE expires_at <= ?`).run(now);
      const rows = this.#claimable(request, lease.owner);
      const claimed = rows.map((row) => this.#take(row, lease.owner, now));
      this.#extend(lease);
      return claimed;
    });
  }

  #claimable({ definitions, limit, holding }: ClaimRequest, owner: string): readonly SagaRow[] {
    const shapes = JSON.stringify(definitions.map(({ saga, hash }) => [saga, hash]));
    const select = `SELECT ${columns} FROM ${this.#sagas} AS s
      WHERE status IN ('running', 'compensating')
        AND EXISTS (SELECT 1 FROM json_each(?) AS d
          WHERE json_extract(d.value, '$[0]') = s.saga AND json_extract(d.value, '$[1]') = s.hash)
        AND CASE WHEN owner = ? THEN id NOT IN (SELECT value FROM json_each(?))
          ELSE NOT EXISTS (SELECT 1 FROM ${this.#leases} AS l WHERE l.owner = s.owner) END
      ORDER BY created_at, id LIMIT ?`;
    return this.#prepare(select).all(shapes, owner, JSON.stringify(holding), limit).map(toRow);
  }

  /** Make a row the owner's; one that cannot be decoded is parked instead, its content untouched. */
  #take(row: SagaRow, owner: string, now: number): SagaRecord {
    const next = { ...row, epoch: row.epoch + 1 };
    const { record, decoded } = decodeRow(next);
    if (decoded) this.#own(next, owner);
    else {
      const park = `UPDATE ${this.#sagas} SET status = 'parked', reason = ?, epoch = ?, updated_at = ? WHERE id = ?`;
      this.#prepare(park).run(record.reason ?? null, next.epoch, now, row.id);
    }
    return record;
  }

  #own({ id, epoch }: SagaRow, owner: string): void {
    this.#prepare(`UPDATE ${this.#sagas} SET owner = ?, epoch = ? WHERE id = ?`).run(owner, epoch, id);
  }

  async take(id: string, lease: Lease): Promise<SagaRecord | undefined> {
    return transact(this.#database, 'take', () => {
      const row = this.#find(id);
      if (row === undefined || (isClaimable(row.status) && this.#isHeld(id))) return undefined;
      const next = { ...row, epoch: row.epoch + 1 };
      const record = decodeForRepair(next);
      this.#own(next, lease.owner);
      this.#extend(lease);
      return record;
    });
  }

  #isHeld(id: string): boolean {
    const select = `SELECT 1 FROM ${this.#leases} AS l, ${this.#sagas} AS s
      WHERE s.id = ? AND l.owner = s.owner AND l.expires_at > ?`;
    return this.#prepare(select).all(id, this.#clock.wallTime()).length > 0;
  }

  async heartbeat({ owner, ttl }: Lease): Promise<boolean> {
    const now = this.#clock.wallTime();
    return guard('heartbeat', () => {
      const extend = `UPDATE ${this.#leases} SET expires_at = ? WHERE owner = ? AND expires_at > ?`;
      return Number(this.#prepare(extend).run(now + ttl, owner, now).changes) === 1;
    });
  }

  async release(owner: string): Promise<void> {
    guard('release', () => this.#prepare(`DELETE FROM ${this.#leases} WHERE owner = ?`).run(owner));
  }

  async get(id: string): Promise<SagaRecord | undefined> {
    const row = guard('get', () => this.#find(id));
    return row === undefined ? undefined : decodeRow(row).record;
  }

  async list({ saga, status, limit = 100 }: SagaQuery): Promise<readonly SagaRecord[]> {
    const [anySaga, anyStatus] = [saga ?? null, status ?? null];
    return guard('list', () => {
      const select = `SELECT ${columns} FROM ${this.#sagas}
        WHERE (? IS NULL OR saga = ?) AND (? IS NULL OR status = ?) ORDER BY created_at DESC, id DESC LIMIT ?`;
      const rows = this.#prepare(select).all(anySaga, anySaga, anyStatus, anyStatus, limit);
      return rows.map((row) => decodeRow(toRow(row)).record);
    });
  }

  /** The database is the user's and stays open. */
  async close(): Promise<void> {
    this.#statements.clear();
  }

  #find(id: string): SagaRow | undefined {
    const row = this.#prepare(`SELECT ${columns} FROM ${this.#sagas} WHERE id = ?`).get(id);
    return row === undefined || row === null ? undefined : toRow(row);
  }

  #extend({ owner, ttl }: Lease): void {
    const put = `INSERT INTO ${this.#leases} (owner, expires_at) VALUES (?, ?)
      ON CONFLICT (owner) DO UPDATE SET expires_at = excluded.expires_at`;
    this.#prepare(put).run(owner, this.#clock.wallTime() + ttl);
  }

  #prepare(sql: string): SqliteStatement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}
