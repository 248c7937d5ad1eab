import type { Lease, RequestOutcome, SagaRecord, Written } from '../../ports/saga-store.ts';
import { maxSagaRequests } from '../../ports/saga-store.ts';
import { GroupCommit, type PendingWrite } from '../internal/group-commit.ts';
import { decodeRow, isEnded, type SagaChange, type SagaRow } from '../internal/saga-row.ts';
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
  readonly #tables: SagaTables;
  readonly #rows: SagaRows;
  readonly #group: GroupCommit<Write, unknown>;

  constructor(connection: SqliteConnection, tables: SagaTables, rows: SagaRows) {
    this.#connection = connection;
    this.#tables = tables;
    this.#rows = rows;
    const commit = (batch: readonly PendingWrite<Write, unknown>[]): Promise<void> => this.#commit(batch);
    this.#group = new GroupCommit({ commit, maxBatch: 1_000, inFlight: 1 });
  }

  create(row: SagaRow, lease: Lease): Promise<Created> {
    const perform = (): Created => this.#create(row, lease);
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
    const put = `INSERT INTO ${this.#tables.leases} (owner, expires_at) VALUES (?, ?)
      ON CONFLICT (owner) DO UPDATE SET expires_at = excluded.expires_at`;
    this.#connection.prepare(put).run(owner, this.#connection.clock.wallTime() + ttl);
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

  #create(row: SagaRow, lease: Lease): Created {
    const insert = `INSERT INTO ${this.#tables.sagas} (${rowColumns.join(', ')}, owner)
      VALUES (${'?, '.repeat(rowColumns.length)}?) ON CONFLICT (id) DO NOTHING`;
    const owner = row.status === 'waiting' ? null : lease.owner;
    const values = rowColumns.map((column) => row[column]);
    const { changes } = this.#connection.prepare(insert).run(...values, owner);
    const created = Number(changes) === 1;
    return { created, record: decodeRow(created ? row : this.#rows.find(row.id)!).record };
  }

  #update(update: RowUpdate): Written | undefined {
    const { status, wake_at } = update.change;
    const stays = (status === 'running' || status === 'compensating') && wake_at === null;
    const written = (stays ? this.#goOn(update) : undefined) ?? this.#change(update);
    return written && { requests: Number(written.request_count) };
  }

  /** Most updates leave the status as it is; then no index has to change, so none is named. */
  #goOn({ id, epoch, version, change }: RowUpdate): CountRow | undefined {
    const write = `UPDATE ${this.#tables.sagas}
      SET steps = ?, reason = ?, parked_at = ?, repairs = ?, updated_at = ?, version = version + 1, claims = 0
      WHERE id = ? AND epoch = ? AND version = ? AND status = ? AND wake_at IS NULL RETURNING request_count`;
    const { steps, reason, parked_at, repairs, updated_at, status } = change;
    const values = [steps, reason, parked_at, repairs, updated_at, id, epoch, version, status] as const;
    return (this.#connection.prepare(write).get(...values) ?? undefined) as CountRow | undefined;
  }

  /** What begins to wait is held by nobody, and is due when a request came that its writer had not seen. */
  #change({ id, epoch, version, change, seen }: RowUpdate): CountRow | undefined {
    const waits = change.status === 'waiting';
    const write = `UPDATE ${this.#tables.sagas}
      SET status = ?, steps = ?, reason = ?, parked_at = ?, repairs = ?, wake_at = ?, updated_at = ?,
        version = version + 1, claims = 0, woken = ${waits ? '(request_count > ?)' : '0'}
        ${waits ? ', owner = NULL' : ''}
      WHERE id = ? AND epoch = ? AND version = ? RETURNING request_count`;
    const { status, steps, reason, parked_at, repairs, wake_at, updated_at } = change;
    const values = [status, steps, reason, parked_at, repairs, wake_at, updated_at, ...(waits ? [seen] : [])];
    return (this.#connection.prepare(write).get(...values, id, epoch, version) ?? undefined) as
      | CountRow
      | undefined;
  }

  #request({ id, requestId, body }: RowRequest): RequestOutcome {
    const { sagas, requests } = this.#tables;
    const select = `SELECT status, request_count FROM ${sagas} WHERE id = ?`;
    const found = this.#connection.prepare(select).get(id) as (CountRow & { readonly status: string }) | null;
    if (!found) return 'unknown';
    const known = `SELECT 1 FROM ${requests} WHERE saga_id = ? AND request_id = ?`;
    if (this.#connection.prepare(known).get(id, requestId)) return 'known';
    if (isEnded(found.status)) return 'ended';
    const count = Number(found.request_count);
    if (count >= maxSagaRequests) return 'full';
    const insert = `INSERT INTO ${requests} (saga_id, request_id, place, body) VALUES (?, ?, ?, ?)`;
    this.#connection.prepare(insert).run(id, requestId, count, body);
    const wake = `UPDATE ${sagas} SET request_count = request_count + 1, woken = (status = 'waiting') WHERE id = ?`;
    this.#connection.prepare(wake).run(id);
    return 'added';
  }
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
