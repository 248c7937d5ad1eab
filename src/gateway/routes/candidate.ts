/**
 * Declared routes, and which of several that match comes first, in this order: the higher `priority`; the host (a name,
 * then `*.` patterns, the longer first, then every host); the path segment by segment (text, then text with a `:name` in
 * it, then `:name`, then `*`); whether the method is named; the more conditions; and only between equals the one that was
 * declared first.
 */
import type { Condition, ConditionSubject } from './conditions.ts';
import { compareSpecificity, type Params, type RoutePattern } from './pattern.ts';

/** A route that was found. */
export interface Match<T> {
  readonly route: T;
  /** Decoded values of the pattern's `:name`s, and of `*`. */
  readonly params: Params;
}

/** A declared route. */
export interface Candidate<T> {
  readonly declared: string;
  readonly pattern: RoutePattern;
  readonly route: T;
  readonly priority: number;
  readonly conditions: readonly Condition[];
  /** How many were declared before it. */
  readonly order: number;
  /** The same for every request, when the path has nothing that varies. */
  readonly match: Match<T> | undefined;
}

/** What is asked of a table. */
export interface Question extends ConditionSubject {
  readonly method: string;
  /** Lower case. */
  readonly host: string;
  /** Canonical. */
  readonly path: string;
  /** Whether it is asked for a request that is yet to come: what that will say in headers and cookies is not known. */
  readonly preflight?: boolean | undefined;
}

/**
 * Orders two routes that match the same request: negative when the first comes first.
 *
 * @param method of the request.
 */
export function compareCandidates<T>(a: Candidate<T>, b: Candidate<T>, method: string): number {
  return (
    b.priority - a.priority ||
    compareSpecificity(a.pattern, b.pattern) ||
    methodRank(b, method) - methodRank(a, method) ||
    b.conditions.length - a.conditions.length ||
    a.order - b.order
  );
}

/** 3 when the method is named, 2 when it is HEAD and GET is named, 1 for every method, 0 when the route has another. */
export function methodRank<T>({ pattern: { methods } }: Candidate<T>, method: string): number {
  if (methods.length === 0) return needsName(method) ? 0 : 1;
  if (methods.includes(method)) return 3;
  // What answers GET answers HEAD.
  return method === 'HEAD' && methods.includes('GET') ? 2 : 0;
}

/** Whether a route for every method does not mean this one. */
export function needsName(method: string): boolean {
  return method === 'TRACE' || method === 'CONNECT';
}

/** Whether all conditions of a route hold, as far as that can be told. */
export function holds<T>({ conditions }: Candidate<T>, question: Question): boolean {
  return conditions.every(({ part, test }) => {
    const later = question.preflight === true && (part === 'header' || part === 'cookie');
    return later || test(question);
  });
}
