/** How the command shows sagas to a person. */
import { isoTime } from '../core/clock.ts';
import { printable } from '../core/printable.ts';
import type { SagaRecord } from '../ports/saga-store.ts';
import { formatTimeline, timeline } from '../saga/timeline.ts';
import { table } from './table.ts';

const longestReason = 80;

/** Records as a table, one a line. */
export function sagaTable(records: readonly SagaRecord[]): string {
  if (records.length === 0) return 'no sagas\n';
  const rows = records.map(({ id, saga, status, definitionVersion, createdAt, updatedAt, reason = '' }) => [
    ...[id, saga, status, String(definitionVersion), shown(createdAt), shown(updatedAt)],
    reason.length > longestReason ? `${reason.slice(0, longestReason)}…` : reason || '-',
  ]);
  return table(['ID', 'SAGA', 'STATUS', 'VERSION', 'CREATED', 'UPDATED', 'REASON'], rows);
}

/** One record, and what happened to it. */
export function sagaDetails(record: SagaRecord): string {
  const { parkedAt, reason, deadline, wakeAt } = record;
  const place = `${parkedAt?.operation === 'undo' ? 'the undo of ' : ''}${parkedAt?.step ?? 'no step'}`;
  const named = parkedAt?.pivot ? `, by who knows that it happened: --step ${parkedAt.step}` : '';
  const skippable = parkedAt?.skippable === true ? `can be skipped${named}` : 'cannot be skipped';
  const facts: readonly (readonly [string, string | undefined])[] = [
    ['id', record.id],
    ['saga', `${record.saga}, version ${record.definitionVersion}, shape ${record.hash}`],
    ['status', record.status],
    ['reason', reason],
    ['parked at', parkedAt && `${place}, ${skippable}`],
    ['created', shown(record.createdAt)],
    ['updated', shown(record.updatedAt)],
    ['deadline', deadline === undefined ? undefined : shown(deadline)],
    ['wakes', wakeAt === undefined ? undefined : shown(wakeAt)],
    ['input', JSON.stringify(record.input)],
    ...record.steps.flatMap(({ name, output }) =>
      output === undefined ? [] : [[`result ${name}`, JSON.stringify(output)] as const],
    ),
  ];
  const width = Math.max(...facts.map(([name]) => name.length));
  const lines = facts.flatMap(([name, value]) =>
    value === undefined ? [] : [`${printable(name).padEnd(width)}  ${printable(value)}\n`],
  );
  return `${lines.join('')}\n${formatTimeline(timeline(record))}`;
}

function shown(at: number): string {
  return Math.abs(at) <= 8.64e15 ? isoTime(at) : String(at);
}
