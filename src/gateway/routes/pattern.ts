/** Patterns of routes: what they are made of, which paths they match, and which of two is the more specific. */
import { METHODS } from 'node:http';
import { InvalidOptionsError } from '../../core/errors.ts';
import { describe } from '../../core/options.ts';

/** One segment of a pattern's path. */
export type Segment =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'param'; readonly name: string }
  /** Text with `:name`s in it, such as `:id.json`: one more text than names, and none in the middle is empty. */
  | { readonly kind: 'mixed'; readonly texts: readonly string[]; readonly names: readonly string[] }
  | { readonly kind: 'rest' };

/** A pattern's parts. */
export interface RoutePattern {
  /** Upper case; empty for every method but TRACE and CONNECT, which must be named. */
  readonly methods: readonly string[];
  /** Lower case; empty for every host; `*.` in front for every name below it. */
  readonly host: string;
  /** As it was declared. */
  readonly path: string;
  readonly segments: readonly Segment[];
  /** Whether the path has a `:name` or `*`. */
  readonly varies: boolean;
}

/** Decoded values of a pattern's `:name`s, and of `*`. */
export type Params = Readonly<Record<string, string>>;

const shape = /^(?:([A-Z][A-Z-]*(?:,[A-Z][A-Z-]*)*) +)?(\*|(?:\*\.)?[\w.-]*|\[[0-9A-Fa-f:.]+\])(\/\S*)$/;

const paramName = /^[A-Za-z_]\w*/;

/**
 * Take a pattern apart: `'[METHODS ][host]/path'`.
 *
 * @throws InvalidOptionsError when it does not have this shape.
 */
export function parsePattern(pattern: string): RoutePattern {
  const parts = typeof pattern === 'string' ? shape.exec(pattern) : null;
  if (parts === null || /[?#\\]/.test(parts[3]!)) {
    throw badPattern(pattern, "'[METHODS ][host]/path', such as 'GET,POST api.example.com/orders/:id'");
  }
  const path = parts[3]!;
  if (/\/\{[\w*]+\}/.test(path)) {
    throw badPattern(pattern, '`:name` for a segment that varies; `{name}` is for `rewrite` and `compose`');
  }
  const segments = path.slice(1).split('/');
  const parsed = segments.map((text, index) => parseSegment(pattern, text, index === segments.length - 1));
  if (parsed.slice(0, -1).some((segment) => segment.kind === 'literal' && segment.text === '')) {
    throw badPattern(pattern, 'a path without `//`, since no request has one by then');
  }
  const names = parsed.flatMap(namesOf);
  if (new Set(names).size < names.length) throw badPattern(pattern, 'each `:name` only once');
  const methods = [...new Set(parts[1]?.split(','))];
  const unknown = methods.find((method) => !METHODS.includes(method));
  if (unknown !== undefined) throw badPattern(pattern, `methods of HTTP, and ${unknown} is none`);
  return {
    methods,
    host: parts[2] === '*' ? '' : parts[2]!.toLowerCase(),
    path,
    segments: parsed,
    varies: parsed.some(({ kind }) => kind !== 'literal'),
  };
}

/** @param accepts what would have been a pattern. */
export function badPattern(pattern: string, accepts: string): InvalidOptionsError {
  return new InvalidOptionsError('RequestRouter.route', [
    { field: 'pattern', received: describe(pattern), accepts },
  ]);
}

function namesOf(segment: Segment): readonly string[] {
  if (segment.kind === 'param') return [segment.name];
  return segment.kind === 'mixed' ? segment.names : [];
}

function parseSegment(pattern: string, text: string, last: boolean): Segment {
  if (text === '*' && last) return { kind: 'rest' };
  const texts = [''];
  const names: string[] = [];
  for (let at = 0; at < text.length; ) {
    const colon = text[at] === ':' && text[at + 1] !== ':';
    const name = colon ? paramName.exec(text.slice(at + 1))?.[0] : undefined;
    if (text[at] === '*') throw badPattern(pattern, '`*` as the whole last segment only');
    if (colon && name === undefined) throw badPattern(pattern, 'a name after `:`, or `::` for a colon');
    if (name !== undefined && names.length > 0 && texts.at(-1) === '') {
      throw badPattern(pattern, 'text between two `:name`s of one segment');
    }
    if (name !== undefined) {
      names.push(name);
      texts.push('');
      at += name.length + 1;
    } else {
      texts.push(`${texts.pop()}${text[at]}`);
      at += text.startsWith('::', at) ? 2 : 1;
    }
  }
  const plain = texts.map((part) => decoded(pattern, part));
  if (names.length === 0) {
    if (plain[0] === '.' || plain[0] === '..') throw badPattern(pattern, 'a path without dot segments');
    return { kind: 'literal', text: plain[0]! };
  }
  if (names.length === 1 && plain.every((part) => part === '')) return { kind: 'param', name: names[0]! };
  if (plain.some((part) => /[()]/.test(part))) {
    throw badPattern(pattern, '`:name` without an expression; test values by `when` or in a guard');
  }
  return { kind: 'mixed', texts: plain, names };
}

/** Text as it is compared: requests' segments are decoded, too, since `%40` and `@` are one to every upstream. */
function decoded(pattern: string, text: string): string {
  try {
    const plain = decodeURIComponent(text);
    if (!/[/\\]/.test(plain)) return plain;
  } catch {
    // Told below.
  }
  throw badPattern(pattern, 'a path whose escapes are those of UTF-8, and of no slash');
}

/** The text of a segment of a request's canonical path. */
export function segmentText(segment: string): string {
  return segment.includes('%') ? decodeURIComponent(segment) : segment;
}

/**
 * What a segment with text in it takes out of a request's: each `:name` takes as little as it can, but something.
 * Undefined when it does not match. Takes linear time.
 */
export function mixedValues(texts: readonly string[], segment: string): string[] | undefined {
  const tail = texts.at(-1)!;
  const end = segment.length - tail.length;
  if (!segment.startsWith(texts[0]!) || !segment.endsWith(tail)) return undefined;
  const values: string[] = [];
  let at = texts[0]!.length;
  for (let index = 1; index < texts.length; index += 1) {
    const last = index === texts.length - 1;
    const next = last ? end : segment.indexOf(texts[index]!, at + 1);
    if (next <= at || next > end) return undefined;
    values.push(segment.slice(at, next));
    at = next + texts[index]!.length;
  }
  return values;
}

/** The values of a pattern's names in a canonical path; undefined when it does not match. */
export function paramsOf(segments: readonly Segment[], path: string): Params | undefined {
  const params: Record<string, string> = {};
  let start = 1;
  for (const segment of segments) {
    if (segment.kind === 'rest') {
      params['*'] = segmentText(path.slice(start));
      return params;
    }
    if (start > path.length) return undefined;
    const slash = path.indexOf('/', start);
    const end = slash === -1 ? path.length : slash;
    if (!takeSegment(segment, segmentText(path.slice(start, end)), params)) return undefined;
    start = end + 1;
  }
  return start > path.length ? params : undefined;
}

/**
 * The same for a path that is known to match: less to look at.
 *
 * @param path canonical.
 */
export function readParams(segments: readonly Segment[], path: string): Params {
  if (path.includes('%')) return paramsOf(segments, path) ?? {};
  const params: Record<string, string> = {};
  let start = 1;
  for (let index = 0; index < segments.length; index += 1) {
    const segment = segments[index]!;
    if (segment.kind === 'literal') {
      start += segment.text.length + 1;
    } else if (segment.kind === 'rest') {
      params['*'] = path.slice(start);
    } else {
      const slash = path.indexOf('/', start);
      const end = slash === -1 ? path.length : slash;
      takeSegment(segment, path.slice(start, end), params);
      start = end + 1;
    }
  }
  return params;
}

function takeSegment(segment: Segment, text: string, params: Record<string, string>): boolean {
  if (segment.kind === 'literal') return segment.text === text;
  if (segment.kind === 'param') {
    params[segment.name] = text;
    return text !== '';
  }
  if (segment.kind === 'rest') return true;
  const values = mixedValues(segment.texts, text);
  if (values === undefined) return false;
  for (const [index, name] of segment.names.entries()) params[name] = values[index]!;
  return true;
}

/** Whether a pattern's host, as {@link RoutePattern} has it, includes a host in lower case. */
export function includesHost(pattern: string, host: string): boolean {
  if (pattern === '' || pattern === host) return true;
  return pattern.startsWith('*.') && host.length >= pattern.length && host.endsWith(pattern.slice(1));
}

/** How much a host says: nothing for every host, then the more labels the more, and a name more than `*.`. */
function hostRank(host: string): number {
  if (host === '') return 0;
  return host.startsWith('*') ? host.split('.').length : Number.MAX_SAFE_INTEGER;
}

/** How much a segment says: text most, `*` least; of two with text in them, the one with more of it. */
export function segmentRank(segment: Segment | undefined): number {
  // A path that ends here says more than one that goes on with `*`, which are the only two that can meet.
  if (segment === undefined) return Number.MAX_SAFE_INTEGER;
  if (segment.kind === 'literal') return Number.MAX_SAFE_INTEGER;
  if (segment.kind === 'mixed') return 2 + segment.texts.join('').length;
  return segment.kind === 'param' ? 1 : 0;
}

/** Orders two patterns that match the same request: negative when the first is the more specific in host or path. */
export function compareSpecificity(a: RoutePattern, b: RoutePattern): number {
  const hosts = hostRank(b.host) - hostRank(a.host);
  if (hosts !== 0) return hosts;
  const length = Math.max(a.segments.length, b.segments.length);
  for (let index = 0; index < length; index += 1) {
    const difference = segmentRank(b.segments[index]) - segmentRank(a.segments[index]);
    if (difference !== 0) return difference;
  }
  return 0;
}
