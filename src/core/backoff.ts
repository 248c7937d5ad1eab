import { parseOptions, z } from './options.ts';

/**
 * How long to wait before attempt `attempt` + 1, in milliseconds. Pure: `random` gives a number in [0, 1), and
 * `previous` is the wait before this attempt, where there was one and the caller knows it.
 */
export type Backoff = (attempt: number, random: () => number, previous?: number) => number;

/** Options of {@link exponential}. */
export interface ExponentialOptions {
  /** Wait after the first attempt, in milliseconds. Default 100. */
  readonly base?: number;
  /** Each wait is this many times the one before. Default 2. */
  readonly factor?: number;
  /** The longest wait, in milliseconds. Default 30,000. */
  readonly max?: number;
  /**
   * `full` draws from [0, wait), which spreads a herd best (Brooker, "Exponential Backoff And Jitter", AWS 2015);
   * `equal` from [wait/2, wait); `none` waits exactly. Default `full`.
   */
  readonly jitter?: 'full' | 'equal' | 'none';
}

/** Waits that grow by a factor up to a maximum, spread by jitter. */
export function exponential(options: ExponentialOptions = {}): Backoff {
  const { base = 100, factor = 2, max = 30_000, jitter = 'full' } = options;
  return (attempt, random) => {
    // Past ~1,000 doublings the power is Infinity, which `min` turns into `max`.
    const wait = Math.min(max, base * factor ** Math.max(0, attempt - 1));
    if (jitter === 'none') return wait;
    return jitter === 'full' ? random() * wait : wait / 2 + (random() * wait) / 2;
  };
}

/** Options of {@link linear}. */
export interface LinearOptions {
  /** Wait after the first attempt, in milliseconds. Default 100. */
  readonly base?: number | undefined;
  /** Each wait is this much longer than the one before, in milliseconds. Default: `base`. */
  readonly step?: number | undefined;
  /** The longest wait, in milliseconds. Default 30,000. */
  readonly max?: number | undefined;
}

const linearSchema = z.strictObject({
  base: z.number().min(0).default(100),
  step: z.number().min(0).optional(),
  max: z.number().min(0).default(30_000),
});

/**
 * Waits that grow by the same step up to a maximum, without jitter.
 *
 * @throws InvalidOptionsError naming each option that is wrong.
 */
export function linear(options: LinearOptions = {}): Backoff {
  const { base, max, step = base } = parseOptions('linear', linearSchema, options);
  return (attempt) => Math.min(max, base + step * Math.max(0, attempt - 1));
}

/** Options of {@link decorrelated}. */
export interface DecorrelatedOptions {
  /** The shortest wait, in milliseconds. Default 100. */
  readonly base?: number | undefined;
  /** The longest wait, in milliseconds; not below `base`. Default 30,000. */
  readonly max?: number | undefined;
}

const decorrelatedSchema = z
  .strictObject({ base: z.number().min(0).default(100), max: z.number().min(0).default(30_000) })
  .refine(({ base, max }) => max >= base, { path: ['max'], error: 'a number not below base' });

/** After so many draws the distribution has forgotten where it began. */
const longestChain = 32;

/**
 * Decorrelated jitter (Brooker, "Exponential Backoff And Jitter", AWS 2015): each wait is drawn from
 * [base, 3 × the one before), up to a maximum. Where nobody knows the one before, it is drawn as well.
 *
 * @throws InvalidOptionsError naming each option that is wrong.
 */
export function decorrelated(options: DecorrelatedOptions = {}): Backoff {
  const { base, max } = parseOptions('decorrelated', decorrelatedSchema, options);
  const next = (previous: number, random: () => number): number =>
    Math.min(max, base + random() * Math.max(0, 3 * previous - base));
  return (attempt, random, previous) => {
    if (previous !== undefined) return next(Math.max(base, previous), random);
    let wait = base;
    const draws = Math.max(1, Math.min(attempt, longestChain));
    for (let draw = 0; draw < draws; draw += 1) wait = next(wait, random);
    return wait;
  };
}

/** The same wait every time. */
export function constant(wait: number): Backoff {
  return () => wait;
}
