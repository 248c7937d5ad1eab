/** Giving a stored answer: whole, without its body to HEAD, or as 304 to a client that has it already. Pure. */
import { parseHttpDate } from '../../../core/clock.ts';
import type { Exchange } from '../../exchange/exchange.ts';
import type { HeaderList } from '../../http/headers.ts';
import { opaque } from './freshness.ts';
import type { StoredAnswer } from './store.ts';

/** An answer to give. */
export interface GivenAnswer {
  readonly status: number;
  readonly headers: HeaderList;
  readonly body: Buffer | undefined;
}

/**
 * Fields that a 304 repeats (RFC 9110, 15.4.5); the others would only describe a body that does not come. A cookie is
 * never stored: it came with the renewal that this client brought about.
 */
const repeated = new Set([
  'cache-control',
  'content-location',
  'date',
  'etag',
  'expires',
  'vary',
  'last-modified',
  'set-cookie',
]);

/** What to answer from the store to this client. */
export function answerFrom(stored: StoredAnswer, conditions: Conditions, method: string): GivenAnswer {
  const unchanged = stored.status === 200 && isUnchanged(stored.headers, conditions);
  const headers: string[] = [];
  for (let index = 0; index < stored.headers.length; index += 2) {
    const name = stored.headers[index]!.toLowerCase();
    if (name === 'age' || name === 'content-length' || (unchanged && !repeated.has(name))) continue;
    headers.push(stored.headers[index]!, stored.headers[index + 1]!);
  }
  headers.push('Age', String(stored.freshness.age));
  if (unchanged) return { status: 304, headers, body: undefined };
  const empty = stored.status === 204 || method === 'HEAD';
  if (stored.status !== 204) headers.push('Content-Length', String(stored.body.length));
  return { status: stored.status, headers, body: empty ? undefined : stored.body };
}

/** What a client says of the copy that it has. */
export interface Conditions {
  readonly noneMatch: string | undefined;
  readonly modifiedSince: string | undefined;
}

export function conditionsOf({ headers }: Exchange): Conditions {
  return { noneMatch: headers.get('if-none-match'), modifiedSince: headers.get('if-modified-since') };
}

function isUnchanged(stored: HeaderList, { noneMatch, modifiedSince }: Conditions): boolean {
  const fieldOf = (name: string): string | undefined => {
    const index = stored.findIndex((part, at) => at % 2 === 0 && part.toLowerCase() === name);
    return index === -1 ? undefined : stored[index + 1];
  };
  if (noneMatch !== undefined) {
    const tag = fieldOf('etag');
    if (noneMatch.trim() === '*') return true;
    if (tag === undefined) return false;
    const tags = noneMatch.match(/(?:W\/)?"[^"]*"/g) ?? [];
    return tags.some((candidate) => opaque(candidate) === opaque(tag));
  }
  const [since, changed] = [modifiedSince, fieldOf('last-modified')].map((text) =>
    text === undefined ? undefined : parseHttpDate(text),
  );
  return since !== undefined && changed !== undefined && changed <= since;
}
