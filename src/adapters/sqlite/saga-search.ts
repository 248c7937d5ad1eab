import type { SagaCount, SagaQuery, SagaRecord } from '../../ports/saga-store.ts';
import { afterPrefix, statusesOf } from '../internal/saga-query.ts';
import type { SqliteConnection } from './connection.ts';
import type { SagaRows } from './saga-rows.ts';
import type { SagaTables } from './schema.ts';

/** Looking, counting and forgetting. */
export class SagaSearch {
  readonly #connection: SqliteConnection;
  readonly #tables: SagaTables;
  readonly #rows: SagaRows;

  constructor(connection: SqliteConnection, tables: SagaTables, rows: SagaRows) {
    this.#connection = connection;
    this.#tables = tables;
    this.#rows = rows;
  }

  list(query: SagaQuery): Promise<readonly SagaRecord[]> {
    const { conditions, values } = conditionsOf(query);
    const where = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`;
    return this.#connection.run('list', () =>
      this.#rows.records(`${where} ORDER BY created_at DESC, id DESC LIMIT ?`, ...values, query.limit ?? 100),
    );
  }

  census(status?: SagaQuery['status']): Promise<readonly SagaCount[]> {
    const statuses = statusesOf({ status });
    // Their names stand in the text, since SQLite uses a partial index only where it sees that it suffices.
    const parts = [...new Set(statuses)].map((one) => `WHERE status = '${one.replaceAll("'", "''")}'`);
    const count = (where: string): string =>
      `SELECT saga, hash, definition_version AS definitionVersion, status, count(*) AS count
        FROM ${this.#tables.sagas} ${where} GROUP BY saga, hash, definition_version, status`;
    if (statuses?.length === 0) return Promise.resolve([]);
    const select = statuses === undefined ? count('') : parts.map(count).join(' UNION ALL ');
    return this.#connection.run('census', () =>
      (this.#connection.prepare(select).all() as SagaCount[]).map((row) => ({
        ...row,
        definitionVersion: Number(row.definitionVersion),
        count: Number(row.count),
      })),
    );
  }

  /** By the order of their creation, which has an index. */
  purge(endedBefore: number, limit: number): Promise<number> {
    const { sagas, requests } = this.#tables;
    return this.#connection.transact('purge', () => {
      const ended = this.#connection
        .prepare(
          `SELECT id FROM ${sagas} WHERE status IN ('completed', 'compensated', 'resolved') AND updated_at < ?
            ORDER BY created_at LIMIT ?`,
        )
        .all(endedBefore, limit) as { readonly id: string }[];
      for (const { id } of ended) {
        this.#connection.prepare(`DELETE FROM ${requests} WHERE saga_id = ?`).run(id);
        this.#connection.prepare(`DELETE FROM ${sagas} WHERE id = ?`).run(id);
      }
      return ended.length;
    });
  }
}

function conditionsOf(query: SagaQuery): {
  readonly conditions: readonly string[];
  readonly values: readonly unknown[];
} {
  const { saga, definitionVersion, idPrefix = '', createdFrom, createdBefore, after } = query;
  const statuses = statusesOf(query);
  const conditions: string[] = [];
  const values: unknown[] = [];
  const add = (condition: string, ...bound: unknown[]): void => {
    if (bound[0] === undefined) return;
    conditions.push(condition);
    values.push(...bound);
  };
  add('saga = ?', saga);
  add('status IN (SELECT value FROM json_each(?))', statuses && JSON.stringify(statuses));
  add('definition_version = ?', definitionVersion);
  if (idPrefix !== '') {
    add('id >= ?', idPrefix);
    add('id < ?', afterPrefix(idPrefix));
  }
  add('created_at >= ?', createdFrom);
  add('created_at < ?', createdBefore);
  add('(created_at, id) < (?, ?)', after?.createdAt, after?.id);
  return { conditions, values };
}
