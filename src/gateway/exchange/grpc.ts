/** What the gateway has to know of gRPC: how long a call may take, and how it is told what went wrong. */
import { ProblemError, TimeoutError } from '../../core/errors.ts';
import type { RequestHeaders } from '../http/headers.ts';
import type { Problem } from '../http/problem.ts';

/** Milliseconds in a unit of `grpc-timeout`. */
const units: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 0.001,
  n: 0.000_001,
};

/**
 * What a status of HTTP is in gRPC: as a client of gRPC would read it by itself ("HTTP to gRPC Status Code Mapping"),
 * but for what HTTP says more exactly, a time that is over and a body that is too long.
 */
const statuses: Readonly<Record<number, string>> = {
  400: '13', // INTERNAL
  401: '16', // UNAUTHENTICATED
  403: '7', // PERMISSION_DENIED
  404: '12', // UNIMPLEMENTED
  413: '8', // RESOURCE_EXHAUSTED
  429: '14', // UNAVAILABLE
  502: '14',
  503: '14',
  504: '4', // DEADLINE_EXCEEDED
};

/** UNKNOWN. */
const unknown = '2';

/** What tells a gRPC call. */
export interface AskedCall {
  readonly method: string;
  readonly version: string;
  readonly headers: Pick<RequestHeaders, 'get'>;
}

/** Whether a request is a gRPC call. gRPC-Web is none: it goes by any version of HTTP and knows no trailers. */
export function isGrpc({ method, version, headers }: AskedCall): boolean {
  return (
    version === '2' &&
    method === 'POST' &&
    /^application\/grpc(?:$|[+;])/.test(headers.get('content-type') ?? '')
  );
}

/** Milliseconds that a `grpc-timeout` gives; undefined when it is none. */
export function grpcTimeout(value: string | undefined): number | undefined {
  const [, digits, unit = ''] = /^(\d{1,8})([HMSmun])$/.exec(value ?? '') ?? [];
  return digits === undefined ? undefined : Number(digits) * units[unit]!;
}

/** How a call ends by a problem, as fields that are a head or trailers. */
export function statusFields({ status, detail }: Pick<Problem, 'status' | 'detail'>): [string, string][] {
  // Percent-encoded, as the specification of gRPC over HTTP/2 has it.
  const message = detail
    .replace(/\p{Surrogate}/gu, '\ufffd')
    .replace(/[^\x20-\x24\x26-\x7e]/gu, (character) => encodeURIComponent(character));
  return [
    ['grpc-status', statuses[status] ?? unknown],
    ['grpc-message', message],
  ];
}

/** Whether what ended an exchange is that its time was over. */
export function isOverdue(reason: unknown): boolean {
  return reason instanceof TimeoutError || (reason instanceof ProblemError && reason.status === 504);
}
