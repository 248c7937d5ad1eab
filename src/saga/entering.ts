import type { InFlight } from '../core/lifecycle.ts';

/** What of one id is on its way into the worker's hands. */
interface Entry {
  calls: number;
  /** The highest epoch at which a claim brought it meanwhile; 0 when none did. */
  claimed: number;
}

/** Sagas on their way into a worker's hands, by a call that is under way: a claim must not bring them, too. */
export class Entering {
  readonly #entries: Map<string, Entry> = new Map();
  readonly #inFlight: InFlight;

  /** @param inFlight where the calls are counted */
  constructor(inFlight: InFlight) {
    this.#inFlight = inFlight;
  }

  /** A call that may bring it is sent. */
  enter(id: string): void {
    this.#inFlight.begin();
    const entry = this.#entries.get(id);
    if (entry === undefined) this.#entries.set(id, { calls: 1, claimed: 0 });
    else entry.calls += 1;
  }

  /** That call has ended. */
  exit(id: string): void {
    this.#inFlight.end();
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    entry.calls -= 1;
    if (entry.calls === 0) this.#entries.delete(id);
  }

  /** All of them. */
  ids(): Iterable<string> {
    return this.#entries.keys();
  }

  /** A claim brought it, at this epoch. */
  claimed(id: string, epoch: number): void {
    const entry = this.#entries.get(id);
    if (entry !== undefined) entry.claimed = epoch;
  }

  /** Whether a claim brought it while the call that brings it now was under way, and so it is executed already. */
  isOvertaken(id: string, epoch: number): boolean {
    const entry = this.#entries.get(id);
    return entry !== undefined && entry.claimed > epoch;
  }
}
