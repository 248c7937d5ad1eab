/**
 * How long there is for an answer, where the route, a trusted proxy (by `X-Request-Timeout`) or the caller of gRPC (by
 * `grpc-timeout`) has said so.
 */
import type { Clock } from '../../core/clock.ts';
import { ProblemError, TimeoutError } from '../../core/errors.ts';
import { grpcTimeout, isGrpc } from './grpc.ts';
import type { HttpExchange } from './http-exchange.ts';

/** Whole milliseconds that are left, at least 1; undefined for no limit. */
export function timeLeft({ deadline }: Pick<HttpExchange, 'deadline'>, clock: Clock): number | undefined {
  return deadline === undefined ? undefined : Math.max(1, Math.floor(deadline - clock.now()));
}

/**
 * Give up what is under way for an exchange when its time is over, unless the answer has begun by then: whoever set the
 * limit does not wait any longer, and streams may last. The deadline of a gRPC call ends streams as well. Done once.
 *
 * @param total the route's own limit in milliseconds; 0 for none. The earliest counts.
 * @returns whether there is a limit.
 * @throws TimeoutError when it is over already; ProblemError 504 when it was a stranger's.
 */
export function keepDeadline(exchange: HttpExchange, clock: Clock, total: number): boolean {
  exchange.bounded ??= limitTime(exchange, clock, total);
  return exchange.bounded;
}

function limitTime(exchange: HttpExchange, clock: Clock, total: number): boolean {
  const called = exchange.version === '2' && keepGrpcDeadline(exchange, clock);
  if (total > 0)
    exchange.deadline = Math.min(
      exchange.record.startedAt + total,
      exchange.deadline ?? Number.POSITIVE_INFINITY,
    );
  const { deadline } = exchange;
  if (deadline === undefined) return called;
  const left = deadline - clock.now();
  const late = new TimeoutError(Math.max(0, left), { what: 'the request', retryable: false });
  giveUpAfter(exchange, clock, left, late, () => !exchange.door.started);
  return true;
}

/**
 * The deadline of a gRPC call. A trusted proxy's counts as its `X-Request-Timeout` does. A stranger's ends the call, but
 * nothing is held against an upstream for it: it could be as short as he likes.
 */
function keepGrpcDeadline(exchange: HttpExchange, clock: Clock): boolean {
  if (!isGrpc(exchange)) return false;
  const timeout = grpcTimeout(exchange.headers.get('grpc-timeout'));
  if (timeout === undefined) return false;
  const deadline = exchange.record.startedAt + timeout;
  if (exchange.trusted) exchange.deadline = Math.min(deadline, exchange.deadline ?? deadline);
  const late = exchange.trusted
    ? new TimeoutError(timeout, { what: 'the call', retryable: false })
    : new ProblemError(504, 'the deadline of the call has passed');
  giveUpAfter(exchange, clock, deadline - clock.now(), late, () => true);
  return true;
}

/** @throws the reason, when no time is left. */
function giveUpAfter(
  exchange: HttpExchange,
  clock: Clock,
  left: number,
  reason: Error,
  still: () => boolean,
): void {
  if (left <= 0) {
    exchange.giveUp(reason);
    throw reason;
  }
  const timer = clock.schedule(left, () => {
    if (still()) exchange.giveUp(reason);
  });
  exchange.onFinished(() => timer.cancel());
}
