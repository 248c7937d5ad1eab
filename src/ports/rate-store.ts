/**
 * RateStore: how much of a rate limit each key has used (memory, Redis).
 *
 * Contract:
 * - `take` is atomic for a key: of any number of concurrent calls, in any number of processes that share the store, no
 *   more are allowed than the rule says. It may answer synchronously.
 * - A refused request costs nothing.
 * - Keys that are unused for their rule's period may be forgotten, and are then full again.
 * - When the store cannot answer, `take` rejects; whoever asks decides whether to allow (fail open) or to refuse.
 */
import type { GcraDecision, GcraLimit } from '../core/gcra.ts';

/** Keeps the use of rate limits by key. */
export interface RateStore {
  /** For messages and metrics, such as `memory`. */
  readonly name: string;
  /** Decide on `cost` (default 1) requests of this key now. */
  take(key: string, rule: GcraLimit, cost?: number): GcraDecision | Promise<GcraDecision>;
}
