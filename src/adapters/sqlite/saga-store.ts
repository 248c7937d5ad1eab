import type { Duration } from '../../core/duration.ts';
import { durationOption, methodsOption, parseOptions, runtimeOption, z } from '../../core/options.ts';
import { type Runtime, resolveRuntime } from '../../core/runtime.ts';
import {
  type ClaimedSaga,
  type ClaimRequest,
  type Lease,
  type NewSaga,
  type RequestOutcome,
  type SagaCount,
  type SagaQuery,
  type SagaRecord,
  type SagaRequest,
  type SagaStore,
  sagaRequestLimit,
  type Written,
} from '../../ports/saga-store.ts';
import { changeOf, encodeRequest } from '../internal/saga-row.ts';
import { SqliteConnection } from './connection.ts';
import { durabilityOf, isInFile, type SqliteDatabase } from './database.ts';
import { SagaClaims } from './saga-claims.ts';
import { SagaRows } from './saga-rows.ts';
import { SagaSearch } from './saga-search.ts';
import { SagaWrites } from './saga-writes.ts';
import { assertSchema, prepareSchema, sagaTables } from './schema.ts';

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
   * Whether `start` creates the tables and brings them up to date. When false, `start` fails where they are not there, or
   * are of another version. Default true.
   */
  readonly migrateOnStart?: boolean | undefined;
  /** How long to wait for another process's write before a call fails. Default 5 s. */
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
  migrateOnStart: z.boolean().default(true),
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
  const settings = parseOptions('sqliteSagaStore', optionsSchema, options);
  const { database, tablePrefix, migrateOnStart, busyTimeout, runtime } = settings;
  const connection = new SqliteConnection(database, busyTimeout, resolveRuntime(runtime));
  return new SqliteSagaStore(connection, tablePrefix, migrateOnStart ? prepareSchema : assertSchema);
}

class SqliteSagaStore implements SagaStore {
  readonly name = 'sqlite';
  readonly #connection: SqliteConnection;
  readonly #prefix: string;
  readonly #seeToSchema: typeof prepareSchema;
  readonly #rows: SagaRows;
  readonly #writes: SagaWrites;
  readonly #claims: SagaClaims;
  readonly #search: SagaSearch;
  #durability = 'power loss';

  constructor(connection: SqliteConnection, prefix: string, seeToSchema: typeof prepareSchema) {
    this.#connection = connection;
    this.#prefix = prefix;
    this.#seeToSchema = seeToSchema;
    const tables = sagaTables(prefix);
    this.#rows = new SagaRows(connection, tables);
    this.#writes = new SagaWrites(connection, tables, this.#rows);
    this.#claims = new SagaClaims(connection, tables, this.#rows, this.#writes);
    this.#search = new SagaSearch(connection, tables, this.#rows);
  }

  /** Known for sure once started: it depends on the journal that the database got. */
  get durability(): string {
    return this.#durability;
  }

  start(): Promise<void> {
    const { database } = this.#connection;
    return this.#connection.run('start', () => {
      this.#connection.shortenWaits();
      const mode = database.prepare('PRAGMA journal_mode = WAL').get();
      const { journal_mode: journalMode } = mode as { readonly journal_mode: string };
      // EXTRA is FULL, and makes the end of a rollback journal as durable as WAL's commits are.
      database.exec(`PRAGMA synchronous = ${journalMode === 'wal' ? 'FULL' : 'EXTRA'}`);
      this.#durability = durabilityOf(journalMode, isInFile(database));
      this.#seeToSchema(database, this.#prefix);
    });
  }

  async create(saga: NewSaga, lease: Lease): Promise<{ created: boolean; record: SagaRecord }> {
    return this.#writes.create(saga, lease);
  }

  async update(record: SagaRecord): Promise<Written | undefined> {
    const { id, epoch, version, requests = [] } = record;
    return this.#writes.update({ id, epoch, version, change: changeOf(record), seen: requests.length });
  }

  async request(id: string, request: SagaRequest): Promise<RequestOutcome> {
    const [body, limit] = [encodeRequest(id, request), sagaRequestLimit(request.type)];
    return this.#writes.request({ id, requestId: request.id, body, limit });
  }

  claim(request: ClaimRequest, lease: Lease): Promise<readonly ClaimedSaga[]> {
    return this.#claims.claim(request, lease);
  }

  take(id: string, lease: Lease): Promise<SagaRecord | undefined> {
    return this.#claims.take(id, lease);
  }

  heartbeat(lease: Lease): Promise<boolean> {
    return this.#claims.heartbeat(lease);
  }

  release(owner: string): Promise<void> {
    return this.#claims.release(owner);
  }

  get(id: string): Promise<SagaRecord | undefined> {
    return this.#connection.run('get', () => this.#rows.records('WHERE id = ?', id)[0]);
  }

  list(query: SagaQuery): Promise<readonly SagaRecord[]> {
    return this.#search.list(query);
  }

  census(status?: SagaQuery['status']): Promise<readonly SagaCount[]> {
    return this.#search.census(status);
  }

  purge(endedBefore: number, limit: number): Promise<number> {
    return this.#search.purge(endedBefore, limit);
  }

  /** The database is the user's and stays open. */
  async close(): Promise<void> {
    this.#connection.forget();
  }
}
