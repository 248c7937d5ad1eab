import { type Backoff, constant, type ExponentialOptions, exponential } from '../core/backoff.ts';
import type { Duration } from '../core/duration.ts';
import { warnOf } from '../core/log.ts';
import { durationOption, functionOption, z } from '../core/options.ts';

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
    functionOption<Backoff>('a function of (attempt, random)'),
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
): number {
  try {
    const wait = backoff(attempt, random);
    if (wait >= 0) return wait;
    throw new RangeError(`expected milliseconds ≥ 0, got ${String(wait)}`);
  } catch (error) {
    warnOf(`a backoff failed; waiting ${otherwise} ms instead`, error);
    return otherwise;
  }
}

/**
 * How long a failure asks to be left alone: its `retryAfter` in milliseconds when that is a number > 0, else 0. Never
 * throws, whatever was thrown.
 */
export function retryAfterOf(error: unknown): number {
  try {
    const { retryAfter } = error as { readonly retryAfter?: unknown };
    return typeof retryAfter === 'number' && retryAfter > 0 ? retryAfter : 0;
  } catch {
    return 0;
  }
}
