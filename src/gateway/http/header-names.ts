/**
 * What is known of the names of header fields. The same few names come with every message, so each spelling is looked
 * at once: a lookup by the text gives all that would otherwise be found out by lower-casing it and asking several sets.
 */
import { remember } from './remember.ts';

/** A header field's name in one spelling. */
export interface HeaderName {
  /** As it was spelled. */
  readonly text: string;
  readonly lower: string;
  /** Whether the field speaks of one connection only (RFC 9110, 7.6.1), besides those that `Connection` names. */
  readonly endsHere: boolean;
  /** Whether the router writes the field of a request itself. */
  readonly rewritten: boolean;
  /** Whether only a trusted proxy may say it: where a request comes from, and how long there is for it. */
  readonly forwarded: boolean;
}

const hopByHop: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);

/** Fields of a request that the router writes, or that undici makes from the body. */
const rewritten: ReadonlySet<string> = new Set([
  'host',
  'expect',
  'via',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'forwarded',
  'x-request-timeout',
]);

const forwarded = /^(?:forwarded|x[-_]forwarded[-_].*|x[-_]real[-_]ip|x[-_]request[-_]timeout)$/;

/** More than any set of honest peers uses. */
const mostKnown = 2_048;

/** Longer names are not worth keeping. */
const longestKnown = 64;

const known: Map<string, HeaderName> = new Map();

/** What is known of a name. */
export function headerName(text: string): HeaderName {
  return known.get(text) ?? learn(text);
}

function learn(text: string): HeaderName {
  const lower = text.toLowerCase();
  const name: HeaderName = {
    text: unshared(text),
    lower: unshared(lower),
    endsHere: hopByHop.has(lower),
    rewritten: rewritten.has(lower),
    forwarded: forwarded.test(lower),
  };
  if (text.length <= longestKnown) remember(known, mostKnown, name.text, name);
  return name;
}

/** The same text, but none that keeps a longer one alive of which it was cut, and quick to compare with literals. */
function unshared(text: string): string {
  return Object.keys({ [text]: 0 })[0] ?? text;
}
