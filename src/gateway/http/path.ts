/**
 * The invariant of this folder: a request's path is made canonical once, here, and that one string is matched,
 * guarded, limited **and** forwarded. Whatever two servers could read differently (an encoded slash, a backslash, a
 * doubled escape) is refused, since reading it differently is how a proxy's rules are walked around.
 */
import { ProblemError } from '../../core/errors.ts';

/** What to do with two spellings that servers disagree about. */
export interface PathRules {
  /** `//`: `reject` with 400 (default), or `merge` into one slash. */
  readonly doubleSlash: 'reject' | 'merge';
  /** `;`: `reject` with 400 (default), or `keep`. `/..;` is refused either way. */
  readonly semicolon: 'reject' | 'keep';
}

/** The strict rules, which are the default. */
export const strictPathRules: PathRules = { doubleSlash: 'reject', semicolon: 'reject' };

/** Matches anything because of which a path might not be canonical already. */
const needsWork = /[^\x21-\x7e]|[%\\;#?]|\/\/|\/\./;

const unreserved = /[A-Za-z0-9._~-]/;

/** An escaped percent sign that a second decoding would turn into a dot, slash, backslash, NUL. */
const doublyEncoded = /%25(?:25)*(?:2[ef]|5c|00)/i;

/**
 * The canonical form of a path (without query): unreserved characters decoded, other escapes in upper case, dot
 * segments resolved (RFC 3986, 6.2.2). Idempotent.
 *
 * @throws ProblemError 400 for anything that is malformed or that servers read in different ways.
 */
export function canonicalPath(raw: string, rules: PathRules = strictPathRules): string {
  if (raw.charCodeAt(0) !== 47) throw badPath('it does not start with a slash');
  if (!needsWork.test(raw)) return raw;
  const path = raw.replace(/%([0-9A-Fa-f]{2})?/g, normaliseEscape);
  refuseAmbiguous(path, rules);
  return resolveDots(rules.doubleSlash === 'merge' ? path.replace(/\/{2,}/g, '/') : path);
}

function normaliseEscape(_escape: string, hex: string | undefined): string {
  if (hex === undefined) throw badPath('it has an incomplete percent escape');
  const code = Number.parseInt(hex, 16);
  if (code < 0x20 || code === 0x7f) throw badPath('it has an encoded control character');
  if (code === 0x2f || code === 0x5c) throw badPath('it has an encoded slash or backslash');
  const character = String.fromCharCode(code);
  return unreserved.test(character) ? character : `%${hex.toUpperCase()}`;
}

function refuseAmbiguous(path: string, rules: PathRules): void {
  if (/[^\x21-\x7e]/.test(path)) throw badPath('it has a character that must be percent-encoded');
  if (/[\\#?]/.test(path)) throw badPath('it has a backslash or a fragment');
  if (doublyEncoded.test(path)) throw badPath('it is encoded twice');
  if (/\/\.{1,2}(?:;|%3B)/.test(path)) throw badPath('it has parameters on a dot segment');
  if (rules.semicolon === 'reject' && path.includes(';')) throw badPath('it has a semicolon');
  if (rules.doubleSlash === 'reject' && path.includes('//')) throw badPath('it has an empty segment');
  try {
    decodeURIComponent(path);
  } catch {
    throw badPath('its escapes are not UTF-8');
  }
}

function resolveDots(path: string): string {
  if (!/\/\.{1,2}(?:\/|$)/.test(path)) return path;
  const segments = path.slice(1).split('/');
  const kept: string[] = [];
  for (const [index, segment] of segments.entries()) {
    const last = index === segments.length - 1;
    if (segment !== '.' && segment !== '..') {
      kept.push(segment);
      continue;
    }
    if (segment === '..' && kept.pop() === undefined) throw badPath('it climbs above the root');
    if (last) kept.push('');
  }
  return `/${kept.join('/')}`;
}

function badPath(why: string): ProblemError {
  return new ProblemError(400, `the path is not acceptable: ${why}`);
}

/**
 * The path without a leading prefix, which ends at a segment's border; unchanged when it does not start with it. Compared
 * by what the segments mean, as patterns are: `/a%40b/x` starts with `/a@b`.
 */
export function withoutPrefix(path: string, prefix: string): string {
  const bare = prefix.endsWith('/') ? prefix.slice(0, -1) : prefix;
  if (path === bare) return '/';
  if (path.startsWith(`${bare}/`)) return path.slice(bare.length);
  if (!path.includes('%') && !bare.includes('%')) return path;
  const segments = path.split('/');
  const wanted = bare.split('/');
  const starts = wanted.every((text, index) => {
    const segment = segments[index];
    return segment !== undefined && meaningOf(segment) === meaningOf(text);
  });
  return starts ? `/${segments.slice(wanted.length).join('/')}` : path;
}

function meaningOf(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** The path behind a prefix. */
export function withPrefix(path: string, prefix: string): string {
  const bare = prefix.endsWith('/') ? prefix.slice(0, -1) : prefix;
  return path === '/' && bare !== '' ? bare : `${bare}${path}`;
}

/** Looks up the value of a template's `{name}`; undefined when there is none. */
export type TemplateLookup = (name: string) => unknown;

/**
 * Fill `{name}` in a path or query template. A value can only ever become text inside one segment or query value:
 * it is percent-encoded, `{*}` segment by segment.
 *
 * @throws ProblemError 400 when a value is missing, empty, or would be a dot segment.
 */
export function fillTemplate(template: string, lookup: TemplateLookup): string {
  return template.replace(/\{([^{}]+)\}/g, (_match, name: string) => {
    const value = lookup(name);
    if (name === '*')
      return String(value ?? '')
        .split('/')
        .map(encodeURIComponent)
        .join('/');
    if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') {
      throw new ProblemError(400, `the request has no ${JSON.stringify(name)} to ask for`);
    }
    const text = String(value);
    if (text === '' || text === '.' || text === '..') {
      throw new ProblemError(400, `the request's ${JSON.stringify(name)} is not acceptable`);
    }
    return encodeURIComponent(text);
  });
}
