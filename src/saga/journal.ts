/** The record format: how each outcome changes a saga's record. Pure; the store adds fencing and durability. */
import type { JsonValue } from '../core/json.ts';
import type { SagaRecord, SagaStatus, StepRecord } from '../ports/saga-store.ts';
import { decide } from './decide.ts';
import type { SagaPlan } from './plan.ts';

/** Something that became known of a saga. */
export type JournalEntry =
  | { readonly type: 'done'; readonly step: string; readonly output: JsonValue | undefined }
  | { readonly type: 'refused' | 'failed'; readonly step: string; readonly error: string }
  | { readonly type: 'undone'; readonly step: string }
  | { readonly type: 'parked'; readonly reason: string }
  | { readonly type: 'finished'; readonly status: 'completed' | 'compensated' };

/**
 * The record after an entry. Where the entry leaves nothing more to do, the final status is part of the same record, so
 * that n steps cost n + 1 durable writes.
 */
export function fold(plan: SagaPlan, record: SagaRecord, entry: JournalEntry, at: number): SagaRecord {
  const next: SagaRecord = { ...record, ...change(record, entry, at), updatedAt: at };
  const action = decide(plan, next);
  return action.type === 'finish' ? { ...next, status: action.status } : next;
}

function change(record: SagaRecord, entry: JournalEntry, at: number): Partial<SagaRecord> {
  switch (entry.type) {
    case 'done': {
      const { step: name, output } = entry;
      return {
        steps: [...record.steps, { name, status: 'done', ...(output !== undefined && { output }), at }],
      };
    }
    case 'refused':
    case 'failed': {
      const { step: name, type: status, error } = entry;
      const reason = `${name} ${status === 'refused' ? 'was refused' : 'failed'}: ${error}`;
      return { status: 'compensating', reason, steps: [...record.steps, { name, status, error, at }] };
    }
    case 'undone':
      return {
        steps: record.steps.map((s) => (s.name === entry.step ? { ...s, status: 'undone', at } : s)),
      };
    case 'parked':
      return { status: 'parked', reason: entry.reason };
    case 'finished':
      return { status: entry.status };
  }
}

/** What is recorded of one step; undefined when nothing is. */
export function recordOf(record: SagaRecord, step: string): StepRecord | undefined {
  return record.steps.find((s) => s.name === step);
}

/** The outputs of all steps that are done, by name. */
export function resultsOf(record: SagaRecord): Record<string, JsonValue | undefined> {
  const done = record.steps.filter((s) => s.status === 'done');
  return Object.fromEntries(done.map((s) => [s.name, s.output]));
}

/** Whether a saga waits for nobody but a person, or for nothing at all. */
export function isSettled(status: SagaStatus): boolean {
  return status !== 'running' && status !== 'compensating';
}
