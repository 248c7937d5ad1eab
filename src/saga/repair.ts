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
  return { action, ...parseOptions(`SagaRunner.${action}`, optionsSchema, options) };
}

/** @throws SagaRepairError when the saga is not parked. */
export function assertParked({ saga, id, status }: SagaRecord): void {
  if (status === 'parked') return;
  throw new SagaRepairError(saga, id, `it is ${status}, and only what is parked can be repaired`);
}

/**
 * What to write down of a repair.
 *
 * @throws SagaRepairError when the saga is not parked, or when it cannot truthfully be skipped at its place.
 */
export function repairEntry(plan: SagaPlan, record: SagaRecord, request: RepairRequest): JournalEntry {
  assertParked(record);
  const repair = { ...request, parked: record.reason ?? '' };
  if (request.action !== 'skip') return { type: 'repaired', repair };
  return { type: 'repaired', repair: { ...repair, step: skippable(plan, record) } };
}

/** The step that may be skipped, or whose undo may be. */
function skippable(plan: SagaPlan, record: SagaRecord): string {
  const action = decide(plan, { ...record, ...directionOf(record.steps) });
  const refuse = (why: string): never => {
    throw new SagaRepairError(record.saga, record.id, why);
  };
  if (action.type === 'undo') return action.step.name;
  if (action.type !== 'do') return refuse('it did not park at a step, so there is none to skip');
  const { name, kind } = action.step;
  if (kind === 'pivot') {
    return refuse(
      `whether the pivot ${name} happened decides everything: it cannot be skipped; retry it, or resolve the saga`,
    );
  }
  if (kind === 'compensatable') {
    return refuse(
      `the saga turns on whether ${name} was done: it cannot be skipped; retry it, or resolve the saga`,
    );
  }
  return name;
}
