/** From a request to its route, or to the refusal that tells why there is none. */
import { ProblemError } from '../../core/errors.ts';
import type { Admission, IncomingHead } from '../http/admit.ts';
import type { Match, Question } from './candidate.ts';
import type { RouteTable } from './match.ts';
import { type Params, readParams } from './pattern.ts';

/** A route for a request. */
export interface FoundRoute<T> {
  readonly route: T;
  readonly params: Params;
  /** Whether it was found for the method that a CORS preflight asks about. */
  readonly preflight: boolean;
}

/**
 * The route of a request; of a CORS preflight that has none of its own, the one of the request that it announces.
 *
 * @throws ProblemError 404, or 405 with `Allow`.
 */
export function findRoute<T>(table: RouteTable<T>, request: Question): FoundRoute<T> {
  const match = matchOf(table, request);
  if (match !== undefined) return { route: match.route, params: match.params, preflight: false };
  const announced = announcedBy(request);
  const later = announced === undefined ? undefined : matchOf(table, announced);
  if (later !== undefined) return { route: later.route, params: later.params, preflight: true };
  throw noRoute(table, request);
}

/** The route of a request as it is, or undefined. */
export function matchOf<T>(table: RouteTable<T>, request: Question): Match<T> | undefined {
  const candidate = table.find(request);
  if (candidate === undefined || candidate.match !== undefined) return candidate?.match;
  return { route: candidate.route, params: readParams(candidate.pattern.segments, request.path) };
}

/** The request that a CORS preflight announces. */
function announcedBy(request: Question): Question | undefined {
  if (request.method !== 'OPTIONS') return undefined;
  const method = request.headers.get('access-control-request-method');
  if (method === undefined) return undefined;
  const { host, path, headers, scheme } = request;
  return {
    method,
    host,
    path,
    headers,
    scheme,
    get searchParams() {
      return request.searchParams;
    },
    preflight: true,
  };
}

/** Whether a request that was admitted is for something else: it would be answered 404. */
export function hasNoRoute<T>(table: RouteTable<T>, head: IncomingHead, admission: Admission): boolean {
  const { method, headers } = head;
  const { host, path, scheme, query } = admission;
  const request = { method, headers, host, path, scheme, searchParams: new URLSearchParams(query) };
  try {
    findRoute(table, request);
    return false;
  } catch (error) {
    return error instanceof ProblemError && error.status === 404;
  }
}

/** Why there is no route: none for the path, or none for the method. */
export function noRoute<T>(table: RouteTable<T>, request: Question): ProblemError {
  const methods = table.methodsOf(request);
  if (methods.length === 0) return new ProblemError(404, 'no route leads here');
  const allow = methods.join(', ');
  return new ProblemError(405, `${request.method} is not among ${allow}`, { headers: { allow } });
}
