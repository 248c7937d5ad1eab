/** The record format: how each outcome changes a saga's record. Pure; the store adds fencing and durability. */
import type { JsonValue } from '../core/json.ts';
import type { ParkingPlace, RepairRecord, SagaRecord, SagaStatus, StepRecord } from '../ports/saga-store.ts';
import { decide } from './decide.ts';
import type { PlannedStep, SagaPlan } from './plan.ts';

/** What a step came to, without its time. */
export type StepOutcome = Omit<StepRecord, 'at'>;

/** Something that became known of a saga. */
export type JournalEntry =
  | {
      readonly type: 'done';
      readonly step: string;
      readonly output: JsonValue | undefined;
      /** The signal that it waited for. */
      readonly request?: string | undefined;
    }
  | { readonly type: 'refused' | 'failed'; readonly step: string; readonly error: string }
  | { readonly type: 'begun'; readonly step: string }
  /** What a lazy saga had not written down. */
  | { readonly type: 'flushed' }
  /** What was fixed when the saga came to these steps. */
  | { readonly type: 'opened'; readonly steps: readonly StepOutcome[] }
  /** It turns back at these steps: at a cancel, at its deadline, or because a group was not done. */
  | { readonly type: 'turned'; readonly steps: readonly StepOutcome[] }
  /** It has nothing to do before this time, or before a signal or a cancel. */
  | { readonly type: 'waiting'; readonly wakeAt: number | undefined }
  /** It goes on, after it was waiting. */
  | { readonly type: 'resumed' }
  | { readonly type: 'undone'; readonly step: string }
  | { readonly type: 'parked'; readonly reason: string; readonly place?: ParkingPlace | undefined }
  | { readonly type: 'finished'; readonly status: 'completed' | 'compensated' }
  | { readonly type: 'repaired'; readonly repair: Omit<RepairRecord, 'at'> };

/**
 * The record after an entry. Where the entry leaves nothing more to do, the final status is part of the same record, so
 * that n steps cost n + 1 durable writes.
 */
export function fold(plan: SagaPlan, record: SagaRecord, entry: JournalEntry, at: number): SagaRecord {
  const next: Mutable = apply(record, entry, at);
  const action = decide(plan, next);
  if (action.type === 'finish') next.status = action.status;
  return next;
}

type Mutable = { -readonly [K in keyof SagaRecord]: SagaRecord[K] };

/** The record after an entry, without what follows from it: that takes the plan. */
export function apply(record: SagaRecord, entry: JournalEntry, at: number): SagaRecord {
  // What nearly every entry is, with nothing made that is not kept.
  if (entry.type === 'done' && record.status === 'running') {
    return { ...record, steps: withStep(record.steps, doneStep(entry, at)), updatedAt: at };
  }
  return { ...record, ...change(record, entry, at), updatedAt: at };
}

function doneStep(
  { step: name, output, request }: Extract<JournalEntry, { type: 'done' }>,
  at: number,
): StepRecord {
  if (request === undefined) {
    return output === undefined ? { name, status: 'done', at } : { name, status: 'done', at, output };
  }
  return { name, status: 'done', at, ...(output !== undefined && { output }), request };
}

function change(record: SagaRecord, entry: JournalEntry, at: number): Partial<SagaRecord> {
  switch (entry.type) {
    case 'done':
      return { ...going(record), steps: withStep(record.steps, doneStep(entry, at)) };
    case 'refused':
    case 'failed': {
      const { step: name, type: status, error } = entry;
      return turned(record, [{ name, status, error }], at);
    }
    case 'begun':
      return { steps: withStep(record.steps, { name: entry.step, status: 'begun', at }) };
    case 'opened':
      return { steps: withSteps(record.steps, entry.steps, at) };
    case 'turned':
      return turned(record, entry.steps, at);
    case 'waiting':
      return { status: 'waiting', wakeAt: entry.wakeAt };
    case 'resumed':
      return going(record);
    case 'flushed':
      return {};
    case 'undone':
      return { steps: changed(record.steps, entry.step, (s) => ({ ...s, status: 'undone', undoneAt: at })) };
    case 'parked':
      return { status: 'parked', reason: entry.reason, wakeAt: undefined, parkedAt: entry.place };
    case 'finished':
      return { status: entry.status };
    case 'repaired':
      return repaired(record, entry.repair, at);
  }
}

/** A record says `waiting` only while it has nothing to do. */
function going({ status }: SagaRecord): Partial<SagaRecord> {
  return status === 'waiting' ? { status: 'running', wakeAt: undefined } : {};
}

function turned(record: SagaRecord, steps: readonly StepOutcome[], at: number): Partial<SagaRecord> {
  const all = withSteps(record.steps, steps, at);
  // What turned it back first stays the reason: later members of a group only follow it.
  const reason = record.status === 'compensating' ? record.reason : directionOf(all).reason;
  return { status: 'compensating', reason, wakeAt: undefined, steps: all };
}

function withSteps(
  steps: readonly StepRecord[],
  outcomes: readonly StepOutcome[],
  at: number,
): readonly StepRecord[] {
  return outcomes.reduce<readonly StepRecord[]>((all, outcome) => withStep(all, { ...outcome, at }), steps);
}

/** The steps with one more, or with a new record of one that is there. */
function withStep(steps: readonly StepRecord[], step: StepRecord): readonly StepRecord[] {
  for (const { name } of steps) if (name === step.name) return changed(steps, name, () => step);
  return [...steps, step];
}

function changed(
  steps: readonly StepRecord[],
  name: string,
  change: (step: StepRecord) => StepRecord,
): readonly StepRecord[] {
  return steps.map((s) => (s.name === name ? change(s) : s));
}

/** The way that a record committed to, and why it did. It is in the steps, so parking a saga does not lose it. */
export function directionOf(steps: readonly StepRecord[]): {
  readonly status: 'running' | 'compensating';
  readonly reason: string | undefined;
} {
  const turns = steps.filter((s) => s.status === 'refused' || s.status === 'failed' || s.status === 'undone');
  if (turns.length === 0) return { status: 'running', reason: undefined };
  // Of several, in a group, the one that was first.
  const [first] = turns.filter((s) => s.error !== undefined).sort((a, b) => a.at - b.at);
  return { status: 'compensating', reason: first === undefined ? undefined : turnOf(first) };
}

/** Why a step that was refused or failed turned the saga back. */
function turnOf({ name, status, error, request }: StepRecord): string {
  if (request !== undefined) return `cancelled before ${name}: ${error}`;
  return `${name} ${status === 'refused' ? 'was refused' : 'failed'}: ${error}`;
}

function repaired(record: SagaRecord, repair: Omit<RepairRecord, 'at'>, at: number): Partial<SagaRecord> {
  const repairs = [...(record.repairs ?? []), { ...repair, at }];
  const { action, reason, step } = repair;
  if (action === 'resolve') return { status: 'resolved', reason, parkedAt: undefined, repairs };
  const place = record.parkedAt?.step;
  const steps = step === undefined ? reopened(record.steps, place) : skipped(record.steps, step, at);
  return { ...directionOf(record.steps), parkedAt: undefined, repairs, steps };
}

/**
 * The steps such that the one at which the saga parked can be tried again: a person has seen to it that a step that
 * must not be tried twice may be, and that a signal that did not come in time is still awaited.
 */
function reopened(steps: readonly StepRecord[], place: string | undefined): readonly StepRecord[] {
  return steps.map((s) => {
    if (s.name !== place || (s.status !== 'begun' && s.status !== 'open')) return s;
    return { name: s.name, status: 'open', at: s.at };
  });
}

/** The steps without the one at which the saga parked: one with an outcome was to be undone, any other to be done. */
function skipped(steps: readonly StepRecord[], name: string, at: number): readonly StepRecord[] {
  const record = steps.find((s) => s.name === name);
  if (record === undefined || record.status === 'open' || record.status === 'begun') {
    return withStep(steps, { name, status: 'done', skipped: true, at });
  }
  return changed(steps, name, (s) => ({ ...s, status: 'undone', skipped: true, undoneAt: at }));
}

/**
 * Where a saga parks that does not get over a step on the way forward. What comes after the pivot may be passed over. So
 * may a pivot that must not be tried again, by who knows that it happened; any other can be asked, by its key.
 */
export function doingPlace({ name, kind, once }: PlannedStep): ParkingPlace {
  const isPivot = kind === 'pivot';
  const skippable = kind === 'retriable' || (isPivot && once === true);
  return { step: name, operation: 'do', skippable, ...(isPivot && { pivot: true as const }) };
}

const unstorable = 'the store does not take its error';

/**
 * What to write down in place of an entry that the store will never take. What it says is less, and as true: a step
 * whose result cannot be stored turns the saga back where that is still possible and parks it otherwise.
 */
export function withoutUnstorable(plan: SagaPlan, entry: JournalEntry, why: string): JournalEntry {
  switch (entry.type) {
    case 'done': {
      const { step: name } = entry;
      const error = `its result cannot be stored: ${why}`;
      const step = plan.steps[plan.positions.get(name) ?? -1];
      if (step?.kind === 'compensatable') return { type: 'failed', step: name, error };
      const place = step && doingPlace(step);
      return { type: 'parked', reason: `${name} was done, but ${error}`, place };
    }
    case 'refused':
    case 'failed':
      return { ...entry, error: unstorable };
    case 'turned':
      return {
        ...entry,
        steps: entry.steps.map(({ name, status, request }) => ({
          name,
          status,
          error: unstorable,
          ...(request !== undefined && { request }),
        })),
      };
    case 'undone':
      return { type: 'parked', reason: `${entry.step} was undone, but the store does not take that` };
    case 'finished':
      return { type: 'parked', reason: `it is ${entry.status}, but the store does not take that` };
    default:
      return { type: 'parked', reason: 'the store does not take what was to be written' };
  }
}

/** What is recorded of one step; undefined when nothing is. */
export function recordOf(record: SagaRecord, step: string): StepRecord | undefined {
  return record.steps.find((s) => s.name === step);
}

/** Whether a saga waits for nobody but a person, or for nothing at all. */
export function isSettled(status: SagaStatus): boolean {
  return status === 'completed' || status === 'compensated' || status === 'parked' || status === 'resolved';
}
