/**
 * Turning back because somebody says so or because it took too long. Pure. The turn is written into the steps that the
 * saga was about to do, as refused: so it is one write, it says where it was, and no crash forgets it.
 */
import type { SagaRecord, SagaRequest } from '../ports/saga-store.ts';
import type { Action } from './decide.ts';
import type { JournalEntry, StepOutcome } from './journal.ts';
import type { SagaPlan } from './plan.ts';

/** What was asked of a saga by a cancel. */
export type CancelOutcome =
  /** The saga turned back because of a cancel. */
  | { readonly outcome: 'accepted' }
  /** It will never turn back because of one. */
  | { readonly outcome: 'tooLate'; readonly status: SagaRecord['status'] };

/** Under which circumstances a saga comes to an action. */
export interface Circumstances {
  /** By the wall clock, in milliseconds. */
  readonly now: number;
  /** Whether whoever held the saga before may have begun it. */
  readonly inherited: boolean;
}

/**
 * The turn that a saga takes in place of an action, if it must and still can. The pivot, once it may have been begun, is
 * a way without return; and so is everything in a lazy saga that was taken over, where nobody knows how far it went.
 */
export function turnAt(
  plan: SagaPlan,
  record: SagaRecord,
  action: Action,
  { now, inherited }: Circumstances,
): JournalEntry | undefined {
  const cancel = pendingCancel(record);
  if (cancel === undefined && !isLate(record, now)) return undefined;
  if (action.type !== 'do' && action.type !== 'open' && action.type !== 'wait') return undefined;
  const [{ kind, type, name }] = action.steps as [(typeof action.steps)[number]];
  if (kind === 'retriable' || (inherited && plan.lazy)) return undefined;
  const begun = (step: string): boolean => record.steps.some((s) => s.name === step && s.status === 'begun');
  if (kind === 'pivot' && (inherited || begun(name))) return undefined;
  const error = cancel === undefined ? 'timeout: the deadline of the saga has passed' : (cancel.reason ?? '');
  const mayHaveBegun = inherited && type === 'call' && action.type === 'do';
  const steps = action.steps.map((step, index): StepOutcome => {
    const request = cancel !== undefined && index === 0 ? { request: cancel.id } : {};
    const isDoubtful = step.once ? begun(step.name) : mayHaveBegun;
    if (isDoubtful) return { name: step.name, status: 'failed', error, ...request };
    if (index > 0) return { name: step.name, status: 'omitted' };
    return { name: step.name, status: 'refused', error, ...request };
  });
  return { type: 'turned', steps };
}

/** Whether a saga's time is over. */
function isLate({ deadline }: SagaRecord, now: number): boolean {
  return deadline !== undefined && now >= deadline;
}

/** The cancel to be honoured, if any. A repair decides for good that the saga goes on, so a cancel from before it does not count any more. */
export function pendingCancel({ requests = [], repairs = [] }: SagaRecord): SagaRequest | undefined {
  if (requests.length === 0) return undefined;
  const settled = repairs.at(-1)?.requests ?? 0;
  return requests.find(({ type }, index) => type === 'cancel' && index >= settled);
}

/** What has become of the cancels of a saga; undefined while that is not decided. */
export function cancelOutcome(record: SagaRecord, plan: SagaPlan | undefined): CancelOutcome | undefined {
  const { status, steps, requests = [] } = record;
  const cancels = new Set(requests.filter(({ type }) => type === 'cancel').map(({ id }) => id));
  const turned = steps.some(
    (s) => s.request !== undefined && s.output === undefined && s.status !== 'done' && cancels.has(s.request),
  );
  if (turned) return { outcome: 'accepted' };
  if (status !== 'running' && status !== 'waiting') return { outcome: 'tooLate', status };
  const pivot = plan?.steps.find(({ kind }) => kind === 'pivot')?.name;
  const isCommitted = pivot !== undefined && steps.some((s) => s.name === pivot && s.status === 'done');
  return isCommitted ? { outcome: 'tooLate', status } : undefined;
}
