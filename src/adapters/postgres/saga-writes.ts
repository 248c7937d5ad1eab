import type { Clock } from '../../core/clock.ts';
import type {
  Lease,
  NewSaga,
  RequestOutcome,
  SagaRecord,
  SagaRequest,
  Written,
} from '../../ports/saga-store.ts';
import { sagaRequestLimit } from '../../ports/saga-store.ts';
import { GroupCommit, type PendingWrite } from '../internal/group-commit.ts';
import {
  changeOf,
  createdRecord,
  decodeRow,
  encodeRequest,
  isEnded,
  newRow,
  type SagaChange,
  type SagaRow,
} from '../internal/saga-row.ts';
import { arrayLiteral, isBadValue, refuseNul, storeErrorOf } from './client.ts';
import type { SagaConnection } from './saga-connection.ts';
import type { SagaLeases } from './saga-leases.ts';
import { createdColumns, updateColumns } from './saga-statements.ts';

type Created = { readonly created: boolean; readonly record: SagaRecord };
type Cell = string | number | null;

interface NewRow {
  readonly row: SagaRow;
  readonly lease: Lease;
}

interface RowUpdate extends SagaChange {
  readonly id: string;
  readonly epoch: number;
  readonly version: number;
  readonly seen: number;
}

/**
 * When a statement has no answer after so many milliseconds, its connection is taken for dead: two of them would keep
 * every other write from the server. Should it be executed after all, its fences and the ids of sagas keep it harmless.
 */
const hungAfter = 30_000;

/** The columns of these rows as parameters: of several rows as arrays, in the order of the ids. */
function parametersOf<R extends { readonly id: string }>(
  rows: readonly R[],
  columns: readonly (readonly [string, string])[],
): Cell[] {
  const cellOf = (row: R, name: string): Cell => row[name as keyof R] as Cell;
  if (rows.length === 1) return columns.map(([name]) => cellOf(rows[0]!, name));
  const ordered = [...rows].sort((a, b) => (a.id < b.id ? -1 : 1));
  return columns.map(([name]) => arrayLiteral(ordered.map((row) => cellOf(row, name))));
}

/**
 * Creates and updates made while others are under way share one statement, and so one commit. A value that the server
 * does not take fails the statement; then its halves are tried, until it is alone.
 */
export class SagaWrites {
  readonly #connection: SagaConnection;
  readonly #leases: SagaLeases;
  readonly #creates: GroupCommit<NewRow, boolean>;
  readonly #updates: GroupCommit<RowUpdate, Written | undefined>;

  constructor(connection: SagaConnection, leases: SagaLeases, clock: Clock) {
    const patience = { clock, limit: hungAfter };
    this.#connection = connection;
    this.#leases = leases;
    this.#creates = new GroupCommit({
      maxBatch: 500,
      // Two would meet at the row of the lease.
      inFlight: 1,
      commit: (batch) => this.#halving(batch, (part) => this.#create(part)),
      keyOf: ({ row }) => row.id,
      patience,
      sizeOf: ({ row }) => row.input.length + row.steps.length,
    });
    this.#updates = new GroupCommit({
      maxBatch: 500,
      // While the server writes one, whoever the other one woke prepares the next.
      inFlight: 2,
      commit: (batch) => this.#halving(batch, (part) => this.#update(part)),
      keyOf: ({ id }) => id,
      patience,
      sizeOf: ({ steps }) => steps.length,
    });
  }

  async create(saga: NewSaga, lease: Lease): Promise<Created> {
    const row = newRow(saga);
    const { id, saga: name, hash, reason } = row;
    refuseNul({ 'the id of a saga': id, [`the name of saga ${id}`]: name, hash, reason, owner: lease.owner });
    for (;;) {
      if (await this.#creates.write({ row, lease }))
        return { created: true, record: createdRecord(saga, row) };
      const found = await this.#connection.find(id);
      // Else it was purged in between, and there is room again.
      if (found !== undefined) return { created: false, record: decodeRow(found).record };
    }
  }

  async update(record: SagaRecord): Promise<Written | undefined> {
    const { id, epoch, version, reason = null, requests = [] } = record;
    refuseNul({ [`the reason of saga ${id}`]: reason });
    // What the store could not have kept it does not have.
    if (id.includes('\0')) return undefined;
    return this.#updates.write({ id, epoch, version, seen: requests.length, ...changeOf(record) });
  }

  async request(id: string, request: SagaRequest): Promise<RequestOutcome> {
    const [body, limit] = [encodeRequest(id, request), sagaRequestLimit(request.type)];
    refuseNul({ 'the id of a request': request.id });
    if (id.includes('\0')) return 'unknown';
    const [row] = await this.#connection.ask('request', [id, request.id, body, limit]);
    if (row === undefined) return 'unknown';
    const { status, request_count, known, added } = row as unknown as {
      readonly status: string;
      readonly request_count: number;
      readonly known: boolean;
      readonly added: boolean;
    };
    if (added) return 'added';
    if (known) return 'known';
    if (isEnded(status)) return 'ended';
    // Where none of these holds, the same request was appended while this one waited for the row.
    return request_count >= limit ? 'full' : 'known';
  }

  async #create(batch: readonly PendingWrite<NewRow, boolean>[]): Promise<void> {
    const { owner } = batch[0]!.item.lease;
    const others = batch.filter(({ item }) => item.lease.owner !== owner);
    const own = others.length === 0 ? batch : batch.filter(({ item }) => item.lease.owner === owner);
    const rows = own.map(({ item }) => item.row);
    const ttl = Math.max(...own.map(({ item }) => item.lease.ttl));
    const values = [...parametersOf(rows, createdColumns), owner];
    const made = await this.#leases.extending(
      { owner, ttl },
      () => this.#connection.ask(rows.length === 1 ? 'createOne' : 'create', values),
      (length) =>
        this.#connection.ask(rows.length === 1 ? 'createOneLeased' : 'createLeased', [...values, length]),
    );
    const ids = new Set(made.map((row) => row.id));
    for (const { item, resolve } of own) resolve(ids.has(item.row.id));
    if (others.length > 0) await this.#create(others);
  }

  async #update(batch: readonly PendingWrite<RowUpdate, Written | undefined>[]): Promise<void> {
    const updates = batch.map(({ item }) => item);
    const statement = updates.length === 1 ? 'updateOne' : 'update';
    const rows = await this.#connection.ask(statement, parametersOf(updates, updateColumns));
    const counts = new Map(rows.map((row) => [row.id, row.request_count as number]));
    for (const { item, resolve } of batch) {
      const requests = counts.get(item.id);
      resolve(requests === undefined ? undefined : { requests });
    }
  }

  async #halving<I, R>(
    batch: readonly PendingWrite<I, R>[],
    write: (part: readonly PendingWrite<I, R>[]) => Promise<void>,
  ): Promise<void> {
    try {
      await write(batch);
    } catch (error) {
      if (batch.length === 1 || !isBadValue((error as Error).cause)) {
        for (const { reject } of batch) reject(storeErrorOf('write', error));
        return;
      }
      const half = batch.length >> 1;
      await this.#halving(batch.slice(0, half), write);
      await this.#halving(batch.slice(half), write);
    }
  }
}
