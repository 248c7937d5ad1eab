/** What a cache knows of one exchange. */
import type { AnswerHead } from '../../exchange/answer-filter.ts';
import type { Exchange } from '../../exchange/exchange.ts';
import { HttpExchange } from '../../exchange/http-exchange.ts';
import type { AddedHeaders, HeaderList, RequestHeaders } from '../../http/headers.ts';
import { type Conditions, conditionsOf, type GivenAnswer } from './cached-answer.ts';
import { type CacheRequest, fieldMap } from './freshness.ts';

/**
 * What the gateway and the proxies before it chose by other things than the address, and what therefore must not be
 * answered alike. Holds no line feed.
 */
function choiceOf(exchange: Exchange): string {
  const choice = exchange instanceof HttpExchange ? (exchange.serving?.choiceOf(exchange) ?? '') : '';
  return exchange.trusted ? `${choice} ${toldAddress(exchange.headers)}` : choice;
}

/** All that a trusted proxy says of the address that was asked for, and nothing of who asked. */
function toldAddress(headers: RequestHeaders): string {
  const told: string[] = [];
  for (const [index, { lower, forwarded }] of headers.kinds.entries()) {
    const value = headers.raw[index * 2 + 1]!;
    if (lower === 'forwarded') told.push(...(value.match(/\bhost\s*=\s*(?:"[^"]*"|[^\s;,]*)/gi) ?? []));
    else if (forwarded && /^x[-_]forwarded[-_](?!for$)/.test(lower)) told.push(`${lower}: ${value}`);
  }
  return JSON.stringify(told);
}

/** The address in a key. */
export function addressIn(key: string): string {
  return key.slice(key.indexOf('\n') + 1);
}

/** A request for something that may be in the store. */
export interface Ask {
  readonly exchange: Exchange;
  readonly key: string;
  readonly request: CacheRequest;
  readonly conditions: Conditions;
}

/** @param address what the answer is kept by, as far as the cache's user is concerned. */
export function askOf(exchange: Exchange, address: string): Ask {
  const key = `${choiceOf(exchange)}\n${address}`;
  const headers = fieldMap(exchange.headers.raw);
  headers.host = exchange.authority;
  // However somebody has shown who it is: what is made for him is for him, unless it says otherwise.
  if (exchange.principal !== undefined) headers.authorization ??= 'somebody';
  const request = { method: exchange.method, url: key, headers };
  return { exchange, key, request, conditions: conditionsOf(exchange) };
}

/** The fields of an answer without those that guards add for this one client. */
export function withoutAdded(list: HeaderList, added: HeaderList): string[] {
  const own = [...list];
  for (let index = added.length - 2; index >= 0; index -= 2) {
    for (let at = own.length - 2; at >= 0; at -= 2) {
      if (own[at] !== added[index] || own[at + 1] !== added[index + 1]) continue;
      own.splice(at, 2);
      break;
    }
  }
  return own;
}

/** Put an answer in place of the one that is about to go out, and what guards add for this client. */
export function replaceHead(head: AnswerHead, given: GivenAnswer, added: AddedHeaders): void {
  const { headers } = head;
  for (const [name] of [...pairs(headers.raw)]) headers.delete(name);
  for (const [name, value] of pairs(given.headers)) {
    if (!added.replaced.has(name.toLowerCase())) headers.append(name, value);
  }
  for (const [name, value] of pairs(added.list)) headers.append(name, value);
  head.status = given.status;
}

export function* pairs(list: HeaderList): Generator<readonly [string, string]> {
  for (let index = 0; index < list.length; index += 2) yield [list[index]!, list[index + 1]!];
}
