import { existsSync } from 'node:fs';
import type { PostgresClient } from '../adapters/postgres/client.ts';
import { postgresSagaStore } from '../adapters/postgres/saga-store.ts';
import type { IoRedisClient } from '../adapters/redis/client.ts';
import { redisSagaStore } from '../adapters/redis/saga-store.ts';
import type { SqliteDatabase } from '../adapters/sqlite/database.ts';
import { sqliteSagaStore } from '../adapters/sqlite/saga-store.ts';
import { InvalidOptionsError, MissingPackageError, StoreError } from '../core/errors.ts';
import type { SagaStore } from '../ports/saga-store.ts';
import { classOf, loadDriver } from './drivers.ts';

/** What a saga store's address may look like, for help and errors. */
export const sagaStoreAccepts =
  'sqlite:<file>[?prefix=], postgres://…[?schema=&prefix=] or redis://…[?prefix=]';

/** A store that the command opened, and how to close it and its connection. */
export interface OpenedStore {
  readonly store: SagaStore;
  readonly close: () => Promise<void>;
}

/** How the store is opened. */
interface Opening {
  /** The address without what is ours. */
  readonly url: string;
  readonly parameter: (name: string) => string | undefined;
  /** Whether there may be nothing yet. Only `migrate` creates tables: of a mistyped prefix the others say that there is none. */
  readonly create: boolean;
}

/**
 * The saga store at an address, by the driver that the user's project has.
 *
 * @throws InvalidOptionsError when there is no such kind of store; MissingPackageError when its driver is not installed.
 */
export async function openSagaStore(address: string, create: boolean): Promise<OpenedStore> {
  const kind = /^([a-z]+):/.exec(address)?.[1] ?? '';
  if (kind === 'sqlite') return openSqlite(split(address.slice('sqlite:'.length), create));
  if (/^postgres(?:ql)?$/.test(kind) && URL.canParse(address)) return openPostgres(split(address, create));
  if (/^rediss?$/.test(kind) && URL.canParse(address)) return openRedis(split(address, create));
  // What comes after the scheme may hold a password.
  const received = kind === '' ? 'an address without a scheme' : `"${kind}:…"`;
  throw new InvalidOptionsError('command line', [{ field: '--store', received, accepts: sagaStoreAccepts }]);
}

/** What is ours of an address's query is taken out of it; the driver gets the rest. */
function split(address: string, create: boolean): Opening {
  const mark = address.indexOf('?');
  const query = new URLSearchParams(mark < 0 ? '' : address.slice(mark + 1));
  const ours = new Map<string, string>();
  for (const name of ['schema', 'prefix']) {
    const value = query.get(name);
    if (value !== null) ours.set(name, value);
    query.delete(name);
  }
  const rest = query.toString();
  const bare = mark < 0 ? address : address.slice(0, mark);
  return { url: rest === '' ? bare : `${bare}?${rest}`, parameter: (name) => ours.get(name), create };
}

async function openSqlite({ url: file, parameter, create }: Opening): Promise<OpenedStore> {
  const isFile = file !== '' && file !== ':memory:';
  if (!isFile) {
    const issue = { field: '--store', received: `"sqlite:${file}"`, accepts: sagaStoreAccepts };
    throw new InvalidOptionsError('command line', [issue]);
  }
  if (!create && !existsSync(file)) {
    throw new StoreError(
      'sqlite',
      'open',
      new Error(`there is no file ${file}; holdfast saga migrate creates one`),
    );
  }
  const database = await openDatabase(file);
  const store = sqliteSagaStore({ database, tablePrefix: parameter('prefix'), migrateOnStart: create });
  return { store, close: () => closeAll(store, () => void database.close()) };
}

interface Pool extends PostgresClient {
  on(event: 'error', listener: () => void): unknown;
  end(): Promise<void>;
}

async function openPostgres({ url, parameter, create }: Opening): Promise<OpenedStore> {
  const Pool = classOf(await loadDriver('pg', 'a store in Postgres'), 'Pool');
  const pool = new Pool(...([{ connectionString: url, max: 2 }] as never[])) as Pool;
  // What an idle connection hears must not end the command; the next statement says what is wrong.
  pool.on('error', () => {});
  const [schema, tablePrefix] = [parameter('schema'), parameter('prefix')];
  const store = postgresSagaStore({ client: pool, schema, tablePrefix, migrateOnStart: create });
  return { store, close: () => closeAll(store, () => pool.end()) };
}

interface Redis extends IoRedisClient {
  on(event: 'error', listener: (error: unknown) => void): unknown;
  connect(): Promise<void>;
  disconnect(): void;
}

async function openRedis({ url, parameter }: Opening): Promise<OpenedStore> {
  const Redis = classOf(await loadDriver('ioredis', 'a store in Redis'), 'Redis');
  // A command answers now or not at all.
  const options = { lazyConnect: true, maxRetriesPerRequest: 0, retryStrategy: () => null };
  const client = new Redis(...([url, options] as never[])) as Redis;
  // What `connect` rejects with is only that the connection is closed; why, is told as an event.
  let cause: unknown;
  client.on('error', (error) => {
    cause = error;
  });
  try {
    await client.connect();
  } catch (error) {
    client.disconnect();
    throw new StoreError('redis', 'connect', cause ?? error);
  }
  const store = redisSagaStore({ client, prefix: parameter('prefix') });
  return { store, close: () => closeAll(store, () => client.disconnect()) };
}

interface ClosableDatabase extends SqliteDatabase {
  close(): unknown;
}

/** By better-sqlite3, where the project has one that loads; else by what Node itself has since 22.13. */
async function openDatabase(file: string): Promise<ClosableDatabase> {
  const feature = 'a store in SQLite';
  let missing: unknown;
  try {
    const Database = classOf(await loadDriver('better-sqlite3', feature), 'Database');
    return new Database(...([file] as never[])) as ClosableDatabase;
  } catch (error) {
    missing = error;
  }
  // By a variable, since not every Node knows the module.
  const builtIn = 'node:sqlite';
  const module = (await import(builtIn).catch(() => undefined)) as Record<string, unknown> | undefined;
  if (module !== undefined) {
    const Database = module.DatabaseSync as new (file: string) => ClosableDatabase;
    return new Database(file);
  }
  if (missing instanceof MissingPackageError) throw missing;
  throw new StoreError('sqlite', 'open', missing);
}

async function closeAll(store: SagaStore, disconnect: () => unknown): Promise<void> {
  try {
    await store.close();
  } finally {
    await disconnect();
  }
}
