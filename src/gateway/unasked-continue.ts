/**
 * undici takes a `100 Continue` that it has not asked for to be the end of the connection, though a client has to put up
 * with any number of interim answers (RFC 9110, 15.2). Its parser is told here that it was a 102, which it passes over
 * like every other one; it still does all the reading itself.
 *
 * undici has no door for that, so its parser is found by the name of its symbol, on this one connection alone. A version
 * in which it is not found does as it did before: such an answer is a failure.
 */

/** What of the parser is called with the status of each head. */
interface HeadReader {
  onHeadersComplete: (status: number, ...rest: unknown[]) => unknown;
}

/** @param client an undici client that has just connected. */
export function passOverUnaskedContinue(client: object): void {
  const parser = held(held(client, 'socket'), 'parser');
  if (!isHeadReader(parser)) return;
  const read = parser.onHeadersComplete.bind(parser);
  parser.onHeadersComplete = (status, ...rest) => read(status === 100 ? 102 : status, ...rest);
}

/** What an object has under the symbol of this description. */
function held(owner: unknown, description: string): unknown {
  if (typeof owner !== 'object' || owner === null) return undefined;
  const symbol = Object.getOwnPropertySymbols(owner).find((known) => known.description === description);
  return symbol === undefined ? undefined : (owner as Record<symbol, unknown>)[symbol];
}

function isHeadReader(value: unknown): value is HeadReader {
  return typeof (value as Partial<HeadReader> | null | undefined)?.onHeadersComplete === 'function';
}
