import { StoreError } from '../../core/errors.ts';
import { methodsOption, parseOptions, z } from '../../core/options.ts';
import {
  type BarrierMarks,
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
import { CheckedBarrier } from '../internal/barrier-run.ts';
import { barrierMigrations, barrierTables, lockName } from './barrier-schema.ts';

/** A client of `pg` in a transaction, as far as it is needed. */
export interface PostgresTransaction {
  /** Run one statement. */
  query(
    text: string,
    values?: unknown[],
  ): Promise<{ readonly rows: readonly unknown[]; readonly rowCount: number | null }>;
}

/** A pool of `pg`, as far as it is needed. */
export interface PostgresPool<Client extends PostgresTransaction = PostgresTransaction> {
  /** Take a client out. */
  connect(): Promise<Client & PooledClient>;
}

/** What a pool gives. */
export interface PooledClient {
  /** Give it back; with an error, it is thrown away. */
  release(error?: Error | boolean): void;
  /** Hear that the connection broke. */
  on(event: 'error', listener: (error: Error) => void): unknown;
  /** Hear of it no more. */
  off(event: 'error', listener: (error: Error) => void): unknown;
}

/** Options of {@link postgresSagaBarrier}. */
export interface PostgresSagaBarrierOptions {
  /** Your pool of `pg`, of the database in which the work changes its data. It stays yours. */
  readonly client: PostgresPool;
  /** Schema of the tables, which is created when it is missing. Default `public`. */
  readonly schema?: string | undefined;
  /** Put before the names of the tables. Letters, digits and underscores. Default `holdfast_`. */
  readonly tablePrefix?: string | undefined;
}

/** A barrier in Postgres. The work gets the client that is in the transaction. */
export interface PostgresSagaBarrier<Client extends PostgresTransaction> extends SagaBarrier<Client> {
  /**
   * As `attempt`, on a client that is in a transaction which you have begun and will commit. Commit whatever the outcome
   * is, a refusal too, since that is how it is remembered. When this rejects, nothing of the call is left in the
   * transaction. Two calls of one step that come together wait for each other; above READ COMMITTED the later one may
   * fail with a serialization error instead, and is to be made again.
   *
   * @throws What {@link SagaBarrier.attempt} throws.
   */
  within(client: Client, call: BarrierCall, work: BarrierWork<Client>): Promise<BarrierOutcome>;
}

const optionsSchema = z.strictObject({
  client: methodsOption<PostgresPool>('a pool of pg', 'connect'),
  schema: z
    .string()
    .regex(/^[^\0]{1,63}$/, { error: 'a name of 1 to 63 characters' })
    .default('public'),
  tablePrefix: tablePrefixOption(),
});

/**
 * A barrier whose marks are in the same Postgres database as the data that the work changes, written in the same
 * transaction.
 *
 * @throws InvalidOptionsError naming the option.
 */
export function postgresSagaBarrier<Client extends PostgresTransaction>(
  options: PostgresSagaBarrierOptions & { readonly client: PostgresPool<Client> },
): PostgresSagaBarrier<Client> {
  const { schema, tablePrefix } = parseOptions('postgresSagaBarrier', optionsSchema, options);
  return new PostgresBarrier({ pool: options.client, schema, tablePrefix });
}

interface Settings<Client extends PostgresTransaction> {
  readonly pool: PostgresPool<Client>;
  readonly schema: string;
  readonly tablePrefix: string;
}

class PostgresBarrier<Client extends PostgresTransaction>
  extends CheckedBarrier<Client>
  implements PostgresSagaBarrier<Client>
{
  readonly name = 'postgres';
  readonly #settings: Settings<Client>;
  readonly #table: string;

  constructor(settings: Settings<Client>) {
    super();
    this.#settings = settings;
    this.#table = barrierTables(settings).marks;
  }

  async start(): Promise<void> {
    const { versions } = barrierTables(this.#settings);
    const steps = barrierMigrations(this.#settings);
    await this.#transact('start', async (client) => {
      // Of processes that start together one migrates; also before there is a table that could be locked.
      await ask(client, 'start', 'SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [
        lockName(this.#settings),
      ]);
      await prepare(client, this.#settings.schema, versions);
      const { rows } = await ask(client, 'start', `SELECT max(version) AS version FROM ${versions}`);
      const found = (rows[0] as { readonly version: number | null }).version ?? 0;
      await guard('start', async () => assertKnownVersion(found, steps.length));
      for (const step of steps.slice(found)) await ask(client, 'start', step);
      if (found < steps.length) {
        await ask(client, 'start', `INSERT INTO ${versions} (version) VALUES ($1)`, [steps.length]);
      }
    });
  }

  protected perform(call: BarrierCall, work: BarrierWork<Client>): Promise<BarrierOutcome> {
    return this.#transact('run the work', (client) => this.#within(client, call, work));
  }

  async within(client: Client, call: BarrierCall, work: BarrierWork<Client>): Promise<BarrierOutcome> {
    const checked = checkBarrierCall(call);
    return revocable(client, 'holdfast_barrier', () => this.#within(client, checked, work));
  }

  async #within(client: Client, call: BarrierCall, work: BarrierWork<Client>): Promise<BarrierOutcome> {
    const decision = decideBarrier(call, await this.#mark(client, call));
    if (decision.type === 'answer') return decision.outcome;
    try {
      const context: BarrierContext = decision.context;
      const result = await revocable(client, 'holdfast_work', async () =>
        encodeResult(call, await work(client, context)),
      );
      if (result !== undefined) await this.#store(client, call, 'result', result);
      return performed(result);
    } catch (error) {
      const reason = refusalOf(call, error);
      if (reason === undefined) throw error;
      await this.#store(client, call, 'refused', reason.replaceAll('\0', ''));
      return { type: 'refused', by: 'work', reason };
    }
  }

  /**
   * Sets the call's own marks; what was there before. An undo sets that of its do first. Where another transaction has
   * set one and not ended, the insert waits for it: that is what makes calls take turns.
   */
  async #mark(client: Client, { saga, step, operation, fingerprint }: BarrierCall): Promise<BarrierMarks> {
    const both = `($1, $2, 'do', 'undo', NULL), ($1, $2, 'undo', 'undo', $3)`;
    const values = operation === 'undo' ? both : `($1, $2, 'do', 'do', $3)`;
    const insert = `INSERT INTO ${this.#table} (saga, step, operation, set_by, fingerprint)
      VALUES ${values} ON CONFLICT DO NOTHING RETURNING operation`;
    const { rows } = await ask(client, 'mark a call', insert, [saga, step, fingerprint ?? null]);
    const set = new Set(rows.map((row) => (row as { readonly operation: string }).operation));
    if (set.has('do')) return {};
    // A statement of its own, since only a new one sees what was waited for.
    const select = `SELECT ${barrierColumns} FROM ${this.#table} WHERE saga = $1 AND step = $2`;
    const found = await ask(client, 'read marks', select, [saga, step]);
    return foundMarks(found.rows as readonly BarrierRow[], set);
  }

  async #store(client: Client, call: BarrierCall, column: 'result' | 'refused', text: string): Promise<void> {
    const update = `UPDATE ${this.#table} SET ${column} = $4 WHERE saga = $1 AND step = $2 AND operation = $3`;
    await ask(client, 'store a result', update, [call.saga, call.step, call.operation, text]);
  }

  async #transact<T>(operation: string, body: (client: Client) => Promise<T>): Promise<T> {
    const client = await guard(operation, () => this.#settings.pool.connect());
    let broken: Error | undefined;
    const onBroken = (error: Error): void => {
      broken = error;
    };
    // The pool listens to those that nobody uses only; unheard, it would end the process.
    client.on('error', onBroken);
    try {
      await ask(client, operation, 'BEGIN ISOLATION LEVEL READ COMMITTED');
      const result = await body(client);
      await ask(client, operation, 'COMMIT');
      return result;
    } catch (error) {
      // What cannot be rolled back is no client to give to others.
      await client.query('ROLLBACK').catch(onBroken);
      throw error;
    } finally {
      client.off('error', onBroken);
      client.release(broken);
    }
  }

  async purge(before: number, limit: number): Promise<number> {
    const own = this.#table;
    // A do and its undo go together: without its do's mark, an undo would be taken for one of nothing.
    const text = `DELETE FROM ${own} WHERE (saga, step) IN (
      SELECT saga, step FROM ${own} GROUP BY saga, step HAVING max(set_at) < to_timestamp($1) LIMIT $2)`;
    return this.#transact('purge', async (client) => {
      const { rowCount } = await ask(client, 'purge', text, [before / 1_000, Math.ceil(limit / 2)]);
      return rowCount ?? 0;
    });
  }
}

async function prepare(client: PostgresTransaction, schema: string, versions: string): Promise<void> {
  // Asked first, since creating what is there needs the right to create it.
  const { rows } = await ask(client, 'start', 'SELECT 1 FROM pg_namespace WHERE nspname = $1', [schema]);
  if (rows.length === 0) {
    await ask(client, 'start', `CREATE SCHEMA IF NOT EXISTS "${schema.replaceAll('"', '""')}"`);
  }
  const known = await ask(client, 'start', 'SELECT to_regclass($1) AS found', [versions]);
  if ((known.rows[0] as { readonly found: string | null }).found !== null) return;
  await ask(client, 'start', `CREATE TABLE ${versions} (version integer NOT NULL)`);
}

/** Run `body`; when it rejects, nothing of what it wrote is left, and the transaction around it can go on. */
async function revocable<T>(
  client: PostgresTransaction,
  savepoint: string,
  body: () => Promise<T>,
): Promise<T> {
  await ask(client, 'begin', `SAVEPOINT ${savepoint}`);
  try {
    const result = await body();
    // Where the work swallowed an error of one of its statements, this fails.
    await ask(client, 'commit', `RELEASE SAVEPOINT ${savepoint}`);
    return result;
  } catch (error) {
    await client.query(`ROLLBACK TO SAVEPOINT ${savepoint}; RELEASE SAVEPOINT ${savepoint}`).catch(() => {
      // The transaction is gone: the connection broke, or the work ended it. Nothing may be written after that.
      throw new StoreError('postgres', 'roll back the work; does it commit by itself?', error);
    });
    throw error;
  }
}

function ask(
  client: PostgresTransaction,
  operation: string,
  text: string,
  values?: unknown[],
): ReturnType<PostgresTransaction['query']> {
  return guard(operation, () => client.query(text, values));
}

async function guard<T>(operation: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new StoreError('postgres', operation, error);
  }
}
