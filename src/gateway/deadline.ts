/** How long there is for an answer, where a trusted proxy has said so by `X-Request-Timeout`. */
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
 * @throws TimeoutError when it is over already.
 */
export function keepDeadline(exchange: HttpExchange, clock: Clock): void {
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
