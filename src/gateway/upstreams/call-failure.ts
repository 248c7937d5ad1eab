/** Why a call to an upstream got no answer, and what that says. */
import { ProblemError, TimeoutError, UpstreamError } from '../../core/errors.ts';
import { messageOf } from '../../core/holdfast-error.ts';

import { silentStart } from './silence-limit.ts';
import type { UpstreamCall } from './upstream-call.ts';

/**
 * What to throw for a call that got no answer.
 *
 * @param name the service or origin, for the message.
 * @param repeatable whether the request may be made again although it may have been received.
 */
export function unanswered(error: Error, call: UpstreamCall, name: string, repeatable: boolean): Error {
  if (error instanceof ProblemError || error instanceof TimeoutError) return error;
  const code = (error as { code?: unknown }).code;
  if (code === 'UND_ERR_INVALID_ARG' || code === 'UND_ERR_NOT_SUPPORTED') {
    return new ProblemError(400, 'the request has a target or header that cannot be passed on', {
      cause: error,
    });
  }
  // A request that was never written may be made again, whatever it is.
  const retryable = repeatable || !call.written;
  const { connect, firstByte } = call.request.timeouts;
  if (code === 'UND_ERR_CONNECT_TIMEOUT') {
    return new TimeoutError(connect, { what: `connecting to ${name}`, cause: error, retryable });
  }
  if (code === silentStart) {
    return new TimeoutError(firstByte, { what: `the answer of ${name}`, cause: error, retryable });
  }
  return new UpstreamError(name, messageOf(error), { cause: error, retryable });
}

const resetCodes: ReadonlySet<unknown> = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);

/**
 * Whether a call failed only because the upstream closed an idle connection just as it was used again, and before
 * anything of an answer came. Such a call says nothing about the upstream.
 */
export function wasStale(error: Error, call: UpstreamCall): boolean {
  return call.reused && !call.begun && resetCodes.has((error as { code?: unknown }).code);
}
