import { InvalidOptionsError } from '../core/errors.ts';
import { describe, functionOption, parseOptions, runtimeOption, z } from '../core/options.ts';
import type { Runtime } from '../core/runtime.ts';

/** Options as of opossum 9, and `runtime`. Times are in milliseconds. */
export interface CircuitBreakerOptions<TI extends unknown[] = unknown[]> {
  /** How long the action may take; `false` for as long as it likes. Default 10,000. */
  readonly timeout?: number | false | undefined;
  /** Opens when more than this percentage of the calls in the window failed; 100 never opens. Default 50. */
  readonly errorThresholdPercentage?: number | undefined;
  /** How long it stays open before it lets one call through. Default 30,000. */
  readonly resetTimeout?: number | undefined;
  /** The window that failures are counted in. Default 10,000. */
  readonly rollingCountTimeout?: number | undefined;
  /** How many steps `stats` forgets in; decisions use ten. Default 10. */
  readonly rollingCountBuckets?: number | undefined;
  /** Whether `stats` has percentiles and a mean. Default true. */
  readonly rollingPercentilesEnabled?: boolean | undefined;
  /** How many calls must be in the window before it opens. Default 0. */
  readonly volumeThreshold?: number | undefined;
  /** Do not open during the first `rollingCountTimeout`. Default false. */
  readonly allowWarmUp?: boolean | undefined;
  /** How many calls may be under way at once. Default: any number. */
  readonly capacity?: number | undefined;
  /** Whether an error counts as a success; the call rejects with it all the same. Default: none. */
  readonly errorFilter?: ((error: unknown, ...args: TI) => boolean) | undefined;
  /** Whether it is on at first. Default true. */
  readonly enabled?: boolean | undefined;
  /** Its name. Default: the action's, or else `opossum`. */
  readonly name?: string | undefined;
  /** A name for several. Default: `name`. */
  readonly group?: string | undefined;
  /** Clock and telemetry. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

const cached = 'nothing: keep a cache around fire(), where its size and its age are yours to see';
const coalesced = "nothing: wrap the action in holdfast's coalesce()";
const aborted =
  'nothing: it would abort every call under way; holdfast breakers give each call a signal of its own';
const restored = "nothing: holdfast's CircuitBreaker exports and imports its state";

/** Options of opossum that are refused, and what to do instead. */
const unsupported: Readonly<Record<string, string>> = {
  cache: cached,
  cacheTTL: cached,
  cacheSize: cached,
  cacheGetKey: cached,
  cacheTransport: cached,
  coalesce: coalesced,
  coalesceTTL: coalesced,
  coalesceSize: coalesced,
  coalesceResetOn: coalesced,
  abortController: aborted,
  autoRenewAbortController: aborted,
  state: restored,
  status: restored,
  maxFailures: 'nothing: use errorThresholdPercentage and volumeThreshold',
  rotateBucketController: 'nothing: no breaker has a timer that would need sharing',
  enableSnapshots: 'false: read `stats` when you want a snapshot',
};

/** The options, checked and completed. */
export interface ParsedOptions {
  readonly timeout: number | false;
  readonly errorThresholdPercentage: number;
  readonly resetTimeout: number;
  readonly rollingCountTimeout: number;
  readonly rollingCountBuckets: number;
  readonly rollingPercentilesEnabled: boolean;
  readonly volumeThreshold: number;
  readonly allowWarmUp: boolean;
  readonly capacity: number;
  readonly errorFilter?: ((error: unknown, ...args: unknown[]) => boolean) | undefined;
  readonly enabled: boolean;
  readonly name?: string | undefined;
  readonly group?: string | undefined;
  readonly runtime?: Partial<Runtime> | undefined;
}

const schema: z.ZodType<ParsedOptions> = z.strictObject({
  timeout: z.union([z.literal(false), z.number().min(0)]).default(10_000),
  errorThresholdPercentage: z.number().min(0).max(100).default(50),
  resetTimeout: z.number().positive().default(30_000),
  rollingCountTimeout: z.number().min(10).default(10_000),
  rollingCountBuckets: z.int().min(1).max(1_000).default(10),
  rollingPercentilesEnabled: z.boolean().default(true),
  volumeThreshold: z.int().min(0).default(0),
  allowWarmUp: z.boolean().default(false),
  capacity: z.int().min(1).default(Number.MAX_SAFE_INTEGER),
  errorFilter: functionOption<(error: unknown, ...args: unknown[]) => boolean>().optional(),
  enabled: z.boolean().default(true),
  name: z.string().optional(),
  group: z.string().optional(),
  runtime: runtimeOption(),
});

/**
 * Check the options.
 *
 * @throws InvalidOptionsError naming each that is wrong or not supported, and what to do instead.
 */
export function parseBreakerOptions(options: object): ParsedOptions {
  const given = Object.entries(options);
  const issues = given.flatMap(([field, value]) => {
    const accepts = unsupported[field];
    if (accepts === undefined || value === undefined || value === false) return [];
    return [{ field, received: describe(value), accepts }];
  });
  if (issues.length > 0) throw new InvalidOptionsError('CircuitBreaker of holdfast/opossum', issues);
  const supported = Object.fromEntries(given.filter(([field]) => !Object.hasOwn(unsupported, field)));
  return parseOptions('CircuitBreaker of holdfast/opossum', schema, supported);
}
