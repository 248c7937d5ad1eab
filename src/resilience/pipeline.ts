import { enter } from '../core/abort.ts';
import { methodsOption, parseOptions, z } from '../core/options.ts';
import { type RunOptions, type Work, wrapWith } from '../core/policy.ts';
import { resolveRuntime } from '../core/runtime.ts';
import type { AnsweringPolicy, AnswerOf } from './answering-policy.ts';

const policiesSchema = z.array(methodsOption<AnsweringPolicy<unknown>>('a policy', 'run'));

/**
 * One policy made of several. The first is the outermost: it sees the call first and its outcome last, and runs the
 * others as its work, each time it runs. Each passes its context on, so an inner one knows the signal, the attempt and
 * the deadline of those around it.
 *
 * The usual order is `pipeline(fallback(…), retry(…), breaker, timeout(…), bulkhead)`.
 *
 * @throws InvalidOptionsError when one of them is no policy.
 */
export function pipeline<P extends readonly AnsweringPolicy<unknown>[]>(
  ...policies: P
): AnsweringPolicy<AnswerOf<P[number]>> {
  parseOptions('pipeline', policiesSchema, policies);
  const composed = {
    run: <T>(work: Work<T>, options?: RunOptions) => runFrom(policies, 0, work, options) as Promise<T>,
    wrap: <A extends unknown[], R>(work: (...args: A) => R) => wrapWith(composed, work),
  };
  return composed;
}

function runFrom(
  policies: readonly AnsweringPolicy<unknown>[],
  index: number,
  work: Work<unknown>,
  options: RunOptions | undefined,
): Promise<unknown> {
  const policy = policies[index];
  if (policy === undefined) return enter(resolveRuntime().clock, options, work);
  if (index === policies.length - 1) return policy.run(work, options);
  return policy.run((context) => runFrom(policies, index + 1, work, context), options);
}
