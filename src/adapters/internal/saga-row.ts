/** A saga's record as rows keep it: JSON as text beside plain columns. Shared by the stores that speak rows. */
import { InvalidPayloadError } from '../../core/errors.ts';
import { messageOf } from '../../core/holdfast-error.ts';
import { isPlainObject, type JsonValue, parseJson, stringifyJson } from '../../core/json.ts';
import type {
  NewSaga,
  RepairAction,
  RepairRecord,
  SagaRecord,
  SagaStatus,
  StepRecord,
  StepStatus,
} from '../../ports/saga-store.ts';

/** The columns of one record. */
export interface SagaRow {
  readonly id: string;
  readonly saga: string;
  readonly hash: string;
  readonly status: string;
  /** JSON text. */
  readonly input: string;
  /** JSON text of an array. */
  readonly steps: string;
  readonly reason: string | null;
  /** JSON text of an array; null when it is empty. */
  readonly repairs: string | null;
  readonly epoch: number;
  readonly version: number;
  readonly created_at: number;
  readonly updated_at: number;
}

const sagaStatuses: Readonly<Record<SagaStatus, true>> = {
  running: true,
  compensating: true,
  completed: true,
  compensated: true,
  parked: true,
  resolved: true,
};
const stepStatuses: Readonly<Record<StepStatus, true>> = {
  done: true,
  refused: true,
  failed: true,
  undone: true,
};
const repairActions: Readonly<Record<RepairAction, true>> = { retry: true, skip: true, resolve: true };

/** Whether a status is one in which a saga has work left that a worker can do. */
export function isClaimable(status: string): boolean {
  return status === 'running' || status === 'compensating';
}

/** The row of a saga that begins. @throws InvalidPayloadError when the input is not JSON. */
export function newRow(saga: NewSaga): SagaRow {
  return {
    id: saga.id,
    saga: saga.saga,
    hash: saga.hash,
    status: 'running',
    input: stringifyJson(saga.input, `the input of saga ${saga.id}`),
    steps: '[]',
    reason: null,
    repairs: null,
    epoch: 1,
    version: 0,
    created_at: saga.createdAt,
    updated_at: saga.createdAt,
  };
}

/** The steps as text. @throws InvalidPayloadError when an output is not JSON. */
export function encodeSteps(record: SagaRecord): string {
  return stringifyJson(record.steps, `the steps of saga ${record.id}`);
}

/** The repairs as text, null when there are none. @throws InvalidPayloadError when one is not JSON. */
export function encodeRepairs({ id, repairs = [] }: SagaRecord): string | null {
  return repairs.length === 0 ? null : stringifyJson(repairs, `the repairs of saga ${id}`);
}

/** The record of a row that is to be written again. @throws InvalidPayloadError when it cannot be decoded. */
export function decodeForRepair(row: SagaRow): SagaRecord {
  const { record, decoded } = decodeRow(row);
  if (decoded) return record;
  throw new InvalidPayloadError(`saga ${row.id}`, `${record.reason}; mend the stored row first`);
}

/** The record of a row. Never throws: what cannot be decoded comes back parked, with the reason. */
export function decodeRow(row: SagaRow): { readonly record: SagaRecord; readonly decoded: boolean } {
  const { id, saga, hash, epoch, version, created_at: createdAt, updated_at: updatedAt } = row;
  const plain = { id, saga, hash, epoch, version, createdAt, updatedAt };
  try {
    const input = parseJson(row.input, 'input');
    const steps = toSteps(parseJson(row.steps, 'steps'));
    if (!Object.hasOwn(sagaStatuses, row.status)) throw new TypeError(`unknown status ${row.status}`);
    const status = row.status as SagaStatus;
    const reason = row.reason === null ? {} : { reason: row.reason };
    const repairs = row.repairs === null ? {} : { repairs: toRepairs(parseJson(row.repairs, 'repairs')) };
    return { record: { ...plain, status, input, steps, ...reason, ...repairs }, decoded: true };
  } catch (error) {
    const reason = `the stored record cannot be decoded: ${messageOf(error)}`;
    return { record: { ...plain, status: 'parked', input: null, steps: [], reason }, decoded: false };
  }
}

function toSteps(value: JsonValue): readonly StepRecord[] {
  if (!Array.isArray(value)) throw new TypeError('steps is not an array');
  for (const [index, step] of value.entries()) {
    const known =
      isPlainObject(step) &&
      typeof step.name === 'string' &&
      typeof step.at === 'number' &&
      Object.hasOwn(stepStatuses, String(step.status));
    if (!known) throw new TypeError(`steps[${index}] is not the record of a step`);
  }
  return value as unknown as readonly StepRecord[];
}

function toRepairs(value: JsonValue): readonly RepairRecord[] {
  if (!Array.isArray(value)) throw new TypeError('repairs is not an array');
  for (const [index, repair] of value.entries()) {
    const known =
      isPlainObject(repair) &&
      Object.hasOwn(repairActions, String(repair.action)) &&
      typeof repair.by === 'string' &&
      typeof repair.at === 'number';
    if (!known) throw new TypeError(`repairs[${index}] is not the record of a repair`);
  }
  return value as unknown as readonly RepairRecord[];
}
