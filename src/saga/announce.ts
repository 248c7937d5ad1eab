import type { Emitter } from '../core/emitter.ts';
import type { SagaRecord } from '../ports/saga-store.ts';
import type { JournalEntry, StepOutcome } from './journal.ts';
import type { SagaEvents } from './saga-events.ts';

/** A durable change of a saga. */
export interface Told {
  readonly before: Pick<SagaRecord, 'status'>;
  readonly after: SagaRecord;
  /** What made a step fail. */
  readonly cause?: unknown;
}

/** Tell what written entries made of a saga. */
export function announce(
  emitter: Emitter<SagaEvents>,
  entries: readonly JournalEntry[],
  { before, after, cause }: Told,
): void {
  if (!emitter.isHeard) return;
  const { id, saga, status } = after;
  for (const entry of entries) {
    announceEntry(emitter, entry, { id, saga }, cause);
    if (entry.type === 'repaired')
      emitter.emit('repaired', { id, saga, ...entry.repair, at: after.updatedAt });
  }
  if (before.status === status) return;
  const reason = after.reason ?? '';
  const wentForward = before.status === 'running' || before.status === 'waiting';
  if (wentForward && (status === 'compensating' || status === 'compensated')) {
    emitter.emit('compensating', { id, saga, reason });
  }
  const duration = Math.max(0, after.updatedAt - after.createdAt);
  if (status === 'waiting') emitter.emit('waiting', { id, saga, wakeAt: after.wakeAt });
  if (status === 'completed') emitter.emit('completed', { id, saga, duration });
  if (status === 'compensated') emitter.emit('compensated', { id, saga, reason, duration });
  if (status === 'parked') emitter.emit('parked', { id, saga, reason, duration });
}

function announceEntry(
  emitter: Emitter<SagaEvents>,
  entry: JournalEntry,
  of: { readonly id: string; readonly saga: string },
  cause: unknown,
): void {
  switch (entry.type) {
    case 'done':
      emitter.emit('stepDone', { ...of, step: entry.step, output: entry.output });
      return;
    case 'refused':
      emitter.emit('stepRefused', { ...of, step: entry.step, error: cause ?? new Error(entry.error) });
      return;
    case 'failed':
      emitter.emit('stepFailed', { ...of, step: entry.step, error: cause ?? new Error(entry.error) });
      return;
    case 'undone':
      emitter.emit('stepUndone', { ...of, step: entry.step });
      return;
    case 'opened':
    case 'turned':
      for (const step of entry.steps) announceStep(emitter, step, of);
      return;
    default:
  }
}

/** What became of a step together with others; one at which a cancel turned the saga did not do anything. */
function announceStep(
  emitter: Emitter<SagaEvents>,
  { name: step, status, error = '', output, request }: StepOutcome,
  of: { readonly id: string; readonly saga: string },
): void {
  if (status === 'omitted') emitter.emit('stepOmitted', { ...of, step });
  if (status === 'done') emitter.emit('stepDone', { ...of, step, output });
  if (request !== undefined) return;
  if (status === 'refused') emitter.emit('stepRefused', { ...of, step, error: new Error(error) });
  if (status === 'failed') emitter.emit('stepFailed', { ...of, step, error: new Error(error) });
}
