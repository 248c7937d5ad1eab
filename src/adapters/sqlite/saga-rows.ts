import type { SagaRecord } from '../../ports/saga-store.ts';
import { decodeRow, type SagaRow } from '../internal/saga-row.ts';
import type { SqliteConnection } from './connection.ts';
import type { SagaTables } from './schema.ts';

/** The columns of a row, in the order in which they are inserted. */
export const rowColumns: readonly (keyof SagaRow)[] = [
  'id',
  'saga',
  'hash',
  'definition_version',
  'status',
  'input',
  'steps',
  'reason',
  'parked_at',
  'repairs',
  'deadline',
  'wake_at',
  'epoch',
  'version',
  'claims',
  'created_at',
  'updated_at',
];

/** What is selected of a row. */
export const selected: string = `${rowColumns.join(', ')}, request_count`;

/** Reads rows, each with its requests. */
export class SagaRows {
  readonly #connection: SqliteConnection;
  readonly #tables: SagaTables;

  constructor(connection: SqliteConnection, tables: SagaTables) {
    this.#connection = connection;
    this.#tables = tables;
  }

  /** The row of this id. */
  find(id: string): SagaRow | undefined {
    return this.select(`WHERE id = ?`, id)[0];
  }

  /** Rows by what follows the FROM of their selection. */
  select(condition: string, ...values: unknown[]): SagaRow[] {
    const select = `SELECT ${selected} FROM ${this.#tables.sagas} AS s ${condition}`;
    return this.#connection
      .prepare(select)
      .all(...values)
      .map((raw) => this.#rowOf(raw as SagaRow & { readonly request_count: number | bigint }));
  }

  /** Records by what follows the FROM of their selection. */
  records(condition: string, ...values: unknown[]): SagaRecord[] {
    return this.select(condition, ...values).map((row) => decodeRow(row).record);
  }

  /** A row as the driver gives it; one that is set to safe integers gives them as BigInt. */
  #rowOf({ request_count, ...row }: SagaRow & { readonly request_count: number | bigint }): SagaRow {
    return {
      ...row,
      definition_version: Number(row.definition_version),
      epoch: Number(row.epoch),
      version: Number(row.version),
      claims: Number(row.claims),
      requests: Number(request_count) === 0 ? null : this.#requestsOf(row.id),
    };
  }

  #requestsOf(id: string): string {
    const select = `SELECT body FROM ${this.#tables.requests} WHERE saga_id = ? ORDER BY place`;
    const found = this.#connection.prepare(select).all(id) as { readonly body: string }[];
    return `[${found.map(({ body }) => body).join()}]`;
  }
}
