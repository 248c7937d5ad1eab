/**
 * SagaBarrier: what a participant of sagas puts around its work, so that each call takes effect once, whatever the
 * network does (memory, Postgres, SQLite, Redis).
 *
 * Contract:
 * - **One transaction.** What the barrier writes about a call and what the work changes are committed together or not at
 *   all. When the work throws, neither is: the next call under the same name works again.
 * - **Once.** A step's `do` takes effect at most once; so does its `undo`. A call that comes again gets the stored
 *   result of the first and its work is not run. A call that comes while the first is under way waits for it.
 * - **Null compensation.** An `undo` whose `do` has not been seen succeeds without running its work.
 * - **Hanging.** A `do` that arrives after that is refused for ever, and never answered as if it had succeeded.
 * - **Refusals are answers.** When the work of a `do` says `refuse(reason)`, what it changed is rolled back and the refusal
 *   is remembered: the same call is refused again, and its `undo` has nothing to take back. So a refusal speaks for every
 *   attempt under its name. A refusal in an `undo` is a failure like any other.
 * - **Fingerprints.** A call with another fingerprint than the one that it came with first is a conflict and does nothing.
 * - What is stored is kept at least until it is purged, and for a do and its undo together. A call that comes later than
 *   that is taken for a new one, so keep it for longer than any saga may take, its repair by a person included.
 *
 * Source of the algorithm: the barrier of dtm ("sub-transaction barrier"), to which remembered refusals are added.
 */
import type { JsonValue } from '../core/json.ts';

/** What a participant is asked to do: one step of one saga, or its undo. */
export interface BarrierCall {
  /** The saga's id. 1 to 200 characters. */
  readonly saga: string;
  /** The step's name. 1 to 1,000 characters. */
  readonly step: string;
  readonly operation: 'do' | 'undo';
  /** Of what is asked for. Calls that both have one, and different ones, are in conflict. At most 200 characters. */
  readonly fingerprint?: string | undefined;
}

/** What the work gets to know beside its transaction. */
export interface BarrierContext {
  /** In an undo, what the step returned; undefined in a do. */
  readonly done: JsonValue | undefined;
}

/** The participant's own work. What it returns is stored as JSON and answers every repetition. */
export type BarrierWork<Transaction, Result = unknown> = (
  transaction: Transaction,
  context: BarrierContext,
) => Result;

/**
 * What became of a call. `performed`: its work took effect now. `repeated`: it had taken effect before; the result is
 * that of then. `nothing`: an undo, and there was nothing to take back. `refused`: by an undo that came first, or by the
 * work itself. `conflict`: it was made before with another fingerprint.
 */
export type BarrierOutcome =
  | { readonly type: 'performed' | 'repeated'; readonly result: JsonValue | undefined }
  | { readonly type: 'nothing' }
  | { readonly type: 'refused'; readonly by: 'undo' | 'work'; readonly reason: string }
  | { readonly type: 'conflict' };

/** Lets each call take effect once. `Transaction` is what the work changes data by. */
export interface SagaBarrier<Transaction> {
  /** For messages, such as `postgres`. */
  readonly name: string;
  /** Create or migrate what it keeps its marks in. Idempotent, also from several processes at once. */
  start(): Promise<void>;
  /**
   * Run the work in a transaction of its own, unless the call was made before, and say what became of it. Never answer a
   * `refused` or a `conflict` as a success: {@link SagaBarrier.run} sees to that.
   *
   * @throws What the work throws; nothing is changed then.
   * @throws InvalidPayloadError when the result cannot be stored; nothing is changed then.
   * @throws StoreError when the call may or may not have taken effect; make it again.
   */
  attempt(call: BarrierCall, work: BarrierWork<Transaction>): Promise<BarrierOutcome>;
  /**
   * The result of the call: of the work, or the stored one as JSON brings it back; undefined for an undo of nothing.
   *
   * @throws RefusedError, conclusive, when it is refused: throw it on, out of the step.
   * @throws InvalidPayloadError when it is in conflict.
   * @throws What {@link SagaBarrier.attempt} throws.
   */
  run(call: BarrierCall, work: BarrierWork<Transaction>): Promise<JsonValue | undefined>;
  /** Delete up to `limit` marks that are older than this wall time; how many. Stores that forget by themselves: 0. */
  purge(before: number, limit: number): Promise<number>;
}
