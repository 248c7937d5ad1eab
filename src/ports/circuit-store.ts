/**
 * CircuitStore: how siblings tell each other that a breaker has opened (memory, BroadcastChannel, cluster, Redis).
 *
 * Contract:
 * - **One notice is kept for each breaker and origin**: the last one published. An `open` one is kept until its
 *   `until`, and then forgotten; a `closed` one ends it.
 * - **Watching.** `watch` tells the open notices that are kept, then each one that is published, to every watcher in
 *   every process, within a second. A notice may come again, and a publisher may hear its own. While a connection is
 *   down notices may be missed; what is still open then is told once it is back. What a listener throws stops nobody.
 * - **Errors.** `publish` rejects when the notice may not have been told. `watch` does not fail: it goes on trying
 *   until it is ended, and meanwhile tells nothing.
 * - Moments are wall-clock times, so the clocks of siblings should agree to well within a second. What comes from
 *   outside is checked; what is no notice is not told.
 */
import type { Unsubscribe } from '../core/emitter.ts';

/** What one process says of one of its breakers. */
export interface CircuitNotice {
  /** The breaker's name, which siblings know it by. */
  readonly breaker: string;
  /** Who says it: an id of the process, or of a part of it. */
  readonly origin: string;
  /** Whether it has opened, or has closed again. */
  readonly state: 'open' | 'closed';
  /** When its open wait ends, in milliseconds since 1970; when it closed, for a `closed` one. */
  readonly until: number;
  /** How long the open wait is in all, in milliseconds; 0 for a `closed` one. */
  readonly wait: number;
  /** Why it opened or closed, such as `failure-rate`. */
  readonly reason: string;
}

/** Carries notices between siblings. */
export interface CircuitStore {
  /** For messages and metrics, such as `memory`. */
  readonly name: string;
  /** Keep the notice and tell it to every watcher. */
  publish(notice: CircuitNotice): Promise<void>;
  /** Be told what is open now and everything that is published from now on, until the returned function is called. */
  watch(listener: (notice: CircuitNotice) => void): Unsubscribe;
  /** End every watch and release what the store itself opened. Idempotent. */
  close(): Promise<void>;
}
