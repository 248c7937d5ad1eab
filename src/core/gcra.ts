/**
 * GCRA, the generic cell rate algorithm (ATM Forum TM 4.0, 1996; "leaky bucket as a meter"): one number per key, no
 * timers, exact at window borders where fixed windows let twice the limit pass.
 */

/** A limit of `limit` per `period`, with bursts up to `burst`. */
export interface GcraLimit {
  /** How many are allowed per period on average. */
  readonly limit: number;
  /** The period in milliseconds. */
  readonly period: number;
  /** How many may come at once. Default: `limit`. */
  readonly burst?: number | undefined;
}

/** What the algorithm says of one request. */
export interface GcraDecision {
  readonly allowed: boolean;
  /** How many more would be allowed right now. */
  readonly remaining: number;
  /** Milliseconds until one more is allowed; 0 when allowed. */
  readonly retryAfter: number;
  /** Milliseconds until the whole burst is available again. */
  readonly resetAfter: number;
  /** The number to keep for the key: its theoretical arrival time, on the same clock as `now`. */
  readonly arrival: number;
}

/**
 * Decide on `cost` requests at `now`. A cost above the burst is never allowed.
 *
 * @param arrival the number kept for this key, or undefined for a new key.
 */
export function gcra(arrival: number | undefined, now: number, rule: GcraLimit, cost = 1): GcraDecision {
  const interval = rule.period / rule.limit;
  const tolerance = interval * (rule.burst ?? rule.limit);
  const base = Math.max(arrival ?? now, now);
  const next = base + interval * cost;
  // Times are large and intervals small, so sums are off by a rounding error; a thousandth of a request is no favour.
  const slack = interval / 1_000;
  const allowed = next - now <= tolerance + slack;
  const kept = allowed ? next : base;
  return {
    allowed,
    remaining: Math.max(0, Math.floor((tolerance - (kept - now) + slack) / interval)),
    retryAfter: allowed ? 0 : next - tolerance - now,
    resetAfter: kept - now,
    arrival: kept,
  };
}

/** GCRA for many keys, in memory and bounded: beyond `capacity` keys, those that are idle longest are forgotten. */
export class GcraTable {
  readonly #arrivals: Map<string, number> = new Map();
  readonly #capacity: number;

  /** @param capacity how many keys to keep at most. Default 100,000. */
  constructor(capacity = 100_000) {
    this.#capacity = capacity;
  }

  /** How many keys are kept. */
  get size(): number {
    return this.#arrivals.size;
  }

  /** Decide on a request of this key and remember it. */
  take(key: string, now: number, rule: GcraLimit, cost = 1): GcraDecision {
    const decision = gcra(this.#arrivals.get(key), now, rule, cost);
    // Re-inserting moves the key to the end, so the map's order is the order of use.
    this.#arrivals.delete(key);
    this.#arrivals.set(key, decision.arrival);
    if (this.#arrivals.size > this.#capacity) {
      const oldest = this.#arrivals.keys().next();
      if (!oldest.done) this.#arrivals.delete(oldest.value);
    }
    return decision;
  }
}
