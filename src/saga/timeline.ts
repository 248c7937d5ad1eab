/** What happened to a saga, in order, from its record alone. Pure. */
import { isoTime } from '../core/clock.ts';
import { printable } from '../core/printable.ts';
import type { RepairRecord, SagaRecord, SagaRequest, StepRecord } from '../ports/saga-store.ts';

/**
 * What happened. `done`, `refused`, `failed`, `omitted`, `begun`, `undone` and `skipped` (by a person) are of a step;
 * `waits` is of a delay or a wait for a signal. `turned-back`: from here on it is undone.
 */
export type TimelineType =
  | 'began'
  | 'done'
  | 'refused'
  | 'failed'
  | 'omitted'
  | 'begun'
  | 'waits'
  | 'undone'
  | 'skipped'
  | 'turned-back'
  | 'signal'
  | 'cancel'
  | 'repaired'
  | 'parked'
  | 'completed'
  | 'compensated'
  | 'resolved';

/** One thing that happened to a saga. */
export interface TimelineEntry {
  readonly type: TimelineType;
  /** Wall time, in milliseconds. */
  readonly at: number;
  /** Name of the step. */
  readonly step?: string | undefined;
  /** In a person's words, or an error's. */
  readonly reason?: string | undefined;
  /** Who did it, if a person did. */
  readonly by?: string | undefined;
  /** Of a signal: which one; of a repair: which action. */
  readonly name?: string | undefined;
  /** Of what waits: until when, by the wall clock, in milliseconds. */
  readonly until?: number | undefined;
}

/**
 * The timeline of a record, oldest first. A record keeps what is true of each step, so of a step that was undone the
 * entries are that it was done (or failed) and that it was undone; attempts are not in it, and of the times at which it
 * was parked only the last is known.
 */
export function timeline(record: SagaRecord): readonly TimelineEntry[] {
  const entries: TimelineEntry[] = [
    { type: 'began', at: record.createdAt },
    ...(record.requests ?? []).map(requested),
    ...(record.repairs ?? []).map(repaired),
    ...record.steps.flatMap(stepEntries),
    ...turnOf(record),
    ...record.steps.flatMap(undoEntries),
    ...endOf(record),
  ];
  // Stable, so that what happened in one write stays in the order of its causes.
  return entries.sort((a, b) => a.at - b.at);
}

function requested({ type, name, reason, at }: SagaRequest): TimelineEntry {
  return type === 'signal' ? { type, name, at } : { type, reason, at };
}

function stepEntries(record: StepRecord): readonly TimelineEntry[] {
  const { name: step, status, error: reason, at, until, skipped, request } = record;
  switch (status) {
    case 'undone':
      return [{ type: reason === undefined ? 'done' : 'failed', at, step, reason }];
    case 'open':
      return until === undefined ? [] : [{ type: 'waits', at, step, until }];
    case 'done':
      return [{ type: skipped ? 'skipped' : 'done', at, step }];
    case 'refused':
      // With a request, it was never asked: that is where a cancel turned the saga back.
      return [{ type: request === undefined ? 'refused' : 'omitted', at, step, reason }];
    default:
      return [{ type: status, at, step, reason }];
  }
}

function undoEntries({ name: step, status, at, undoneAt, skipped }: StepRecord): readonly TimelineEntry[] {
  return status === 'undone' ? [{ type: skipped ? 'skipped' : 'undone', at: undoneAt ?? at, step }] : [];
}

/** When and why it turned back: for a step that was not done, or because somebody, or its deadline, wanted it. */
function turnOf(record: SagaRecord): readonly TimelineEntry[] {
  const { steps, status, reason } = record;
  const turning = steps.filter(
    (s) => s.status === 'refused' || s.status === 'failed' || s.error !== undefined,
  );
  const undone = steps.flatMap(({ undoneAt }) => (undoneAt === undefined ? [] : [undoneAt]));
  const isBack = status === 'compensating' || status === 'compensated';
  if (!isBack && turning.length === 0 && undone.length === 0) return [];
  const first = turning.length > 0 ? Math.min(...turning.map((s) => s.at)) : undefined;
  const cancelled = record.requests?.find(({ type }) => type === 'cancel')?.at;
  const at = first ?? cancelled ?? Math.min(record.deadline ?? record.updatedAt, record.updatedAt, ...undone);
  // Parked or resolved, its reason is of that; then the step's own error says why.
  return [{ type: 'turned-back', at, reason: isBack ? reason : undefined }];
}

function repaired({ action, by, reason, step, at }: RepairRecord): TimelineEntry {
  return { type: 'repaired', at, name: action, by, reason, step };
}

function endOf({ status, updatedAt: at, reason, parkedAt }: SagaRecord): readonly TimelineEntry[] {
  if (status === 'parked') return [{ type: 'parked', at, reason, step: parkedAt?.step }];
  if (status === 'completed') return [{ type: 'completed', at }];
  return status === 'compensated' || status === 'resolved' ? [{ type: status, at, reason }] : [];
}

/**
 * A timeline as text, one line an entry: the time (UTC), how long after the beginning, and what happened. What others
 * wrote cannot steer a terminal.
 */
export function formatTimeline(entries: readonly TimelineEntry[]): string {
  const start = entries[0]?.at ?? 0;
  const rows = entries.map(
    (entry) => [timeOf(entry.at), elapsed(entry.at - start), sentence(entry)] as const,
  );
  const width = Math.max(0, ...rows.map(([, after]) => after.length));
  return rows
    .map(([time, after, text]) => `${time}  ${after.padStart(width)}  ${printable(text)}\n`)
    .join('');
}

function sentence(entry: TimelineEntry): string {
  const { type, step, name, by, reason, until } = entry;
  const why = reason === undefined || reason === '' ? '' : `: ${reason}`;
  switch (type) {
    case 'signal':
      return `signal ${name ?? ''}`;
    case 'cancel':
      return `cancel asked for${why}`;
    case 'repaired':
      return `${name ?? 'repair'}${step === undefined ? '' : ` of ${step}`} by ${by ?? 'somebody'}${why}`;
    case 'turned-back':
      return `turned back${why}`;
    case 'waits':
      return `${step} waits until ${timeOf(until)}`;
    case 'begun':
      return `${step} begun`;
    case 'skipped':
      return `${step} skipped`;
    case 'parked':
      return `parked${step === undefined ? '' : ` at ${step}`}${why}`;
    default:
      return `${step === undefined ? '' : `${step} `}${type}${why}`;
  }
}

/** A wall time as ISO 8601 in UTC; a stored one may be none. */
function timeOf(at: number | undefined): string {
  // Beyond what a date can be.
  return at !== undefined && Math.abs(at) <= 8.64e15 ? isoTime(at) : 'an unknown time';
}

/** How long, short enough to read down a column. */
function elapsed(duration: number): string {
  const size = Math.abs(duration);
  const sign = duration < 0 ? '-' : '+';
  if (size < 10_000) return `${sign}${Math.round(size)} ms`;
  if (size < 600_000) return `${sign}${(size / 1_000).toFixed(1)} s`;
  return size < 172_800_000
    ? `${sign}${Math.round(size / 60_000)} min`
    : `${sign}${Math.round(size / 86_400_000)} d`;
}
