/** What stores that hold their rows in memory share of searching and counting. */
import type { SagaCount, SagaQuery, SagaRecord, SagaStatus } from '../../ports/saga-store.ts';
import type { SagaRow } from './saga-row.ts';

/** The name of a shape: equal for equal shapes only. */
export function shapeOf({ saga, hash }: Pick<SagaRecord, 'saga' | 'hash'>): string {
  return JSON.stringify([saga, hash]);
}

/** The statuses asked for, or undefined when any will do. */
export function statusesOf({ status }: SagaQuery): readonly SagaStatus[] | undefined {
  return typeof status === 'string' ? [status] : status;
}

type Shape = 'saga' | 'hash' | 'definition_version' | 'status';
type Sought = Pick<SagaRow, Shape | 'created_at' | 'id'>;

/** Whether a row is one that a query asks for. */
export function matcherOf(query: SagaQuery): (row: Sought) => boolean {
  const statuses = statusesOf(query);
  const { saga, definitionVersion, idPrefix = '', after } = query;
  const { createdFrom = Number.NEGATIVE_INFINITY, createdBefore = Number.POSITIVE_INFINITY } = query;
  const last = after && { created_at: after.createdAt, id: after.id };
  return (row) =>
    (saga === undefined || row.saga === saga) &&
    (statuses === undefined || statuses.includes(row.status as SagaStatus)) &&
    (definitionVersion === undefined || row.definition_version === definitionVersion) &&
    row.id.startsWith(idPrefix) &&
    row.created_at >= createdFrom &&
    row.created_at < createdBefore &&
    (last === undefined || newestFirst(last, row) < 0);
}

type Place = Pick<SagaRow, 'created_at' | 'id'>;

/** The order of lists. */
export function newestFirst(a: Place, b: Place): number {
  if (a.created_at !== b.created_at) return b.created_at - a.created_at;
  if (a.id === b.id) return 0;
  return a.id < b.id ? 1 : -1;
}

/** Count rows by shape and status. */
export function census(rows: Iterable<Pick<SagaRow, Shape>>): readonly SagaCount[] {
  const counts = new Map<string, SagaCount & { count: number }>();
  for (const { saga, hash, definition_version: definitionVersion, status } of rows) {
    const key = JSON.stringify([saga, hash, definitionVersion, status]);
    const found = counts.get(key);
    if (found === undefined) {
      counts.set(key, { saga, hash, definitionVersion, status: status as SagaStatus, count: 1 });
    } else found.count += 1;
  }
  return [...counts.values()];
}

/**
 * The first text behind all that begin with a prefix, by code points, or undefined when there is none: of `ab` it is
 * `ac`. So what begins with a prefix is a range, whatever characters it has.
 */
export function afterPrefix(prefix: string): string | undefined {
  const points = Array.from(prefix, (character) => character.codePointAt(0)!);
  while (points.at(-1) === 0x10ffff) points.pop();
  const last = points.pop();
  if (last === undefined) return undefined;
  // Half characters are no code points of their own.
  points.push(last === 0xd7ff ? 0xe000 : last + 1);
  return String.fromCodePoint(...points);
}
