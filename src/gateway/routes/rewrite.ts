/** What goes on to an upstream: the path and the header fields. Pure but for reading the exchange. */
import { ProblemError } from '../../core/errors.ts';
import type { Exchange } from '../exchange/exchange.ts';
import type { HttpExchange } from '../exchange/http-exchange.ts';
import { takesTrailers } from '../http/headers.ts';
import { canonicalPath, fillTemplate, type PathRules, withoutPrefix, withPrefix } from '../http/path.ts';

/** How a route changes the path. */
export interface PathChange {
  readonly rewrite: string | ((exchange: Exchange) => string) | undefined;
  readonly stripPrefix: string | undefined;
  /** Put in front of what is left; undefined for nothing. */
  readonly addPrefix?: string | undefined;
}

/**
 * Path and query for the upstream. Whatever changed the path, the result is made canonical again.
 *
 * @throws ProblemError 400 when the result would not be an acceptable path.
 */
export function outboundPath(exchange: Exchange, change: PathChange, rules: PathRules): string {
  const { rewrite, stripPrefix, addPrefix } = change;
  let { path, query } = exchange;
  if (stripPrefix !== undefined) path = canonicalPath(withoutPrefix(path, stripPrefix), rules);
  if (addPrefix !== undefined) path = canonicalPath(withPrefix(path, addPrefix), rules);
  if (rewrite !== undefined) {
    const target =
      typeof rewrite === 'function'
        ? rewrite(exchange)
        : fillTemplate(rewrite, (name) => exchange.params[name]);
    const mark = target.indexOf('?');
    path = canonicalPath(mark === -1 ? target : target.slice(0, mark), rules);
    if (mark !== -1) query = joinQueries(target.slice(mark + 1), query);
  }
  return query === '' ? path : `${path}?${query}`;
}

function joinQueries(own: string, asked: string): string {
  if (/[^\x21-\x7e]|#/.test(own)) throw new ProblemError(400, 'the rewritten query is not acceptable');
  return asked === '' ? own : `${own}&${asked}`;
}

/** What besides the client's own fields shapes the list for the upstream. */
export interface HeaderChange {
  /** The upstream's own name is sent as Host instead of the one that the client asked for. */
  readonly ownHost: boolean;
  /** This router's entry in `Via`. */
  readonly via: string;
  /** The prefix that was taken off the path. */
  readonly prefix: string | undefined;
  /** Milliseconds that are left for the answer; undefined for no limit. */
  readonly timeLeft?: number | undefined;
}

/** The header fields for the upstream, as a flat list. */
export function outboundHeaders(exchange: HttpExchange, change: HeaderChange): string[] {
  const { headers } = exchange;
  const { raw, kinds } = headers;
  let te = false;
  let via = false;
  const list: string[] = [];
  if (!change.ownHost && exchange.authority !== '') list.push('Host', exchange.authority);
  let forwarded = false;
  for (let index = 0; index < kinds.length; index += 1) {
    const kind = kinds[index]!;
    if (kind.endsHere) {
      te ||= kind.lower === 'te';
    } else if (kind.rewritten) {
      via ||= kind.lower === 'via';
      forwarded ||= kind.forwarded;
    } else {
      list.push(raw[index * 2]!, raw[index * 2 + 1]!);
    }
  }
  if (te && takesTrailers(headers.get('te') ?? '')) list.push('TE', 'trailers');
  list.push('Via', via ? `${headers.get('via')}, ${change.via}` : change.via);
  if (change.timeLeft !== undefined) list.push('X-Request-Timeout', `${change.timeLeft}ms`);
  if (forwarded || change.prefix !== undefined) addForwarded(list, exchange, change.prefix);
  else addFirstForwarded(list, exchange);
  return list;
}

/** As {@link addForwarded} does when nothing of the kind was said before, which is how most requests come. */
function addFirstForwarded(list: string[], { peerAddress, authority, scheme }: HttpExchange): void {
  list.push('X-Forwarded-For', peerAddress);
  if (authority !== '') list.push('X-Forwarded-Host', authority);
  list.push('X-Forwarded-Proto', scheme);
}

/** What a trusted proxy said is kept and continued; anyone else's word was removed when the request was admitted. */
function addForwarded(list: string[], exchange: HttpExchange, prefix: string | undefined): void {
  const { headers, peerAddress, authority, scheme } = exchange;
  const earlier = headers.get('x-forwarded-for');
  list.push('X-Forwarded-For', earlier === undefined ? peerAddress : `${earlier}, ${peerAddress}`);
  const host = headers.get('x-forwarded-host') ?? authority;
  if (host !== '') list.push('X-Forwarded-Host', host);
  list.push('X-Forwarded-Proto', scheme);
  if (prefix !== undefined && !headers.has('x-forwarded-prefix')) list.push('X-Forwarded-Prefix', prefix);
  const forwarded = headers.get('forwarded');
  if (forwarded === undefined) return;
  const node = peerAddress.includes(':') ? `"[${peerAddress}]"` : peerAddress;
  list.push('Forwarded', `${forwarded}, for=${node};proto=${scheme}`);
}
