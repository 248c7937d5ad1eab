import type { Emitter } from '../core/emitter.ts';
import type { SagaRecord } from '../ports/saga-store.ts';
import type { JournalEntry } from './journal.ts';
import type { SagaEvents } from './saga-events.ts';

/** Tell what a written entry made of a saga. */
export function announce(
  emitter: Emitter<SagaEvents>,
  entry: JournalEntry,
  before: SagaRecord,
  after: SagaRecord,
  cause: unknown,
): void {
  const { id, saga } = after;
  announceStep(emitter, entry, { id, saga }, cause);
  if (entry.type === 'repaired') emitter.emit('repaired', { id, saga, ...entry.repair, at: after.updatedAt });
  const reason = after.reason ?? '';
  if (before.status === 'running' && (after.status === 'compensating' || after.status === 'compensated')) {
    emitter.emit('compensating', { id, saga, reason });
  }
  const duration = Math.max(0, after.updatedAt - after.createdAt);
  if (after.status === 'completed') emitter.emit('completed', { id, saga, duration });
  if (after.status === 'compensated') emitter.emit('compensated', { id, saga, reason, duration });
  if (after.status === 'parked') emitter.emit('parked', { id, saga, reason, duration });
}

function announceStep(
  emitter: Emitter<SagaEvents>,
  entry: JournalEntry,
  of: { readonly id: string; readonly saga: string },
  error: unknown,
): void {
  if (entry.type === 'done') emitter.emit('stepDone', { ...of, step: entry.step, output: entry.output });
  if (entry.type === 'refused') emitter.emit('stepRefused', { ...of, step: entry.step, error });
  if (entry.type === 'failed') emitter.emit('stepFailed', { ...of, step: entry.step, error });
  if (entry.type === 'undone') emitter.emit('stepUndone', { ...of, step: entry.step });
}
