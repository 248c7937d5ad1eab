/** A saga's record as rows keep it: JSON as text beside plain columns. Shared by the stores that speak rows. */
import { InvalidPayloadError } from '../../core/errors.ts';
import { messageOf } from '../../core/holdfast-error.ts';
import { isPlainObject, type JsonValue, parseJson, stringifyJson } from '../../core/json.ts';
import type {
  ClaimedSaga,
  NewSaga,
  ParkingPlace,
  RepairAction,
  RepairRecord,
  SagaRecord,
  SagaRequest,
  SagaStatus,
  StepRecord,
  StepStatus,
} from '../../ports/saga-store.ts';

/** The columns that an update writes. */
export interface SagaChange {
  readonly status: string;
  /** JSON text of an array. */
  readonly steps: string;
  readonly reason: string | null;
  /** JSON text. */
  readonly parked_at: string | null;
  /** JSON text of an array; null when it is empty. */
  readonly repairs: string | null;
  readonly wake_at: number | null;
  readonly updated_at: number;
}

/** The columns of one record. */
export interface SagaRow extends SagaChange {
  readonly id: string;
  readonly saga: string;
  readonly hash: string;
  readonly definition_version: number;
  /** JSON text. */
  readonly input: string;
  readonly deadline: number | null;
  readonly epoch: number;
  readonly version: number;
  readonly claims: number;
  readonly created_at: number;
  /** JSON text of an array; null when it is empty. */
  readonly requests: string | null;
}

type Mutable = { -readonly [K in keyof SagaRecord]: SagaRecord[K] };

const sagaStatuses: Readonly<Record<SagaStatus, true>> = {
  running: true,
  waiting: true,
  compensating: true,
  completed: true,
  compensated: true,
  parked: true,
  resolved: true,
};
const stepStatuses: Readonly<Record<StepStatus, true>> = {
  open: true,
  begun: true,
  done: true,
  refused: true,
  failed: true,
  undone: true,
  omitted: true,
};
const repairActions: Readonly<Record<RepairAction, true>> = { retry: true, skip: true, resolve: true };
const requestTypes: Readonly<Record<SagaRequest['type'], true>> = { signal: true, cancel: true };

/** Whether a status is one in which a worker has something to do, now or later. */
export function isUnfinished(status: string): boolean {
  return status === 'running' || status === 'waiting' || status === 'compensating';
}

/** Whether a status is final. */
export function isEnded(status: string): boolean {
  return status === 'completed' || status === 'compensated' || status === 'resolved';
}

/** The row of a saga that begins. @throws InvalidPayloadError when the input is not JSON, or the id not Unicode. */
export function newRow(saga: NewSaga): SagaRow {
  const { id } = saga;
  // Encoded, it would become another id.
  if (/\p{Surrogate}/u.test(id)) throw new InvalidPayloadError('the id of a saga', 'has half a character');
  return {
    id,
    saga: saga.saga,
    hash: saga.hash,
    definition_version: saga.definitionVersion,
    status: saga.status,
    input: stringifyJson(saga.input, `the input of saga ${id}`),
    steps: encodeSteps(saga),
    reason: saga.reason ?? null,
    parked_at: encodePlace(saga),
    repairs: null,
    requests: null,
    deadline: saga.deadline ?? null,
    wake_at: saga.wakeAt ?? null,
    epoch: 1,
    version: 0,
    claims: 0,
    created_at: saga.createdAt,
    updated_at: saga.createdAt,
  };
}

/** What an update writes, with its steps as text. @throws InvalidPayloadError when something is not JSON. */
export function changeOf(record: SagaRecord, steps: string = encodeSteps(record)): SagaChange {
  const { id, repairs = [] } = record;
  return {
    status: record.status,
    steps,
    reason: record.reason ?? null,
    parked_at: encodePlace(record),
    repairs: repairs.length === 0 ? null : stringifyJson(repairs, `the repairs of saga ${id}`),
    wake_at: record.wakeAt ?? null,
    updated_at: record.updatedAt,
  };
}

/** A request as text. @throws InvalidPayloadError when its payload is not JSON, or its id not Unicode. */
export function encodeRequest(saga: string, request: SagaRequest): string {
  const what = `request ${request.id} to saga ${saga}`;
  if (/\p{Surrogate}/u.test(request.id)) throw new InvalidPayloadError(what, 'its id has half a character');
  return stringifyJson(request, what);
}

function encodeSteps({ id, steps }: Pick<SagaRecord, 'id' | 'steps'>): string {
  return steps.length === 0 ? '[]' : stringifyJson(steps, `the steps of saga ${id}`);
}

function encodePlace({ id, parkedAt }: Pick<SagaRecord, 'id' | 'parkedAt'>): string | null {
  return parkedAt === undefined ? null : stringifyJson(parkedAt, `where saga ${id} parked`);
}

/** What a claim makes of a row, and the record that it gives out. */
export interface ClaimedRow {
  readonly row: SagaRow;
  readonly record: ClaimedSaga;
  /** Whether it is parked for good, since no worker would get any further with it. */
  readonly parked: boolean;
}

/** A row as a claim leaves it. */
export function claimedRow(before: SagaRow, maxClaims: number, now: number): ClaimedRow {
  return judgedRow({ ...before, epoch: before.epoch + 1, claims: before.claims + 1 }, maxClaims, now);
}

/** A row whose claim is counted already. */
export function judgedRow(row: SagaRow, maxClaims: number, now: number): ClaimedRow {
  const { record, decoded } = decodeRow(row);
  const claimed = { claimedAt: now };
  if (decoded && row.claims <= maxClaims)
    return { row, record: Object.assign(record, claimed), parked: false };
  const reason = decoded
    ? `it was claimed ${maxClaims} times and nobody got any further with it`
    : record.reason!;
  const parkedAt: ParkingPlace = {
    operation: row.status === 'compensating' ? 'undo' : 'do',
    skippable: false,
  };
  const parked = { ...row, status: 'parked', reason, parked_at: JSON.stringify(parkedAt), updated_at: now };
  return { row: parked, record: Object.assign(decodeRow(parked).record, claimed), parked: true };
}

/** The record of a row that is to be written again. @throws InvalidPayloadError when it cannot be decoded. */
export function decodeForRepair(row: SagaRow): SagaRecord {
  const { record, decoded } = decodeRow(row);
  if (decoded) return record;
  throw new InvalidPayloadError(`saga ${row.id}`, `${record.reason}; mend the stored row first`);
}

/** The record of a row. Never throws: what cannot be decoded comes back parked, with the reason. */
export function decodeRow(row: SagaRow): { readonly record: SagaRecord; readonly decoded: boolean } {
  try {
    if (!Object.hasOwn(sagaStatuses, row.status)) throw new TypeError(`unknown status ${row.status}`);
    return { record: recordOf(row), decoded: true };
  } catch (error) {
    const reason = `the stored record cannot be decoded: ${messageOf(error)}`;
    return {
      record: { ...recordWith(row, { status: 'parked', input: null, steps: [] }), reason, undecodable: true },
      decoded: false,
    };
  }
}

/** What of a record is not in plain columns. */
type Contents = Pick<SagaRecord, 'status' | 'input' | 'steps'>;

/** Named one by one, since that makes an object half the size that a spread makes, which each change of it copies. */
function recordWith(row: SagaRow, { status, input, steps }: Contents): Mutable {
  return {
    id: row.id,
    saga: row.saga,
    hash: row.hash,
    definitionVersion: row.definition_version,
    status,
    input,
    steps,
    epoch: row.epoch,
    version: row.version,
    claims: row.claims,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

/** The record of a saga that was just created: what was checked to be JSON need not be read back from text. */
export function createdRecord(saga: NewSaga, row: SagaRow): SagaRecord {
  const record = recordWith(row, saga);
  if (saga.reason !== undefined) record.reason = saga.reason;
  if (saga.parkedAt !== undefined) record.parkedAt = saga.parkedAt;
  if (saga.deadline !== undefined) record.deadline = saga.deadline;
  if (saga.wakeAt !== undefined) record.wakeAt = saga.wakeAt;
  return record;
}

/** Absent columns are absent properties, so that a record compares as it was written. */
function recordOf(row: SagaRow): SagaRecord {
  const record = recordWith(row, {
    status: row.status as SagaStatus,
    input: parseJson(row.input, 'input'),
    steps: row.steps === '[]' ? [] : listOf<StepRecord>(row.steps, 'steps', isStep),
  });
  if (row.reason !== null) record.reason = row.reason;
  if (row.parked_at !== null) record.parkedAt = placeOf(row.parked_at);
  if (row.repairs !== null) record.repairs = listOf<RepairRecord>(row.repairs, 'repairs', isRepair);
  if (row.requests !== null) record.requests = listOf<SagaRequest>(row.requests, 'requests', isRequest);
  if (row.deadline !== null) record.deadline = row.deadline;
  if (row.wake_at !== null) record.wakeAt = row.wake_at;
  return record;
}

function listOf<T>(
  text: string,
  what: string,
  isItem: (item: Record<string, unknown>) => boolean,
): readonly T[] {
  const items = parseJson(text, what);
  if (!Array.isArray(items)) throw new TypeError(`${what} is not an array`);
  for (const [index, item] of (items as readonly JsonValue[]).entries()) {
    if (!isPlainObject(item) || !isItem(item))
      throw new TypeError(`${what}[${index}] is not what it should be`);
  }
  return items as readonly T[];
}

function isStep({ name, at, status }: Record<string, unknown>): boolean {
  return typeof name === 'string' && typeof at === 'number' && Object.hasOwn(stepStatuses, String(status));
}

function isRepair({ action, by, at }: Record<string, unknown>): boolean {
  return Object.hasOwn(repairActions, String(action)) && typeof by === 'string' && typeof at === 'number';
}

function isRequest({ id, type, at }: Record<string, unknown>): boolean {
  return typeof id === 'string' && Object.hasOwn(requestTypes, String(type)) && typeof at === 'number';
}

function placeOf(text: string): ParkingPlace {
  const place = parseJson(text, 'parked_at');
  const known = isPlainObject(place) && (place.operation === 'do' || place.operation === 'undo');
  if (!known) throw new TypeError('parked_at is not a place');
  return place as unknown as ParkingPlace;
}
