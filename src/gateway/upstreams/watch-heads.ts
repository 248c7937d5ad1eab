/**
 * undici takes a `100 Continue` that it has not asked for to be the end of the connection, though a client has to put up
 * with any number of interim answers (RFC 9110, 15.2). Its parser is told here that it was a 101, once that parser has
 * decided that there is no upgrade: it passes over it like every other one, and it goes no further. A 101 that does come
 * from the upstream without having been asked for ends the connection, as it should.
 *
 * Nor does it tell which version of HTTP an upstream speaks, which `Via` has to say.
 *
 * And when a connection ends that ends its answer, while whoever takes the answer has asked to wait, undici fails by an
 * assertion that ends the process. All of the answer was given out by then, so its parser goes on to the end.
 *
 * undici has no door for any of it, so its parser is found by the name of its symbol, on this one connection alone. A version
 * in which it is not found does as it did before: such an answer is a failure, and every upstream speaks 1.1.
 */

/** What of the parser is called with the status of each head. */
interface HeadReader {
  onHeadersComplete: (status: number, ...rest: unknown[]) => unknown;
  finish?: () => unknown;
  paused?: boolean;
  readonly ptr?: number;
  readonly llhttp?: {
    llhttp_get_http_minor?(parser: number): number;
    llhttp_resume?(parser: number): void;
  };
}

/**
 * Listen to the heads that come on a connection.
 *
 * @param client an undici client that has just connected.
 * @param onVersion told, before the first answer, whether the upstream speaks HTTP/1.0.
 */
export function watchHeads(client: object, onVersion: (isOld: boolean) => void): void {
  const parser = held(held(client, 'socket'), 'parser');
  if (!isHeadReader(parser)) return;
  endPaused(parser);
  const read = parser.onHeadersComplete.bind(parser);
  let known = false;
  parser.onHeadersComplete = (status, ...rest) => {
    if (!known) {
      known = true;
      onVersion(parser.llhttp?.llhttp_get_http_minor?.(parser.ptr ?? 0) === 0);
    }
    return read(status === 100 ? 101 : status, ...rest);
  };
}

function endPaused(parser: HeadReader): void {
  const finish = parser.finish?.bind(parser);
  if (finish === undefined) return;
  parser.finish = () => {
    if (parser.paused) {
      parser.llhttp?.llhttp_resume?.(parser.ptr ?? 0);
      parser.paused = false;
    }
    return finish();
  };
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
