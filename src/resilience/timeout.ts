import { enter, TimeLimit, type WithinOptions } from '../core/abort.ts';
import type { Clock } from '../core/clock.ts';
import type { Duration } from '../core/duration.ts';
import { durationOption, parseOptions, runtimeOption, z } from '../core/options.ts';
import { Call, type Policy, type RunOptions, type Work, wrapWith } from '../core/policy.ts';
import { type Runtime, resolveRuntime } from '../core/runtime.ts';

/** Options of {@link timeout}. */
export interface TimeoutOptions {
  /**
   * Whether to notice when this process's own event loop was blocked for three quarters of the limit or more: the
   * `TimeoutError` then says so by `lag`, and a breaker around does not count it. Default true.
   */
  readonly noticeLag?: boolean | undefined;
  /** Clock to measure by. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

const optionsSchema = z.strictObject({ noticeLag: z.boolean().default(true), runtime: runtimeOption() });
const limitSchema = durationOption(1);

/**
 * A policy that gives each call at most `limit`: the call then rejects with `TimeoutError` and its signal, and only
 * its own, aborts. Work that ignores its signal goes on unseen; what it does later is ignored.
 *
 * An outer deadline that is nearer wins. Limits of equal length share one timer, however many calls are under way.
 *
 * @throws InvalidOptionsError when the limit is not a duration of at least 1 ms.
 */
export function timeout(limit: Duration, options: TimeoutOptions = {}): Policy {
  const milliseconds = parseOptions('timeout', limitSchema, limit);
  const { noticeLag, runtime } = parseOptions('timeout', optionsSchema, options);
  return new Timeout(milliseconds, resolveRuntime(runtime).clock, { noticeLag });
}

/** The implementation of {@link timeout}. */
export class Timeout implements Policy {
  readonly #limit: TimeLimit;

  constructor(limit: number, clock: Clock, options: WithinOptions) {
    this.#limit = new TimeLimit(clock, limit, options);
  }

  run<T>(work: Work<T>, options?: RunOptions): Promise<T> {
    // What made a context enforces its signal and deadline already.
    if (options instanceof Call) return this.#limit.run(options, work);
    return enter(this.#limit.clock, options, (context) => this.#limit.run(context, work));
  }

  wrap<A extends unknown[], R>(work: (...args: A) => R): (...args: A) => Promise<Awaited<R>> {
    return wrapWith(this, work);
  }
}
