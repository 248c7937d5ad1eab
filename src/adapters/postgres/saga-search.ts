import type { SagaCount, SagaQuery, SagaRecord, SagaStatus } from '../../ports/saga-store.ts';
import { afterPrefix, statusesOf } from '../internal/saga-query.ts';
import { decodeRow, type SagaRow } from '../internal/saga-row.ts';
import { arrayLiteral } from './client.ts';
import type { SagaConnection } from './saga-connection.ts';

/** Looking, counting and forgetting. */
export class SagaSearch {
  readonly #connection: SagaConnection;
  readonly #sagas: string;

  constructor(connection: SagaConnection, sagas: string) {
    this.#connection = connection;
    this.#sagas = sagas;
  }

  async get(id: string): Promise<SagaRecord | undefined> {
    const row = await this.#connection.find(id);
    return row === undefined ? undefined : decodeRow(row).record;
  }

  async list(query: SagaQuery): Promise<readonly SagaRecord[]> {
    const { conditions, values } = conditionsOf(query);
    const where = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`;
    const order = `ORDER BY created_at DESC, id DESC LIMIT $${values.length + 1}`;
    const text = `${this.#connection.statements.select} ${where} ${order}`;
    const rows = await this.#connection.run('list', text, [...values, query.limit ?? 100]);
    return rows.map((row) => decodeRow(row as unknown as SagaRow).record);
  }

  async census(status?: SagaQuery['status']): Promise<readonly SagaCount[]> {
    const statuses = statusesOf({ status });
    if (statuses?.length === 0) return [];
    const count = (where: string): string =>
      `SELECT saga, hash, definition_version AS "definitionVersion", status, count(*)::double precision AS count
        FROM ${this.#sagas} ${where} GROUP BY saga, hash, definition_version, status`;
    const parts = [...new Set(statuses)].map((one) => count(`WHERE ${conditionOf(one)}`));
    const text = statuses === undefined ? count('') : parts.join(' UNION ALL ');
    return (await this.#connection.run('census', text)) as unknown as readonly SagaCount[];
  }

  async purge(endedBefore: number, limit: number): Promise<number> {
    const [row] = await this.#connection.ask('purge', [endedBefore, limit]);
    return row?.purged as number;
  }
}

/** A status as a condition by which the server sees which partial index suffices. */
function conditionOf(status: SagaStatus): string {
  const isDue = status === 'running' || status === 'compensating' ? ' AND due_at IS NOT NULL' : '';
  return `status = '${status.replaceAll("'", "''")}'${isDue}`;
}

function conditionsOf(query: SagaQuery): {
  readonly conditions: readonly string[];
  readonly values: readonly unknown[];
} {
  const { saga, definitionVersion, idPrefix = '', createdFrom, createdBefore, after } = query;
  const statuses = statusesOf(query);
  const conditions: string[] = [];
  const values: unknown[] = [];
  const add = (condition: (place: string) => string, value: unknown): void => {
    if (value === undefined) return;
    values.push(value);
    conditions.push(condition(`$${values.length}`));
  };
  add((place) => `saga = ${place}`, saga);
  add((place) => `status = ANY (${place}::text[])`, statuses && arrayLiteral(statuses));
  add((place) => `definition_version = ${place}`, definitionVersion);
  if (idPrefix !== '') {
    add((place) => `id >= ${place}`, idPrefix);
    add((place) => `id < ${place}`, afterPrefix(idPrefix));
  }
  add((place) => `created_at >= ${place}`, createdFrom);
  add((place) => `created_at < ${place}`, createdBefore);
  if (after !== undefined) {
    values.push(after.createdAt, after.id);
    conditions.push(`(created_at, id) < ($${values.length - 1}, $${values.length})`);
  }
  return { conditions, values };
}
