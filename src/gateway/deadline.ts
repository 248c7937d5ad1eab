/** How long there is for an answer, where the route or a trusted proxy (by `X-Request-Timeout`) has said so. */
import type { Clock } from '../core/clock.ts';
import { TimeoutError } from '../core/errors.ts';
import type { HttpExchange } from './exchange.ts';

/** Whole milliseconds that are left, at least 1; undefined for no limit. */
export function timeLeft({ deadline }: Pick<HttpExchange, 'deadline'>, clock: Clock): number | undefined {
  return deadline === undefined ? undefined : Math.max(1, Math.floor(deadline - clock.now()));
}

/**
 * Give up what is under way for an exchange when its time is over, unless the answer has begun by then: whoever set the
 * limit does not wait any longer, and streams may last.
 *
 * @param total the route's own limit in milliseconds; 0 for none. The earlier of the two counts.
 * @throws TimeoutError when it is over already.
 */
export function keepDeadline(exchange: HttpExchange, clock: Clock, total: number): void {
  if (total > 0)
    exchange.deadline = Math.min(
      exchange.record.startedAt + total,
      exchange.deadline ?? Number.POSITIVE_INFINITY,
    );
  const { deadline } = exchange;
  if (deadline === undefined) return;
  const left = deadline - clock.now();
  const late = new TimeoutError(Math.max(0, left), { what: 'the request', retryable: false });
  if (left <= 0) throw late;
  const timer = clock.schedule(left, () => {
    if (!exchange.door.started) exchange.giveUp(late);
  });
  exchange.onFinished(() => timer.cancel());
}
