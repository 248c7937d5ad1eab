/** What a person may do with a parked saga. Pure: whether it may be done, and what is to be written down. */
import { SagaRepairError } from '../core/errors.ts';
import { parseOptions, z } from '../core/options.ts';
import type { ParkingPlace, RepairAction, SagaRecord } from '../ports/saga-store.ts';
import { decide } from './decide.ts';
import { directionOf, doingPlace, type JournalEntry, recordOf } from './journal.ts';
import type { SagaPlan } from './plan.ts';

/** Who repairs a parked saga, and why: kept in its record for ever. */
export interface RepairOptions {
  /** Who does it. 1 to 200 characters. */
  readonly by: string;
  /** Why, for whoever reads the record later. 1 to 2,000 characters. */
  readonly reason: string;
}

/** Options of {@link SagaRunner.skip}. */
export interface SkipOptions extends RepairOptions {
  /**
   * Name of the step that is meant, or whose undo is: where the saga parked elsewhere, nothing is done. Required at a
   * pivot, of which it says that it did happen. Default: wherever it parked.
   */
  readonly step?: string | undefined;
}

/** A repair that somebody asks for. */
export interface RepairRequest extends SkipOptions {
  readonly action: RepairAction;
}

const blame = {
  by: z.string().trim().min(1).max(200),
  reason: z.string().trim().min(1).max(2_000),
};
const optionsSchema: z.ZodType<RepairOptions> = z.strictObject(blame);
const skipSchema: z.ZodType<SkipOptions> = z.strictObject({ ...blame, step: z.string().optional() });

/** @throws InvalidOptionsError naming the field. */
export function parseRepair(action: RepairAction, options: SkipOptions): RepairRequest {
  const schema = action === 'skip' ? skipSchema : optionsSchema;
  return { action, ...parseOptions(`SagaRunner.${action}`, schema, options) };
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
  return { type: 'repaired', repair: { ...repair, step: skippable(plan, record, request.step) } };
}

/** The step that may be skipped, or whose undo may be. */
function skippable(plan: SagaPlan | undefined, record: SagaRecord, named: string | undefined): string {
  const place = record.parkedAt?.step === undefined ? placeIn(plan, record) : record.parkedAt;
  const { step, pivot } = place ?? {};
  if (step === undefined) return refuse(record, 'it did not park at a step, so there is none to skip');
  if (named !== undefined && named !== step)
    return refuse(record, `it is parked at ${step}, not at ${named}`);
  if (place?.skippable && pivot && named === undefined) {
    return refuse(
      record,
      `${step} is the pivot: if you know that it happened, say so by its name, step: '${step}', and the saga goes on`,
    );
  }
  if (place?.skippable) return step;
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
function placeIn(plan: SagaPlan | undefined, record: SagaRecord): ParkingPlace | undefined {
  if (plan === undefined) return undefined;
  const direction = directionOf(record.steps);
  const action = decide(plan, { ...record, ...direction });
  const step = 'steps' in action ? action.steps[0] : undefined;
  if (step === undefined) return undefined;
  if (direction.status === 'compensating') return { step: step.name, operation: 'undo', skippable: true };
  const place = doingPlace(step);
  // Without its input a nested saga means nothing; and a pivot of which nothing is written was not begun.
  const isOut = step.type === 'scope' || (place.pivot && recordOf(record, step.name)?.status !== 'begun');
  return isOut ? { ...place, skippable: false } : place;
}
