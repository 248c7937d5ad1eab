import type { RunOptions, Work } from '../core/policy.ts';

/** Holds, for the types only, what a policy may answer by itself. */
declare const answer: unique symbol;

/**
 * A policy whose calls may also give an `F` in place of the work's result, as a fallback's do. Every `Policy` is one
 * with `F = never`, and one with `F = never` is a `Policy`.
 */
export interface AnsweringPolicy<F> {
  /** Run the work and settle as it does, or with an answer of the policy's own. Never throws synchronously. */
  run<T>(work: Work<T>, options?: RunOptions): Promise<T | F>;
  /** The same function under this policy: same arguments, a promise of the same result or of the policy's answer. */
  wrap<A extends unknown[], R>(work: (...args: A) => R): (...args: A) => Promise<Awaited<R> | F>;
  /** For the types only; never set. */
  readonly [answer]?: () => F;
}

/** What a policy, or any of a union of policies, may answer by itself; `never` for most. */
export type AnswerOf<P> = P extends unknown
  ? typeof answer extends keyof P
    ? P[typeof answer] extends (() => infer F) | undefined
      ? F
      : never
    : never
  : never;
