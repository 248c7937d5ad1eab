import type { Exchange } from '../../exchange/exchange.ts';
import { canonicalPath } from '../../http/path.ts';

/**
 * The exchange as if it had asked for the address that its answer names, so that a key can be made of it. Undefined when
 * there is none, or it is of another origin, about which this one has no say (RFC 9111, 4.4).
 *
 * @param reference the value of `Location` or `Content-Location`.
 */
export function elsewhere(exchange: Exchange, reference: string | undefined): Exchange | undefined {
  if (reference === undefined) return undefined;
  const { scheme, authority, path } = exchange;
  try {
    const own = new URL(`${scheme}://${authority}${path}`);
    const named = new URL(reference, own);
    if (named.origin !== own.origin) return undefined;
    const query = named.search.slice(1);
    return Object.create(exchange, {
      path: { value: canonicalPath(named.pathname) },
      query: { value: query },
      searchParams: { value: new URLSearchParams(query) },
    }) as Exchange;
  } catch {
    // Nothing that could have been asked for here.
    return undefined;
  }
}
