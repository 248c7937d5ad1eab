/** The record format: how each outcome changes a saga's record. Pure; the store adds fencing and durability. */
import type { JsonValue } from '../core/json.ts';
import type { RepairRecord, SagaRecord, SagaStatus, StepRecord } from '../ports/saga-store.ts';
import { decide } from './decide.ts';
import type { SagaPlan } from './plan.ts';

/** Something that became known of a saga. */
export type JournalEntry =
  | { readonly type: 'done'; readonly step: string; readonly output: JsonValue | undefined }
  | { readonly type: 'refused' | 'failed'; readonly step: string; readonly error: string }
  | { readonly type: 'undone'; readonly step: string }
  | { readonly type: 'parked'; readonly reason: string }
  | { readonly type: 'finished'; readonly status: 'completed' | 'compensated' }
  | { readonly type: 'repaired'; readonly repair: Omit<RepairRecord, 'at'> };

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
      const step = { name, status, error, at };
      return { status: 'compensating', reason: turnOf(step), steps: [...record.steps, step] };
    }
    case 'undone':
      return {
        steps: record.steps.map((s) => (s.name === entry.step ? { ...s, status: 'undone', at } : s)),
      };
    case 'parked':
      return { status: 'parked', reason: entry.reason };
    case 'finished':
      return { status: entry.status };
    case 'repaired':
      return {
        ...repaired(record, entry.repair, at),
        repairs: [...(record.repairs ?? []), { ...entry.repair, at }],
      };
  }
}

/** Why a step that was refused or failed turned the saga back. */
function turnOf({ name, status, error }: StepRecord): string {
  return `${name} ${status === 'refused' ? 'was refused' : 'failed'}: ${error}`;
}

/** The way that a record committed to, and why it did. It is in the steps, so parking a saga does not lose it. */
export function directionOf(steps: readonly StepRecord[]): Pick<SagaRecord, 'status' | 'reason'> {
  // Whatever turned it back is its last step: after that, none is done.
  const turn = steps.find((s) => s.status !== 'done') && steps.at(-1);
  if (turn === undefined) return { status: 'running', reason: undefined };
  return { status: 'compensating', reason: turnOf(turn) };
}

function repaired(
  record: SagaRecord,
  { action, reason, step }: Omit<RepairRecord, 'at'>,
  at: number,
): Partial<SagaRecord> {
  if (action === 'resolve') return { status: 'resolved', reason };
  const direction = directionOf(record.steps);
  return step === undefined ? direction : { ...direction, steps: skipped(record.steps, step, at) };
}

/** The steps without the one at which the saga parked: a recorded one was to be undone, any other to be done. */
function skipped(steps: readonly StepRecord[], name: string, at: number): readonly StepRecord[] {
  const skip = { skipped: true, at } as const;
  if (!steps.some((s) => s.name === name)) return [...steps, { name, status: 'done', ...skip }];
  return steps.map((s) => (s.name === name ? { ...s, status: 'undone', ...skip } : s));
}

/**
 * What to write down in place of an entry that the store will never take. What it says is less, and as true: a step
 * whose result cannot be stored turns the saga back where that is still possible and parks it otherwise.
 */
export function withoutUnstorable(plan: SagaPlan, entry: JournalEntry, why: string): JournalEntry {
  switch (entry.type) {
    case 'done': {
      const { step } = entry;
      const error = `its result cannot be stored: ${why}`;
      const isCompensatable = plan.steps.some((s) => s.name === step && s.kind === 'compensatable');
      if (isCompensatable) return { type: 'failed', step, error };
      return { type: 'parked', reason: `${step} was done, but ${error}` };
    }
    case 'refused':
    case 'failed':
      return { ...entry, error: 'the store does not take its error' };
    case 'undone':
      return { type: 'parked', reason: `${entry.step} was undone, but the store does not take that` };
    case 'finished':
      return { type: 'parked', reason: `it is ${entry.status}, but the store does not take that` };
    case 'parked':
    case 'repaired':
      return { type: 'parked', reason: 'the store does not take what was to be written' };
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
