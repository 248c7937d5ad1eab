import { enter, within } from '../core/abort.ts';
import type { Duration } from '../core/duration.ts';
import { durationOption, parseOptions, runtimeOption, z } from '../core/options.ts';
import { type Policy, type RunOptions, type Work, wrapWith } from '../core/policy.ts';
import { type Runtime, resolveRuntime } from '../core/runtime.ts';

/** Options of {@link timeout}. */
export interface TimeoutOptions {
  /** Clock to measure by. Default: the system's. */
  readonly runtime?: Partial<Runtime>;
}

const optionsSchema = z.strictObject({ runtime: runtimeOption() });
const limitSchema = durationOption(1);

/**
 * A policy that gives each call at most `limit`: the call then rejects with `TimeoutError` and its signal, and only
 * its own, aborts. Work that ignores its signal goes on unseen; what it does later is ignored.
 *
 * An outer deadline that is nearer wins.
 *
 * @throws InvalidOptionsError when the limit is not a duration of at least 1 ms.
 */
export function timeout(limit: Duration, options: TimeoutOptions = {}): Policy {
  const milliseconds = parseOptions('timeout', limitSchema, limit);
  const { runtime } = parseOptions('timeout', optionsSchema, options);
  const { clock } = resolveRuntime(runtime);
  const policy: Policy = {
    run: <T>(work: Work<T>, runOptions?: RunOptions): Promise<T> =>
      enter(clock, runOptions, (context) => within(clock, milliseconds, context, work)),
    wrap: (work) => wrapWith(policy, work),
  };
  return policy;
}
