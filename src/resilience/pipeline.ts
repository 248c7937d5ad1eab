import { enter } from '../core/abort.ts';
import { methodsOption, parseOptions, z } from '../core/options.ts';
import { type RunOptions, type Work, wrapWith } from '../core/policy.ts';
import { resolveRuntime } from '../core/runtime.ts';
import type { AnsweringPolicy, AnswerOf } from './answering-policy.ts';
import { warnOfOrder } from './pipeline-order.ts';

const policiesSchema = z.array(methodsOption<AnsweringPolicy<unknown>>('a policy', 'run'));

/** What each pipeline is made of, so that one within another is judged by its parts. */
const parts: WeakMap<object, readonly AnsweringPolicy<unknown>[]> = new WeakMap();

/**
 * One policy made of several. The first is the outermost: it sees the call first and its outcome last, and runs the
 * others as its work, each time it runs. Each passes its context on, so an inner one knows the signal, the attempt and
 * the deadline of those around it.
 *
 * The usual order is `pipeline(fallback(…), retry(…), breaker, timeout(…), bulkhead)`.
 *
 * Orders that are seldom meant are told of by a process warning, once each, unless `NODE_ENV` is `production`.
 *
 * @throws InvalidOptionsError when one of them is no policy.
 */
export function pipeline<P extends readonly AnsweringPolicy<unknown>[]>(
  ...policies: P
): AnsweringPolicy<AnswerOf<P[number]>> {
  parseOptions('pipeline', policiesSchema, policies);
  const flat = policies.flatMap((policy) => parts.get(policy) ?? [policy]);
  warnOfOrder(flat);
  const composed = {
    run: <T>(work: Work<T>, options?: RunOptions) => runFrom(policies, 0, work, options) as Promise<T>,
    wrap: <A extends unknown[], R>(work: (...args: A) => R) => wrapWith(composed, work),
  };
  parts.set(composed, flat);
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
