/** Giving answers: an upstream's, a `Response`, a problem. */
import { UpstreamError } from '../core/errors.ts';
import { messageOf } from '../core/holdfast-error.ts';
import type { Door } from './door.ts';
import type { HttpExchange } from './exchange.ts';

import { type AddedHeaders, forwardableTrailers, responseHeaders } from './headers.ts';
import { type Problem, problemBody } from './problem.ts';
import type { UpstreamCall } from './upstream-call.ts';

/**
 * Pass an upstream's answer on as it comes, no faster than the client takes it.
 *
 * @throws UpstreamError when it has header fields that cannot be passed on; nothing is sent then.
 */
export function relay(call: UpstreamCall, exchange: HttpExchange, via: string): void {
  const { door, response, record } = exchange;
  record.status = call.status;
  const headers = responseHeaders(call.rawHeaders, response.replaced);
  headers.push(...response.list, 'Via', via);
  try {
    door.begin(call.status, call.reason, headers);
  } catch (error) {
    call.abandon(new Error('the answer cannot be passed on'));
    throw new UpstreamError(record.service ?? 'the upstream', messageOf(error), { cause: error });
  }
  if (!call.hasBody) door.flush();
  door.onDrain(() => call.resume());
  call.attach({
    data: (chunk) => {
      record.bytes += chunk.length;
      return door.write(chunk);
    },
    end: (trailers) => door.end(trailers.length === 0 ? undefined : forwardableTrailers(trailers)),
    fail: (error) => {
      record.error ??= exchange.gone === undefined ? error : undefined;
      door.destroy();
    },
  });
}

/** Give a Web-standard response as the answer. */
export async function sendResponse(exchange: HttpExchange, response: Response): Promise<void> {
  const { door, record } = exchange;
  record.status = response.status;
  const headers: string[] = [];
  for (const [name, value] of response.headers) {
    if (!exchange.response.replaced.has(name)) headers.push(name, value);
  }
  headers.push(...exchange.response.list);
  door.begin(response.status, response.statusText, headers);
  if (response.body === null) return door.end();
  const reader = response.body.getReader();
  exchange.whenGone((reason) => void reader.cancel(reason).catch(() => {}));
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      record.bytes += value.byteLength;
      if (!door.write(value)) await drained(exchange);
    }
    if (exchange.gone === undefined) door.end();
  } catch (error) {
    record.error ??= error;
    door.destroy();
  }
}

/** Until the client takes more, or is gone. */
function drained(exchange: HttpExchange): Promise<void> {
  return new Promise((resolve) => {
    const forget = exchange.whenGone(() => resolve());
    exchange.door.onDrain(() => {
      forget();
      resolve();
    });
  });
}

/** Tell what went wrong; or break off, when an answer has begun already. */
export function sendProblem(door: Door, problem: Problem, added: AddedHeaders | undefined): void {
  if (door.started) {
    door.destroy();
    return;
  }
  const body = problemBody(problem);
  const headers = [
    'Content-Type',
    'application/problem+json',
    'Content-Length',
    String(body.length),
    'Cache-Control',
    'no-store',
  ];
  for (const [name, value] of Object.entries(problem.headers)) headers.push(name, value);
  headers.push(...(added?.list ?? []));
  door.begin(problem.status, '', headers);
  door.write(body);
  door.end();
}
