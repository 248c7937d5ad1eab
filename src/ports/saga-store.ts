/**
 * SagaStore: the durable journal of sagas (memory, SQLite, Postgres, Redis).
 *
 * Contract:
 * - **One record a saga**, unique by id. `create` is atomic: it inserts and claims for `owner`, or returns the record
 *   that is there already, untouched.
 * - **Fencing.** A claim raises the record's `epoch`. `update` writes only where id, epoch and version are the caller's
 *   and raises the version by one; otherwise it changes nothing and resolves to false: the caller has lost the saga and
 *   drops its work. So of two workers that both believe to own a saga, at most one writes.
 * - **Durable.** When `create` or `update` resolve, the record survives whatever the store promises in
 *   `durability`. When they reject, the write may or may not have happened.
 * - **Claims.** `claim` takes up to `limit` records that are `running` or `compensating`, whose name and hash are among
 *   the definitions given, and that no live owner holds, oldest first; each comes with its epoch raised. A record is
 *   held while its owner's lease is not expired. What the caller's own lease holds comes back too unless it is listed in
 *   `holding`: that heals a `create` or `claim` whose answer was lost on the way.
 * - **Taking.** `take` takes one named record for a person's repair, whatever its status, its name and its hash, and
 *   raises its epoch. A record that is `running` or `compensating` under a live lease, the caller's own included, is held
 *   and not taken; in any other status nobody holds it, whoever had it last.
 * - **Leases.** An owner has one lease. `create`, `claim` and a `take` that takes begin it or extend it, and so does
 *   `heartbeat` while it lives; `heartbeat` is false when it had expired, and then everything that the owner holds may
 *   have been claimed by others. Time is the store's own.
 * - Records come back as they were written. A row that cannot be decoded is returned with `status: 'parked'` and
 *   the reason, never thrown, so that one bad row does not stop the others; `claim` also parks it for good, its content
 *   untouched, and `take` does not take it.
 */
import type { JsonValue } from '../core/json.ts';

/** Where a saga is in its life. `completed`, `compensated` and `resolved` are final. */
export type SagaStatus = 'running' | 'compensating' | 'completed' | 'compensated' | 'parked' | 'resolved';

/** Where one step is. A step without a record was never recorded, which after a crash means doubt. */
export type StepStatus = 'done' | 'refused' | 'failed' | 'undone';

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
  /** Wall time of the record, in milliseconds. */
  readonly at: number;
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
  /** Wall time, in milliseconds. */
  readonly at: number;
}

/** Everything that is kept of one saga. */
export interface SagaRecord {
  readonly id: string;
  /** The definition's name. */
  readonly saga: string;
  /** Hash of the definition's shape at start; a record runs only on a definition of its hash. */
  readonly hash: string;
  readonly status: SagaStatus;
  readonly input: JsonValue;
  /** In the order in which they were recorded. */
  readonly steps: readonly StepRecord[];
  /** Why it is compensating, compensated, parked or resolved. */
  readonly reason?: string | undefined;
  /** What people did to it when it was parked, oldest first; absent when nobody did. */
  readonly repairs?: readonly RepairRecord[] | undefined;
  /** Raised by each claim. */
  readonly epoch: number;
  /** Raised by each update. */
  readonly version: number;
  /** Wall time, in milliseconds. */
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** A saga to begin. */
export type NewSaga = Pick<SagaRecord, 'id' | 'saga' | 'hash' | 'input' | 'createdAt'>;

/** Who claims and for how long the claim lives without a heartbeat, in milliseconds. */
export interface Lease {
  readonly owner: string;
  readonly ttl: number;
}

/** What {@link SagaStore.claim} is asked for. */
export interface ClaimRequest {
  /** What the caller can run. Records of any other name or hash are left for others. */
  readonly definitions: readonly Pick<SagaRecord, 'saga' | 'hash'>[];
  /** At most this many. */
  readonly limit: number;
  /** Ids that the caller knows it holds, or is about to create. */
  readonly holding: readonly string[];
}

/** Filters of {@link SagaStore.list}; all given must hold. */
export interface SagaQuery {
  readonly saga?: string | undefined;
  readonly status?: SagaStatus | undefined;
  /** At most this many, newest first. Default 100. */
  readonly limit?: number | undefined;
}

/** The durable journal of sagas. */
export interface SagaStore {
  /** For messages, such as `sqlite`. */
  readonly name: string;
  /** What a resolved write survives, in words: `process` (memory), `power loss` … */
  readonly durability: string;
  /** Prepare the store (create tables). Idempotent. */
  start(): Promise<void>;
  /** Insert and claim, or return what is there (`created: false`). */
  create(saga: NewSaga, lease: Lease): Promise<{ readonly created: boolean; readonly record: SagaRecord }>;
  /**
   * Write if the caller still owns the record: see fencing above.
   *
   * @throws InvalidPayloadError when the store will never take this record, however often it is tried.
   */
  update(record: SagaRecord): Promise<boolean>;
  /** Take over records that nobody holds. */
  claim(request: ClaimRequest, lease: Lease): Promise<readonly SagaRecord[]>;
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
  /** Release what the store opened itself; a client that the user gave stays open. Idempotent. */
  close(): Promise<void>;
}
