import { StoreError } from '../../core/errors.ts';
import { methodsOption, parseOptions, runtimeOption, z } from '../../core/options.ts';
import { type Runtime, resolveRuntime } from '../../core/runtime.ts';
import type {
  ClaimedSaga,
  ClaimRequest,
  Lease,
  NewSaga,
  RequestOutcome,
  SagaCount,
  SagaQuery,
  SagaRecord,
  SagaRequest,
  SagaStore,
  Written,
} from '../../ports/saga-store.ts';
import { tablePrefixOption } from '../internal/barrier-row.ts';
import type { PostgresClient } from './client.ts';
import { SagaClaims } from './saga-claims.ts';
import { SagaConnection } from './saga-connection.ts';
import { SagaLeases } from './saga-leases.ts';
import { knownVersion, migrationOf, type SagaPlace, sagaTables } from './saga-schema.ts';
import { SagaSearch } from './saga-search.ts';
import { sagaStatements } from './saga-statements.ts';
import { SagaWrites } from './saga-writes.ts';

/** Options of {@link postgresSagaStore}. */
export interface PostgresSagaStoreOptions {
  /** Your pool of `pg`, or anything with its `query(text, values)`. It stays yours and is never closed here. */
  readonly client: PostgresClient;
  /** Schema of the tables, which is created when it is missing. Default `public`. */
  readonly schema?: string | undefined;
  /** Put before the names of the tables. Letters, digits and underscores. Default `holdfast_`. */
  readonly tablePrefix?: string | undefined;
  /**
   * Whether `start` creates the tables and brings them up to date. Set it to false where the service may not; then
   * `start` fails unless somebody has called `migrate` before. Default true.
   */
  readonly migrateOnStart?: boolean | undefined;
  /**
   * Whether each connection prepares the statements of writes once, by name, so that the server does not plan them anew
   * each time. Needs a client that takes `query({ name, text, values })`, as `pg` does, and no pooler that gives every
   * transaction another connection, unless it knows of prepared statements (pgbouncer does from 1.21 on). Default false.
   */
  readonly prepare?: boolean | undefined;
  /** Its monotonic clock tells how long ago a lease was extended; all other time is the server's. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

/** A store of sagas in Postgres. */
export interface PostgresSagaStore extends SagaStore {
  /**
   * Create the tables, or bring them up to date. Idempotent.
   *
   * @throws StoreError when that is not possible.
   */
  migrate(): Promise<{ readonly version: number }>;
}

const optionsSchema = z.strictObject({
  client: methodsOption<PostgresClient>('a pool or a client of pg', 'query'),
  schema: z
    .string()
    .refine((name) => name !== '' && Buffer.byteLength(name) <= 63 && !name.includes('\0'), {
      error: 'the name of a schema: 1 to 63 bytes without NUL',
    })
    .default('public'),
  tablePrefix: tablePrefixOption(),
  migrateOnStart: z.boolean().default(true),
  prepare: z.boolean().default(false),
  runtime: runtimeOption(),
});

/**
 * Keeps sagas in Postgres 13 or newer, by the pool that the user has. Each operation is one statement and needs no
 * transaction of its own. Writes made at the same time share a statement, so that many sagas cost one commit. Time is
 * the server's.
 *
 * @throws InvalidOptionsError naming the option.
 */
export function postgresSagaStore(options: PostgresSagaStoreOptions): PostgresSagaStore {
  return new SagaStoreInPostgres(parseOptions('postgresSagaStore', optionsSchema, options));
}

interface Settings extends SagaPlace {
  readonly client: PostgresClient;
  readonly migrateOnStart: boolean;
  readonly prepare: boolean;
  readonly runtime?: Partial<Runtime> | undefined;
}

class SagaStoreInPostgres implements PostgresSagaStore {
  readonly name = 'postgres';
  readonly #settings: Settings;
  readonly #connection: SagaConnection;
  readonly #writes: SagaWrites;
  readonly #claims: SagaClaims;
  readonly #search: SagaSearch;
  #durability = 'power loss, as far as the server has synchronous_commit, fsync and full_page_writes on';

  constructor(settings: Settings) {
    this.#settings = settings;
    const tables = sagaTables(settings);
    this.#connection = new SagaConnection(settings.client, sagaStatements(tables), settings.prepare);
    const { clock } = resolveRuntime(settings.runtime);
    const leases = new SagaLeases(clock);
    this.#writes = new SagaWrites(this.#connection, leases, clock);
    this.#claims = new SagaClaims(this.#connection, leases);
    this.#search = new SagaSearch(this.#connection, tables.sagas);
  }

  /** Known for sure once started: it depends on the server's settings. */
  get durability(): string {
    return this.#durability;
  }

  async start(): Promise<void> {
    if (this.#settings.migrateOnStart) await this.migrate();
    else await this.#assertVersion();
    const settings = ['fsync', 'full_page_writes', 'synchronous_commit'];
    const rows = await this.#connection.run(
      'start',
      `SELECT ${settings.map((name) => `current_setting('${name}') AS ${name}`).join(', ')}`,
    );
    this.#durability = durabilityOf(rows[0] as Readonly<Record<string, string>>);
  }

  async migrate(): Promise<{ readonly version: number }> {
    await this.#connection.run('migrate', migrationOf(this.#settings));
    return { version: await this.#assertVersion() };
  }

  async #assertVersion(): Promise<number> {
    const known = knownVersion(this.#settings);
    const { versions } = sagaTables(this.#settings);
    const find = `SELECT to_regclass($1) IS NOT NULL AS there`;
    const [table] = await this.#connection.run('start', find, [versions]);
    const select = `SELECT max(version) AS version FROM ${versions}`;
    const [row] = table?.there === true ? await this.#connection.run('start', select) : [];
    const found = Number(row?.version ?? 0);
    if (found === known) return found;
    throw new StoreError('postgres', 'start', new Error(`${this.#found(found)} ${adviceOf(found, known)}`));
  }

  #found(version: number): string {
    const { sagas } = sagaTables(this.#settings);
    return version === 0 ? `there is no table ${sagas};` : `its tables are of version ${version}`;
  }

  async create(saga: NewSaga, lease: Lease): Promise<{ created: boolean; record: SagaRecord }> {
    return this.#writes.create(saga, lease);
  }

  update(record: SagaRecord): Promise<Written | undefined> {
    return this.#writes.update(record);
  }

  request(id: string, request: SagaRequest): Promise<RequestOutcome> {
    return this.#writes.request(id, request);
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
    return this.#search.get(id);
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

  /** The client is the user's and stays open. */
  async close(): Promise<void> {}
}

function adviceOf(found: number, known: number): string {
  const migrate = 'call migrate() or run: holdfast saga migrate';
  if (found === 0) return migrate;
  return `and this code knows ${known}; ${found > known ? 'upgrade holdfast' : migrate}`;
}

/** @see https://www.postgresql.org/docs/current/runtime-config-wal.html */
function durabilityOf({
  fsync,
  full_page_writes,
  synchronous_commit,
}: Readonly<Record<string, string>>): string {
  if (fsync !== 'on') return 'a crash of the server, not of its machine: fsync is off';
  if (synchronous_commit === 'off') {
    return 'power loss, but for the last moments before it: synchronous_commit is off';
  }
  if (full_page_writes !== 'on') return 'power loss, unless it tears a page: full_page_writes is off';
  return 'power loss';
}
