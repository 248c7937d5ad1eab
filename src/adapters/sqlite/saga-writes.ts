import type { Lease, NewSaga, RequestOutcome, SagaRecord, Written } from '../../ports/saga-store.ts';
import { GroupCommit, type PendingWrite } from '../internal/group-commit.ts';
import {
  createdRecord,
  decodeRow,
  isEnded,
  newRow,
  type SagaChange,
  type SagaRow,
} from '../internal/saga-row.ts';
import type { SqliteConnection } from './connection.ts';
import { isBusy, storeErrorOf } from './database.ts';
import { rowColumns, type SagaRows } from './saga-rows.ts';
import type { SagaTables } from './schema.ts';

/** What `create` resolves to. */
export interface Created {
  readonly created: boolean;
  readonly record: SagaRecord;
}

/** An update, encoded. */
export interface RowUpdate {
  readonly id: string;
  readonly epoch: number;
  readonly version: number;
  readonly change: SagaChange;
  /** How many requests the writer has seen. */
  readonly seen: number;
}

/** A request, encoded. */
export interface RowRequest {
  readonly id: string;
  readonly requestId: string;
  readonly body: string;
  /** How many requests there may be before it. */
  readonly limit: number;
}

type Operation = 'create' | 'update' | 'request';

/** One write within a transaction: it may be done again when the transaction was. */
interface Write {
  readonly operation: Operation;
  readonly perform: () => unknown;
  readonly lease?: Lease;
}

type Outcome = { readonly value: unknown } | { readonly error: unknown };

/** Writes of the same turn of the event loop, in one transaction: one sync of the disk for all of them. */
export class SagaWrites {
  readonly #connection: SqliteConnection;
  readonly #sql: Readonly<Record<Statement, string>>;
  readonly #rows: SagaRows;
  readonly #group: GroupCommit<Write, unknown>;

  constructor(connection: SqliteConnection, tables: SagaTables, rows: SagaRows) {
    this.#connection = connection;
    this.#sql = statementsOf(tables);
    this.#rows = rows;
    const commit = (batch: readonly PendingWrite<Write, unknown>[]): Promise<void> => this.#commit(batch);
    this.#group = new GroupCommit({ commit, maxBatch: 1_000, inFlight: 1 });
  }

  create(saga: NewSaga, lease: Lease): Promise<Created> {
    const row = newRow(saga);
    const perform = (): Created => this.#create(saga, row, lease);
    return this.#group.write({ operation: 'create', perform, lease }) as Promise<Created>;
  }

  update(update: RowUpdate): Promise<Written | undefined> {
    const perform = (): Written | undefined => this.#update(update);
    return this.#group.write({ operation: 'update', perform }) as Promise<Written | undefined>;
  }

  request(request: RowRequest): Promise<RequestOutcome> {
    const perform = (): RequestOutcome => this.#request(request);
    return this.#group.write({ operation: 'request', perform }) as Promise<RequestOutcome>;
  }

  /** Begin or extend a lease, within a transaction. */
  extend({ owner, ttl }: Lease): void {
    this.#connection.prepare(this.#sql.extend).run(owner, this.#connection.clock.wallTime() + ttl);
  }

  async #commit(batch: readonly PendingWrite<Write, unknown>[]): Promise<void> {
    const outcomes = await this.#connection.transact('write', () => {
      const leases = new Map<string, Lease>();
      for (const { item } of batch) if (item.lease !== undefined) leases.set(item.lease.owner, item.lease);
      for (const lease of leases.values()) this.extend(lease);
      return batch.map(({ item }) => attempt(item));
    });
    for (const [index, { resolve, reject }] of batch.entries()) {
      const outcome = outcomes[index]!;
      if ('error' in outcome) reject(outcome.error);
      else resolve(outcome.value);
    }
  }

  #create(saga: NewSaga, row: SagaRow, lease: Lease): Created {
    const owner = row.status === 'waiting' ? null : lease.owner;
    const values = rowColumns.map((column) => row[column]);
    const readyAt = Math.min(row.created_at, this.#connection.clock.wallTime());
    const { changes } = this.#connection.prepare(this.#sql.create).run(...values, owner, readyAt);
    if (Number(changes) === 1) return { created: true, record: createdRecord(saga, row) };
    return { created: false, record: decodeRow(this.#rows.find(row.id)!).record };
  }

  /**
   * Most updates leave the status as it is; then no index has to change, so their statement names no column of one. And
   * most find the requests that they know of; only where there are more is their number worth a RETURNING, which costs
   * as much as the rest of the statement.
   */
  #update({ id, epoch, version, change, seen }: RowUpdate): Written | undefined {
    const { status, steps, reason, parked_at, repairs, wake_at, updated_at } = change;
    const content = [steps, reason, parked_at, repairs, updated_at] as const;
    const stays = (status === 'running' || status === 'compensating') && wake_at === null;
    const wasWritten = (statement: string, ...values: unknown[]): boolean =>
      Number(this.#connection.prepare(statement).run(...values, id, epoch, version, seen).changes) === 1;
    if (stays && wasWritten(this.#sql.goOn, ...content, status)) return { requests: seen };
    const waits = status === 'waiting';
    const statement = waits ? this.#sql.wait : this.#sql.change;
    if (wasWritten(statement, ...content, status, wake_at)) return { requests: seen };
    const values = [...content, status, wake_at, ...(waits ? [seen] : []), id, epoch, version];
    const unseen = this.#connection
      .prepare(waits ? this.#sql.waitUnseen : this.#sql.changeUnseen)
      .get(...values);
    // One of the drivers says null, the other undefined.
    return unseen ? { requests: Number((unseen as CountRow).request_count) } : undefined;
  }

  #request({ id, requestId, body, limit }: RowRequest): RequestOutcome {
    const { find, known, append, wake } = this.#sql;
    const found = this.#connection.prepare(find).get(id) as
      | (CountRow & { readonly status: string })
      | undefined;
    if (!found) return 'unknown';
    if (this.#connection.prepare(known).get(id, requestId)) return 'known';
    if (isEnded(found.status)) return 'ended';
    const count = Number(found.request_count);
    if (count >= limit) return 'full';
    this.#connection.prepare(append).run(id, requestId, count, body);
    this.#connection.prepare(wake).run(id);
    return 'added';
  }
}

type Statement =
  | 'extend'
  | 'create'
  | 'goOn'
  | 'change'
  | 'changeUnseen'
  | 'wait'
  | 'waitUnseen'
  | 'find'
  | 'known'
  | 'append'
  | 'wake';

/** The statements of writes, as texts. */
function statementsOf({ sagas, leases, requests }: SagaTables): Readonly<Record<Statement, string>> {
  const content = `steps = ?, reason = ?, parked_at = ?, repairs = ?, updated_at = ?, version = version + 1, claims = 0`;
  const fence = 'id = ? AND epoch = ? AND version = ?';
  const change = `UPDATE ${sagas} SET ${content}, status = ?, wake_at = ?, woken = 0 WHERE ${fence}`;
  // What begins to wait is held by nobody.
  const wait = `UPDATE ${sagas} SET ${content}, status = ?, wake_at = ?, owner = NULL, woken =`;
  return {
    extend: `INSERT INTO ${leases} (owner, expires_at) VALUES (?, ?)
      ON CONFLICT (owner) DO UPDATE SET expires_at = excluded.expires_at`,
    create: `INSERT INTO ${sagas} (${rowColumns.join(', ')}, owner, ready_at)
      VALUES (${'?, '.repeat(rowColumns.length)}?, ?) ON CONFLICT (id) DO NOTHING`,
    goOn: `UPDATE ${sagas} SET ${content} WHERE status = ? AND wake_at IS NULL AND ${fence} AND request_count = ?`,
    change: `${change} AND request_count = ?`,
    changeUnseen: `${change} RETURNING request_count`,
    wait: `${wait} 0 WHERE ${fence} AND request_count = ?`,
    waitUnseen: `${wait} (request_count > ?) WHERE ${fence} RETURNING request_count`,
    find: `SELECT status, request_count FROM ${sagas} WHERE id = ?`,
    known: `SELECT 1 FROM ${requests} WHERE saga_id = ? AND request_id = ?`,
    append: `INSERT INTO ${requests} (saga_id, request_id, place, body) VALUES (?, ?, ?, ?)`,
    wake: `UPDATE ${sagas} SET request_count = request_count + 1, woken = (status = 'waiting') WHERE id = ?`,
  };
}

interface CountRow {
  readonly request_count: number | bigint;
}

/** A statement that fails takes back what it did itself, and leaves the transaction to the other writes. */
function attempt({ operation, perform }: Write): Outcome {
  try {
    return { value: perform() };
  } catch (error) {
    if (isBusy(error)) throw error;
    return { error: storeErrorOf(operation, error) };
  }
}
