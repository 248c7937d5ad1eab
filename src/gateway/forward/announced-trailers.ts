import type { HttpExchange } from '../exchange/http-exchange.ts';
import { requestTrailers } from '../http/headers.ts';

/** Of the names of trailers that a client has announced, those that may go on; undefined when there are none. */
export function announcedTrailers(
  { entry, headers, bodyLength }: HttpExchange,
  identityHeaders: readonly string[],
): string | undefined {
  // Only a body in chunks can have some; most requests have no body, or a length.
  if (bodyLength !== undefined || entry.trailers === undefined || !headers.has('trailer')) return undefined;
  const names = headers.getAll('trailer').join().split(',');
  const nameless = names.map((name) => [name.trim(), ''] as const);
  const accepted = requestTrailers(nameless, headers, identityHeaders);
  return accepted.length === 0 ? undefined : accepted.map(([name]) => name).join(', ');
}
