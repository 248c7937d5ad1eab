import { STATUS_CODES } from 'node:http';
import {
  BulkheadFullError,
  CircuitOpenError,
  NoInstanceError,
  ProblemError,
  RateLimitedError,
  TimeoutError,
  UpstreamError,
} from '../../core/errors.ts';
import { HoldfastError } from '../../core/holdfast-error.ts';

/** An answer that tells what went wrong, by RFC 9457. */
export interface Problem {
  readonly status: number;
  readonly detail: string;
  /** The error's `HOLDFAST_…` code, for whoever looks it up. */
  readonly code: string | undefined;
  /** Extra fields, names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
}

const noHeaders: Readonly<Record<string, string>> = {};

/**
 * What to answer to an error. Only a `ProblemError` speaks to the client in its own words: other messages may name
 * addresses that are nobody's business.
 */
export function problemOf(error: unknown): Problem {
  if (error instanceof ProblemError) {
    return { status: error.status, detail: error.message, code: undefined, headers: error.headers };
  }
  const code = error instanceof HoldfastError ? error.code : undefined;
  const refused = cannotServe(error);
  if (refused !== undefined) return { ...refused, code };
  if (error instanceof TimeoutError) {
    return { status: 504, detail: 'the service did not answer in time', code, headers: noHeaders };
  }
  if (error instanceof UpstreamError) {
    return {
      status: 502,
      detail: 'the service could not be reached or broke off',
      code,
      headers: noHeaders,
    };
  }
  return { status: 500, detail: 'the request could not be served', code, headers: noHeaders };
}

function cannotServe(error: unknown): Omit<Problem, 'code'> | undefined {
  if (error instanceof RateLimitedError) {
    return { status: 429, detail: 'too many requests', headers: retryAfter(error.retryAfter) };
  }
  if (error instanceof CircuitOpenError) {
    return {
      status: 503,
      detail: 'the service is failing and is given time to recover',
      headers: retryAfter(error.retryAfter),
    };
  }
  if (error instanceof BulkheadFullError) {
    return { status: 503, detail: 'the service has all the work it can take', headers: noHeaders };
  }
  if (error instanceof NoInstanceError) {
    return {
      status: 503,
      detail: `no instance of the service ${JSON.stringify(error.service)} is available`,
      headers: noHeaders,
    };
  }
  return undefined;
}

/** `Retry-After` in whole seconds, rounded up: a client that comes a moment early would only be refused again. */
export function retryAfter(milliseconds: number): Readonly<Record<string, string>> {
  return { 'retry-after': String(Math.max(1, Math.ceil(milliseconds / 1_000))) };
}

/** The body of a problem, as bytes. */
export function problemBody(problem: Problem): Buffer {
  const { status, detail, code } = problem;
  const title = STATUS_CODES[status] ?? 'Error';
  return Buffer.from(
    JSON.stringify({
      type: 'about:blank',
      title,
      status,
      detail,
      ...(code === undefined ? undefined : { code }),
    }),
  );
}
