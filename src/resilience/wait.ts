import { type Backoff, constant, type ExponentialOptions, exponential } from '../core/backoff.ts';
import type { Duration } from '../core/duration.ts';
import { warnOf } from '../core/log.ts';
import { durationOption, functionOption, z } from '../core/options.ts';
import { parseRetryAfter } from '../core/retry-after.ts';

/** How long to wait: a fixed time, the options of `exponential`, or a backoff of your own. */
export type Wait = Duration | ExponentialOptions | Backoff;

const exponentialSchema = z.strictObject({
  base: z.number().min(0).optional(),
  factor: z.number().min(1).optional(),
  max: z.number().min(0).optional(),
  jitter: z.enum(['full', 'equal', 'none']).optional(),
});

/** An option that takes a {@link Wait}; parsed to a backoff. */
export function waitOption(): z.ZodType<Backoff> {
  return z.union([
    durationOption().transform((wait) => constant(wait)),
    exponentialSchema.transform((options) => exponential(options as ExponentialOptions)),
    functionOption<Backoff>('a function of (attempt, random, previous)'),
  ]);
}

/**
 * Ask a backoff, which may be the user's, for a wait. One that throws or gives no number ≥ 0 is reported as a process
 * warning and replaced: a wait of NaN would compare false with every moment and so never end.
 */
export function askBackoff(
  backoff: Backoff,
  attempt: number,
  random: () => number,
  otherwise: number,
  previous?: number,
): number {
  try {
    const wait = backoff(attempt, random, previous);
    if (wait >= 0) return wait;
    throw new RangeError(`expected milliseconds ≥ 0, got ${String(wait)}`);
  } catch (error) {
    warnOf(`a backoff failed; waiting ${otherwise} ms instead`, error);
    return otherwise;
  }
}

interface Headed {
  readonly headers?: unknown;
}

/**
 * How long an outcome asks to be left alone, in milliseconds, else 0. It may say so as `retryAfter` (a number of
 * milliseconds > 0), or by the header `Retry-After` in its `headers` or in those of its `response`, as the errors of
 * HTTP clients and responses themselves have them. Never throws, whatever the outcome is.
 *
 * @param wallTime gives the wall time for dates; without it headers are not read.
 */
export function retryAfterOf(outcome: unknown, wallTime?: () => number): number {
  try {
    const { retryAfter, headers, response } = outcome as Headed & {
      readonly retryAfter?: unknown;
      readonly response?: Headed | null;
    };
    if (typeof retryAfter === 'number' && retryAfter > 0) return retryAfter;
    if (wallTime === undefined) return 0;
    const header = headerOf(headers) ?? headerOf(response?.headers);
    return parseRetryAfter(header, wallTime()) ?? 0;
  } catch {
    return 0;
  }
}

/** From `Headers`, or from an object with lower-case names such as Node's. */
function headerOf(headers: unknown): string | undefined {
  if (typeof headers !== 'object' || headers === null) return undefined;
  const { get } = headers as { readonly get?: unknown };
  const value: unknown =
    typeof get === 'function'
      ? get.call(headers, 'retry-after')
      : (headers as Record<string, unknown>)['retry-after'];
  return typeof value === 'string' ? value : undefined;
}
