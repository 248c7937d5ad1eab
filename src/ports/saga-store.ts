/**
 * SagaStore: the durable journal of sagas (memory, SQLite, Postgres, Redis).
 *
 * Contract:
 * - **One record a saga**, unique by id. `create` is atomic: it inserts and claims for `owner`, or returns the record
 *   that is there already, untouched.
 * - **Fencing.** A claim raises the record's `epoch`. `update` writes only where id, epoch and version are the caller's
 *   and raises the version by one; otherwise it changes nothing and resolves to undefined: the caller has lost the saga
 *   and drops its work. So of two workers that both believe to own a saga, at most one writes.
 * - **Durable.** When `create` or `update` resolve, the record survives whatever the store promises in `durability`.
 *   When they reject, the write may or may not have happened. Calls made at the same time may share one commit.
 * - **Requests** (signals, a cancel) are appended to a record by anybody, whoever holds it: they touch neither epoch nor
 *   version, and `update` never writes them. One id is appended once; nothing is appended to a saga that has ended. A
 *   record has up to 1,000, and signals leave the last place to a cancel.
 *   Every answer of `update` says how many there are, so that whoever holds the saga hears of them.
 * - **Waiting.** A record written as `waiting` is held by nobody and becomes claimable at its `wakeAt`, or, without one,
 *   only by a request. A request makes a waiting record claimable at once; so does one that came unseen: when a record
 *   is written as `waiting` with fewer `requests` than are stored, it is claimable at once.
 * - **Claims.** `claim` takes up to `limitEach` records of each definition given that are `running`, `compensating` or
 *   waiting and due, and that no live owner holds, whatever is due longest first: a waiting record since its `wakeAt`,
 *   any other, and one that a request woke, since its `createdAt`, which a clock that is ahead does not put off. Each comes with its epoch raised, one more in
 *   `claims`, and `claimedAt`: the time by which it was due, whatever the caller's clock says. A record is held while its owner's lease is not expired. What the caller's own lease holds comes back too
 *   unless it is listed in `holding`: that heals a `create` or `claim` whose answer was lost on the way.
 * - **Poison.** `update` sets `claims` to 0: that is progress. A record that was claimed `maxClaims` times without any
 *   comes back from the next claim as `parked`, with the reason, and is parked for good. So does, from any claim, a row
 *   that cannot be decoded, its content untouched; `get` and `list` show it as `parked` and `undecodable`, and so does
 *   `create` under its id; none of them throws for it. The
 *   `parkedAt` of a record that was parked like this says which way it was going and names no step.
 * - **Taking.** `take` takes one named record for a person's repair, whatever its status, its name and its hash, and
 *   raises its epoch. A record that is `running`, `compensating` or `waiting` under a live lease, the caller's own
 *   included, is held and not taken; in any other status nobody holds it, whoever had it last.
 * - **Leases.** An owner has one lease. `create`, `claim` and a `take` that takes begin it or extend it, and so does
 *   `heartbeat` while it lives; `heartbeat` is false when it had expired, and then everything that the owner holds may
 *   have been claimed by others. Time is the store's own.
 * - Records come back as they were written.
 */
import type { JsonValue } from '../core/json.ts';

/**
 * Where a saga is in its life. `waiting` is `running` with nothing to do before its `wakeAt` or a request. `completed`,
 * `compensated` and `resolved` are final.
 */
export type SagaStatus =
  | 'running'
  | 'waiting'
  | 'compensating'
  | 'completed'
  | 'compensated'
  | 'parked'
  | 'resolved';

/**
 * Where one step is. `open`: the saga has come to it, and what that fixed is written down (a condition that held, the
 * time to wait until). `begun`: a step that must not be tried twice may have been tried. `omitted`: its condition did
 * not hold, or its group turned back before it was begun. A step without a record was not recorded, which after a crash
 * means doubt.
 */
export type StepStatus = 'open' | 'begun' | 'done' | 'refused' | 'failed' | 'undone' | 'omitted';

/** What is recorded of one step. */
export interface StepRecord {
  readonly name: string;
  readonly status: StepStatus;
  /** What the step returned; absent unless `done` (or undone after being done). */
  readonly output?: JsonValue | undefined;
  /** Why it was refused or failed. */
  readonly error?: string | undefined;
  /** Whether an operator said to go on as if it were done, or undone; nobody did it. */
  readonly skipped?: true | undefined;
  /** Of a delay and of a wait for a signal: when it is over, by the wall clock, in milliseconds. */
  readonly until?: number | undefined;
  /** Id of the request that ended a wait for a signal. */
  readonly request?: string | undefined;
  /** Wall time of the record, in milliseconds; of an undone step, of what it was before. */
  readonly at: number;
  /** Wall time of the undo, in milliseconds. */
  readonly undoneAt?: number | undefined;
}

/** What a person may do with a parked saga. */
export type RepairAction = 'retry' | 'skip' | 'resolve';

/** One repair by a person: what is kept of it for ever. */
export interface RepairRecord {
  readonly action: RepairAction;
  /** Who did it. */
  readonly by: string;
  /** Why, in the person's words. */
  readonly reason: string;
  /** Why the saga was parked then. */
  readonly parked: string;
  /** Name of the step that was skipped, or whose undo was. */
  readonly step?: string | undefined;
  /** How many requests the saga had then: a cancel among them was answered "too late", and stays so. */
  readonly requests?: number | undefined;
  /** Wall time, in milliseconds. */
  readonly at: number;
}

/** Something that somebody outside wants a saga to know. */
export interface SagaRequest {
  /** Names it: the same id is appended once. */
  readonly id: string;
  readonly type: 'signal' | 'cancel';
  /** Of a signal: which one it is. */
  readonly name?: string | undefined;
  /** Of a signal: what it carries. */
  readonly payload?: JsonValue | undefined;
  /** Of a cancel: why. */
  readonly reason?: string | undefined;
  /** Wall time, in milliseconds. */
  readonly at: number;
}

/** Where a saga parked: what a repair needs to know, also without its definition. */
export interface ParkingPlace {
  /** Absent when the store parked it, which does not know the steps. */
  readonly step?: string | undefined;
  readonly operation: 'do' | 'undo';
  /** Whether a person may go on as if it had happened. */
  readonly skippable: boolean;
  /** Whether it is to do the pivot: skipping it says that it did happen, and has to name it. */
  readonly pivot?: true | undefined;
}

/** Everything that is kept of one saga. */
export interface SagaRecord {
  readonly id: string;
  /** The definition's name. */
  readonly saga: string;
  /** Hash of the definition's shape at start; a record runs only on a definition of its hash. */
  readonly hash: string;
  /** The definition's version at start, for people and for `safeToRemove`. */
  readonly definitionVersion: number;
  readonly status: SagaStatus;
  readonly input: JsonValue;
  /** In the order in which they were first recorded. */
  readonly steps: readonly StepRecord[];
  /** Why it is compensating, compensated, parked or resolved. */
  readonly reason?: string | undefined;
  /** Where it parked, if it parked at a step. */
  readonly parkedAt?: ParkingPlace | undefined;
  /** What people did to it when it was parked, oldest first; absent when nobody did. */
  readonly repairs?: readonly RepairRecord[] | undefined;
  /** Signals and cancels, oldest first; absent when there are none. */
  readonly requests?: readonly SagaRequest[] | undefined;
  /** When it turns back by itself unless its pivot is done, by the wall clock, in milliseconds. */
  readonly deadline?: number | undefined;
  /** While `waiting`: when it is due, by the wall clock, in milliseconds. */
  readonly wakeAt?: number | undefined;
  /** Whether the stored record cannot be decoded: then `input` and `steps` are not what was stored. */
  readonly undecodable?: true | undefined;
  /** Raised by each claim. */
  readonly epoch: number;
  /** Raised by each update. */
  readonly version: number;
  /** Claims since the last update. */
  readonly claims: number;
  /** Wall time, in milliseconds. */
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** A saga to begin: its first record. One that is `waiting` from the start is held by nobody. */
export type NewSaga = Pick<
  SagaRecord,
  | 'id'
  | 'saga'
  | 'hash'
  | 'definitionVersion'
  | 'status'
  | 'input'
  | 'steps'
  | 'reason'
  | 'parkedAt'
  | 'deadline'
  | 'wakeAt'
  | 'createdAt'
>;

/** Who claims and for how long at least the claim lives without a heartbeat, in milliseconds; a tenth longer at most. */
export interface Lease {
  readonly owner: string;
  readonly ttl: number;
}

/** A record that a claim gave out. */
export interface ClaimedSaga extends SagaRecord {
  /** When that was, by the store's clock: wall time, in milliseconds. */
  readonly claimedAt: number;
}

/** What {@link SagaStore.claim} is asked for. */
export interface ClaimRequest {
  /** What the caller can run. Records of any other name or hash are left for others. */
  readonly definitions: readonly Pick<SagaRecord, 'saga' | 'hash'>[];
  /** At most this many of each definition, so that a crowd of one does not keep the others waiting. */
  readonly limitEach: number;
  /** Ids that the caller knows it holds, or is about to create. */
  readonly holding: readonly string[];
  /** A record that was claimed this many times without progress is parked. */
  readonly maxClaims: number;
}

/** What became of a written update. */
export interface Written {
  /** How many requests the record has now. */
  readonly requests: number;
}

/**
 * What became of a request. `known`: this id was there already, whatever became of the saga since. `ended`: the saga is
 * over. `full`: the record has as many requests as it may have. `unknown`: there is no such saga.
 */
export type RequestOutcome = 'added' | 'known' | 'ended' | 'full' | 'unknown';

/** The most requests that one record keeps. */
export const maxSagaRequests = 1_000;

/** How many requests a record may have before one of this type is `full`: signals leave the last place to a cancel. */
export function sagaRequestLimit(type: SagaRequest['type']): number {
  return type === 'cancel' ? maxSagaRequests : maxSagaRequests - 1;
}

/** Filters of {@link SagaStore.list}; all given must hold. */
export interface SagaQuery {
  readonly saga?: string | undefined;
  /** One status, or any of several. */
  readonly status?: SagaStatus | readonly SagaStatus[] | undefined;
  readonly definitionVersion?: number | undefined;
  /** What the id begins with. */
  readonly idPrefix?: string | undefined;
  /** Created at this wall time or later, in milliseconds. */
  readonly createdFrom?: number | undefined;
  /** Created before this wall time, in milliseconds. */
  readonly createdBefore?: number | undefined;
  /** The last record of the page before: go on behind it. */
  readonly after?: Pick<SagaRecord, 'createdAt' | 'id'> | undefined;
  /** At most this many, newest first, by `createdAt` and then `id`. Default 100. */
  readonly limit?: number | undefined;
}

/** How many sagas of one shape are in one status. */
export interface SagaCount extends Pick<SagaRecord, 'saga' | 'hash' | 'definitionVersion' | 'status'> {
  readonly count: number;
}

/** The durable journal of sagas. */
export interface SagaStore {
  /** For messages, such as `sqlite`. */
  readonly name: string;
  /** What a resolved write survives, in words: `process` (memory), `power loss` … */
  readonly durability: string;
  /** Prepare the store (create and migrate tables). Idempotent. */
  start(): Promise<void>;
  /**
   * Insert and claim, or return what is there (`created: false`).
   *
   * @throws InvalidPayloadError when the store will never take this record, however often it is tried.
   */
  create(saga: NewSaga, lease: Lease): Promise<{ readonly created: boolean; readonly record: SagaRecord }>;
  /**
   * Write if the caller still owns the record: see fencing above. Id, name, hash, input, deadline and `createdAt` never
   * change and are not written; neither are `requests`, of which only the number counts.
   *
   * @throws InvalidPayloadError when the store will never take this record, however often it is tried.
   */
  update(record: SagaRecord): Promise<Written | undefined>;
  /** Append a request. @throws InvalidPayloadError when the store will never take it. */
  request(id: string, request: SagaRequest): Promise<RequestOutcome>;
  /** Take over records that nobody holds. */
  claim(request: ClaimRequest, lease: Lease): Promise<readonly ClaimedSaga[]>;
  /**
   * Take over one record; undefined when there is none of this id or somebody holds it. See taking above.
   *
   * @throws InvalidPayloadError when it cannot be decoded; then nothing is changed.
   */
  take(id: string, lease: Lease): Promise<SagaRecord | undefined>;
  /** Extend the owner's lease; false when it had expired. */
  heartbeat(lease: Lease): Promise<boolean>;
  /** Give up the owner's lease and whatever it holds, so that others may claim at once. */
  release(owner: string): Promise<void>;
  /** One record, or undefined when there is none. */
  get(id: string): Promise<SagaRecord | undefined>;
  /** Records that match, newest first. */
  list(query: SagaQuery): Promise<readonly SagaRecord[]>;
  /**
   * How many there are, by shape and status; only of these statuses, if given. Cheap where all of them are `running`,
   * `waiting`, `compensating` or `parked`; to count the ended ones too may read every record.
   */
  census(status?: SagaQuery['status']): Promise<readonly SagaCount[]>;
  /** Delete up to `limit` ended sagas that were last written before this wall time; how many. */
  purge(endedBefore: number, limit: number): Promise<number>;
  /** Release what the store opened itself; a client that the user gave stays open. Idempotent. */
  close(): Promise<void>;
}
