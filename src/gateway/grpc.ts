/** What the gateway has to know of gRPC: how long a call may take, and how one says that this is over. */
import { ProblemError, TimeoutError } from '../core/errors.ts';
import type { HttpExchange } from './exchange.ts';
import type { Problem } from './problem.ts';

/** Milliseconds in a unit of `grpc-timeout`. */
const units: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 0.001,
  n: 0.000_001,
};

/** DEADLINE_EXCEEDED. */
const deadlineExceeded = '4';

/** Whether an exchange is a gRPC call. gRPC-Web is none: it goes by any version of HTTP and knows no trailers. */
export function isGrpc({ version, headers }: Pick<HttpExchange, 'version' | 'headers'>): boolean {
  return version === '2' && /^application\/grpc(?:$|[+;])/.test(headers.get('content-type') ?? '');
}

/** Milliseconds that a `grpc-timeout` gives; undefined when it is none. */
export function grpcTimeout(value: string | undefined): number | undefined {
  const [, digits, unit = ''] = /^(\d{1,8})([HMSmun])$/.exec(value ?? '') ?? [];
  return digits === undefined ? undefined : Number(digits) * units[unit]!;
}

/** The end of a call by its deadline, as fields that are a head or trailers. */
export function deadlineFields({ detail }: Pick<Problem, 'detail'>): [string, string][] {
  // Percent-encoded, as the specification of gRPC over HTTP/2 has it.
  const message = detail.replace(/[^\x20-\x24\x26-\x7e]/g, (character) => encodeURIComponent(character));
  return [
    ['grpc-status', deadlineExceeded],
    ['grpc-message', message],
  ];
}

/** Whether what ended an exchange is that its time was over. */
export function isOverdue(reason: unknown): boolean {
  return reason instanceof TimeoutError || (reason instanceof ProblemError && reason.status === 504);
}
