/** What a person may do with a parked saga. Pure: whether it may be done, and what is to be written down. */
import { SagaRepairError } from '../core/errors.ts';
import { parseOptions, z } from '../core/options.ts';
import type { RepairAction, SagaRecord } from '../ports/saga-store.ts';
import { decide } from './decide.ts';
import { directionOf, type JournalEntry } from './journal.ts';
import type { SagaPlan } from './plan.ts';

/** Who repairs a parked saga, and why: kept in its record for ever. */
export interface RepairOptions {
  /** Who does it. 1 to 200 characters. */
  readonly by: string;
  /** Why, for whoever reads the record later. 1 to 2,000 characters. */
  readonly reason: string;
}

/** A repair that somebody asks for. */
export interface RepairRequest extends RepairOptions {
  readonly action: RepairAction;
}

const optionsSchema: z.ZodType<RepairOptions> = z.strictObject({
  by: z.string().trim().min(1).max(200),
  reason: z.string().trim().min(1).max(2_000),
});

/** @throws InvalidOptionsError naming the field. */
export function parseRepair(action: RepairAction, options: RepairOptions): RepairRequest {
  return { action, ...parseBlame(`SagaRunner.${action}`, options) };
}

/** Who does something and why. @throws InvalidOptionsError naming the field. */
export function parseBlame(owner: string, options: RepairOptions): RepairOptions {
  return parseOptions(owner, optionsSchema, options);
}

/** @throws SagaRepairError when the saga is not parked. */
export function assertParked({ saga, id, status }: SagaRecord): void {
  if (status === 'parked') return;
  throw new SagaRepairError(saga, id, `it is ${status}, and only what is parked can be repaired`);
}

/**
 * What to write down of a repair. The plan is not needed where the record says at which step it parked.
 *
 * @throws SagaRepairError when the saga is not parked, or when it cannot truthfully be skipped at its place.
 */
export function repairEntry(
  plan: SagaPlan | undefined,
  record: SagaRecord,
  request: RepairRequest,
): JournalEntry {
  assertParked(record);
  const requests = record.requests?.length ?? 0;
  const repair = { ...request, parked: record.reason ?? '', ...(requests > 0 && { requests }) };
  if (request.action !== 'skip') return { type: 'repaired', repair };
  return { type: 'repaired', repair: { ...repair, step: skippable(plan, record) } };
}

/** The step that may be skipped, or whose undo may be. */
function skippable(plan: SagaPlan | undefined, record: SagaRecord): string {
  const { parkedAt } = record;
  const step = parkedAt?.step ?? placeIn(plan, record);
  if (step === undefined) return refuse(record, 'it did not park at a step, so there is none to skip');
  if (parkedAt?.step !== undefined ? parkedAt.skippable : isSkippable(plan, record, step)) return step;
  const pivot = plan?.steps.some(({ name, kind }) => name === step && kind === 'pivot');
  return refuse(
    record,
    pivot
      ? `whether the pivot ${step} happened decides everything: it cannot be skipped; retry it, or resolve the saga`
      : `the saga turns on whether ${step} was done: it cannot be skipped; retry it, or resolve the saga`,
  );
}

function refuse({ saga, id }: SagaRecord, why: string): never {
  throw new SagaRepairError(saga, id, why);
}

/** Where a record stands that does not say where it parked. */
function placeIn(plan: SagaPlan | undefined, record: SagaRecord): string | undefined {
  if (plan === undefined) return undefined;
  const action = decide(plan, { ...record, ...directionOf(record.steps) });
  return 'steps' in action ? action.steps[0]?.name : undefined;
}

function isSkippable(plan: SagaPlan | undefined, record: SagaRecord, step: string): boolean {
  if (directionOf(record.steps).status === 'compensating') return true;
  return (
    plan?.steps.some(({ name, kind, type }) => name === step && kind === 'retriable' && type !== 'scope') ??
    false
  );
}
