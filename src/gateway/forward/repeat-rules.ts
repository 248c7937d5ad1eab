/** When a request is made once more: what users may say of it, and what of that is in effect. */
import { type Backoff, exponential } from '../../core/backoff.ts';
import type { Duration } from '../../core/duration.ts';
import { durationOption, methodsOption, z } from '../../core/options.ts';
import type { RetryAllowance } from '../../core/policy.ts';
import { RetryBudget } from '../../core/retry-budget.ts';
import type { Runtime } from '../../core/runtime.ts';

/**
 * Requests that failed are made again, where that is safe: nothing of the request was sent, or its method is idempotent
 * and its body was kept (64 KiB of announced length at most). Never after an answer's headers, unless it is one of
 * `statuses`.
 */
export interface RouteRetries {
  /** How often a request is made in all; from 2 to 10. Default 3. */
  readonly attempts?: number | undefined;
  /** The answers that are no better than none; from 500 to 599. Default 502, 503 and 504. */
  readonly statuses?: readonly number[] | undefined;
  /**
   * The longest wait before the second attempt. It doubles with each further one, and what is really waited is drawn
   * between nothing and it. Default 25 ms.
   */
  readonly backoff?: Duration | undefined;
  /** The most that it grows to. Default 1 second. */
  readonly maxBackoff?: Duration | undefined;
  /** The longest `Retry-After` that is waited for; a longer one is the end, and goes to the client. Default 1 second. */
  readonly maxRetryAfter?: Duration | undefined;
  /** The longest that one attempt may take until its answer's headers; 0 for no limit. Default 0. */
  readonly perAttempt?: Duration | undefined;
}

/** Requests that are not answered in time are made beside the first one, and the first answer counts. */
export interface RouteHedge {
  /** How long an attempt has before another is begun beside it. */
  readonly delay: Duration;
  /** How often a request is made in all; from 2 to 5. Default 2. */
  readonly attempts?: number | undefined;
}

/** How much repeated requests may add to a service's load. */
export interface RetryBudgetShare {
  /** How many repeated requests each request pays for, from 0 to 1,000. Default 0.2: they add a fifth at most. */
  readonly ratio?: number | undefined;
  /** How many a second are free. Default 1. */
  readonly free?: number | undefined;
  /** How long what was paid lasts; from 1 s. Default 10 s. */
  readonly window?: Duration | undefined;
}

/** Why a request is made once more. */
export interface Repetition {
  /** The attempt that is to be made; 2 for the first repeated one. */
  readonly attempt: number;
  /** Milliseconds until then, for a retry; since the attempt before, for a hedge. */
  readonly wait: number;
  /** Whether the attempt before is still under way. */
  readonly hedged: boolean;
}

/** The rules in effect. */
export interface RepeatRules {
  /** How often a request that failed is made in all; 1 for no retries. */
  readonly attempts: number;
  readonly statuses: ReadonlySet<number>;
  readonly backoff: Backoff;
  readonly maxRetryAfter: number;
  /** Milliseconds for one attempt; 0 for no limit. */
  readonly perAttempt: number;
  /** How often a request is made in all because no answer comes; 1 for no hedging. */
  readonly hedged: number;
  /** Milliseconds until a hedge. */
  readonly delay: number;
}

/** Options of {@link RouteRetries}, checked. */
export interface ResolvedRetries {
  readonly attempts: number;
  readonly statuses: ReadonlySet<number>;
  readonly backoff: number;
  readonly maxBackoff: number;
  readonly maxRetryAfter: number;
  readonly perAttempt: number;
}

const retriesSchema = z.strictObject({
  attempts: z.int().min(2).max(10).default(3),
  statuses: z
    .array(z.int().min(500).max(599))
    .default([502, 503, 504])
    .transform((list): ReadonlySet<number> => new Set(list)),
  backoff: durationOption().default(25),
  maxBackoff: durationOption().default(1_000),
  maxRetryAfter: durationOption().default(1_000),
  perAttempt: durationOption().default(0),
});

/** The option `retries`: true, or how. */
export const retriesOption: z.ZodType<ResolvedRetries | undefined> = z.union([
  z.boolean().transform((on) => (on ? retriesSchema.parse({}) : undefined)),
  retriesSchema,
]);

/** Options of {@link RouteHedge}, checked. */
export interface ResolvedHedge {
  readonly delay: number;
  readonly attempts: number;
}

/** The option `hedge`. */
export const hedgeOption: z.ZodType<ResolvedHedge> = z.strictObject({
  delay: durationOption(1),
  attempts: z.int().min(2).max(5).default(2),
});

/** The option `retryBudget`. */
export const retryBudgetOption: z.ZodType<RetryAllowance | RetryBudgetShare> = z.union([
  methodsOption<RetryAllowance>('a RetryBudget', 'deposit', 'withdraw'),
  z.strictObject({
    ratio: z.number().min(0).max(1_000).optional(),
    free: z.number().min(0).optional(),
    window: durationOption(1_000).optional(),
  }),
]);

/** What of `retries` and `hedge` is in effect; undefined when neither was asked for. */
export function repeatRulesOf(
  retries: ResolvedRetries | undefined,
  hedge: ResolvedHedge | undefined,
): RepeatRules | undefined {
  if (retries === undefined && hedge === undefined) return undefined;
  const { backoff: base = 0, maxBackoff = 0 } = retries ?? {};
  return {
    attempts: retries?.attempts ?? 1,
    statuses: retries?.statuses ?? new Set(),
    backoff: exponential({ base, max: Math.max(base, maxBackoff) }),
    maxRetryAfter: retries?.maxRetryAfter ?? 0,
    perAttempt: retries?.perAttempt ?? 0,
    hedged: hedge?.attempts ?? 1,
    delay: hedge?.delay ?? 0,
  };
}

/** The most services and origins whose budgets are kept; requests may name services of their own. */
const mostBudgets = 1_000;

/** The budgets of a router: what is sent to one service draws on one of them, whichever route it came by. */
export class RetryBudgets {
  readonly #share: RetryAllowance | RetryBudgetShare;
  readonly #name: string;
  readonly #runtime: Runtime;
  readonly #byTarget: Map<string, RetryAllowance> = new Map();

  /** @param share one budget for everything, or how each service's own is to be. */
  constructor(share: RetryAllowance | RetryBudgetShare, name: string, runtime: Runtime) {
    this.#share = share;
    this.#name = name;
    this.#runtime = runtime;
  }

  /** @param target a service's name, or an origin. */
  for(target: string): RetryAllowance {
    if ('withdraw' in this.#share) return this.#share;
    const known = this.#byTarget.get(target);
    // Put back it is the youngest, so that the first one is that which was asked for longest ago.
    if (known !== undefined) this.#byTarget.delete(target);
    const budget = known ?? this.#make(this.#share, target);
    this.#byTarget.set(target, budget);
    if (this.#byTarget.size > mostBudgets) {
      for (const oldest of this.#byTarget.keys()) {
        this.#byTarget.delete(oldest);
        break;
      }
    }
    return budget;
  }
  /** Named after what it is for, in the letters that names may have. */
  #make(share: RetryBudgetShare, target: string): RetryBudget {
    const name = `${this.#name}.${target.replace(/^https?:\/\//, '').replace(/[^\w.-]/g, '-')}`;
    return new RetryBudget({ ...share, name: name.slice(0, 128), runtime: this.#runtime });
  }
}
