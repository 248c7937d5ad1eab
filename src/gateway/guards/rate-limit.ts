import type { Duration } from '../../core/duration.ts';
import { ProblemError } from '../../core/errors.ts';
import { type GcraDecision, type GcraLimit, GcraTable } from '../../core/gcra.ts';
import { debugLog } from '../../core/log.ts';
import {
  durationOption,
  functionOption,
  methodsOption,
  nameOption,
  parseOptions,
  runtimeOption,
  z,
} from '../../core/options.ts';
import { type Runtime, resolveRuntime } from '../../core/runtime.ts';
import type { RateStore } from '../../ports/rate-store.ts';
import type { Exchange, Guard } from '../exchange/exchange.ts';
import { addressKey } from '../http/addresses.ts';
import type { AddedHeaders } from '../http/headers.ts';
import { retryAfter } from '../http/problem.ts';
import { workerRateStore } from '../workers/worker-side.ts';

/** Options of {@link rateLimit}. */
export interface RateLimitOptions {
  /** How many requests per period; a whole number ≥ 1. A function gives each exchange its own, such as its plan's. */
  readonly limit: number | ((exchange: Exchange) => number);
  /** The period. */
  readonly per: Duration;
  /** How many may come at once. Default: `limit`. */
  readonly burst?: number | undefined;
  /** What is counted by. Default: the client's address, an IPv6 one by its /64. */
  readonly key?: ((exchange: Exchange) => string) | undefined;
  /**
   * Names the limit in headers, and keeps apart limits that share a store. Default `default`. In workers of one router,
   * limits of the same name and options count together; of those without a name no two may have the same options.
   */
  readonly name?: string | undefined;
  /**
   * Where use is counted. Default: this process's memory, 100,000 keys; for workers of one router, that of their primary.
   */
  readonly store?: RateStore | undefined;
  /** When the store cannot answer: `allow` the request (default) or `refuse` it with 503. */
  readonly whenStoreFails?: 'allow' | 'refuse' | undefined;
  readonly runtime?: Partial<Runtime> | undefined;
}

const wholeNumber = z.int().min(1);

const optionsSchema = z.strictObject({
  limit: z.union([wholeNumber, functionOption<(exchange: Exchange) => number>()]),
  per: durationOption(1),
  burst: wholeNumber.optional(),
  key: functionOption<(exchange: Exchange) => string>().optional(),
  name: nameOption().default('default'),
  store: methodsOption<RateStore>('a rate store', 'take').optional(),
  whenStoreFails: z.enum(['allow', 'refuse']).default('allow'),
  runtime: runtimeOption(),
});

const log = debugLog('rate-limit');

/**
 * A guard that lets so many requests per period pass for each client, evenly (GCRA), and tells in the headers
 * `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10) how many are left. Others are refused
 * with 429 and `Retry-After`.
 *
 * @throws InvalidOptionsError naming each option that is not acceptable; in a worker of a router, `name` when there is
 * another limit without one that has the same options.
 */
export function rateLimit(options: RateLimitOptions): Guard {
  const parsed = parseOptions('rateLimit', optionsSchema, options);
  const { per, burst, name, whenStoreFails, limit, key = clientKey } = parsed;
  const runtime = resolveRuntime(parsed.runtime);
  const store =
    parsed.store ??
    workerRateStore(parsed, options.name !== undefined, runtime.clock) ??
    processStore(runtime);
  const fixed: GcraLimit | undefined = typeof limit === 'number' ? { limit, period: per, burst } : undefined;
  return (exchange) => {
    const rule = fixed ?? { limit: ownLimit(limit, exchange), period: per, burst };
    const settle = (decision: GcraDecision): void => apply(exchange, name, rule, decision);
    const failed = (error: unknown): void => {
      log('store %s failed: %o', store.name, error);
      if (whenStoreFails === 'allow') return;
      throw new ProblemError(503, 'whether there are too many requests cannot be told', { cause: error });
    };
    let decision: GcraDecision | Promise<GcraDecision>;
    try {
      decision = store.take(`${name}:${key(exchange)}`, rule);
    } catch (error) {
      return failed(error);
    }
    return decision instanceof Promise ? decision.then(settle, failed) : settle(decision);
  };
}

function clientKey({ clientAddress }: Exchange): string {
  return addressKey(clientAddress);
}

function ownLimit(limit: number | ((exchange: Exchange) => number), exchange: Exchange): number {
  const own = typeof limit === 'function' ? limit(exchange) : limit;
  if (Number.isInteger(own) && own >= 1) return own;
  throw new TypeError(`the limit of an exchange must be a whole number ≥ 1, not ${own}`);
}

function processStore({ clock }: Runtime): RateStore {
  const table = new GcraTable();
  return { name: 'process', take: (key, rule, cost) => table.take(key, clock.now(), rule, cost) };
}

/** In place of what an upstream says, beside what other limits say: the fields are lists. */
function tell(response: AddedHeaders, name: string, value: string): void {
  if (response.replaced.has(name)) response.append(name, value);
  else response.set(name, value);
}

/** @throws ProblemError 429 when it is not allowed. */
function apply(exchange: Exchange, name: string, rule: GcraLimit, decision: GcraDecision): void {
  const seconds = (milliseconds: number): number => Math.ceil(milliseconds / 1_000);
  const { response } = exchange;
  tell(response, 'ratelimit-policy', `"${name}";q=${rule.burst ?? rule.limit};w=${seconds(rule.period)}`);
  tell(response, 'ratelimit', `"${name}";r=${decision.remaining};t=${seconds(decision.resetAfter)}`);
  if (decision.allowed) return;
  throw new ProblemError(429, 'too many requests; try again later', {
    headers: retryAfter(decision.retryAfter),
  });
}
