/**
 * Header fields as flat lists (`[name, value, name, value …]`), as Node and undici give and take them: case, order and
 * duplicates survive.
 */
import { ProblemError } from '../../core/errors.ts';
import { type HeaderName, headerName } from './header-names.ts';

/** A header list: names at even places, values at odd ones. */
export type HeaderList = readonly string[];

/** Fields that `Connection` may not name: removing them would change who asks, whom, or how long the message is. */
const neverHopByHop =
  /^(?:content-length|transfer-encoding|host|authorization|cookie|forwarded|x-forwarded-.*)$/;

/** Fields that may not arrive after the body, where no guard saw them (RFC 9110, 6.5.1). */
const neverTrailer =
  /^(?:content-(?:length|encoding|type|range)|transfer-encoding|host|trailer|te|connection|authorization|proxy-.*|cookie|set-cookie|location|vary|cache-control|expires|age|date|www-authenticate|x-forwarded-.*|forwarded)$/;

const none: ReadonlySet<string> = new Set();

const validName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const validValue = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Whether the name and value can stand in a header. */
export function fits(name: string, value: string): boolean {
  return validName.test(name) && validValue.test(value);
}

/** @throws TypeError when the name or value could not stand in a header. */
export function mustFit(name: string, value: string): void {
  if (fits(name, value)) return;
  throw new TypeError(`the header ${JSON.stringify(name)} cannot have this name or value`);
}

/** The names, in lower case, that a `Connection` value lists, other than the two that say nothing of headers. */
export function connectionOptions(value: string): ReadonlySet<string> {
  // What nearly every message says: nothing, or one of the two.
  if (value === '' || value === 'keep-alive' || value === 'close') return none;
  const names = value
    .toLowerCase()
    .split(',')
    .map((name) => name.trim());
  return new Set(names.filter((name) => name !== '' && name !== 'keep-alive' && name !== 'close'));
}

/**
 * As {@link connectionOptions}, for a request.
 *
 * @throws ProblemError 400 when it names a field that is not the sender's to remove.
 */
export function requestConnectionOptions(value: string): ReadonlySet<string> {
  const names = connectionOptions(value);
  for (const name of names) {
    if (neverHopByHop.test(name.replaceAll('_', '-'))) {
      throw new ProblemError(400, `the header Connection may not name ${JSON.stringify(name)}`);
    }
  }
  return names;
}

/**
 * Whether a field, in lower case, ends at this hop.
 *
 * @param options further names that do, because `Connection` lists them.
 */
export function endsHere(name: string, options: ReadonlySet<string> = none): boolean {
  return headerName(name).endsHere || options.has(name);
}

/** Whether an answer's body, by undici's raw list, is cut up in a way that another reader may not understand as we do. */
export function isOddlyCoded(raw: readonly Buffer[]): boolean {
  let codings = 0;
  for (let index = 0; index < raw.length; index += 2) {
    const field = raw[index]!;
    if (field.length !== 17 || field.toString('latin1').toLowerCase() !== 'transfer-encoding') continue;
    codings += 1;
    if (codings > 1 || raw[index + 1]!.toString('latin1').trim().toLowerCase() !== 'chunked') return true;
  }
  return false;
}

/** Whether a `TE` value says that trailers are understood: all of it that means anything beyond one connection. */
export function takesTrailers(te: string): boolean {
  return te.split(',').some((coding) => coding.trim().toLowerCase() === 'trailers');
}

/** The trailers that may go on, as pairs, from undici's raw list. */
export function forwardableTrailers(raw: readonly Buffer[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let index = 0; index + 1 < raw.length; index += 2) {
    pairs.push([raw[index]!.toString('latin1'), raw[index + 1]!.toString('latin1')]);
  }
  return acceptableTrailers(pairs);
}

/** Those of some trailers that may go on. */
export function acceptableTrailers(pairs: readonly (readonly [string, string])[]): [string, string][] {
  const kept: [string, string][] = [];
  for (const [name, value] of pairs) {
    const dashed = withDashes(name);
    // The message is whole already: a field that could not be sent is left out rather than break it.
    if (endsHere(dashed) || neverTrailer.test(dashed) || !validName.test(name) || !validValue.test(value)) {
      continue;
    }
    kept.push([name, value]);
  }
  return kept;
}

/**
 * Those of a request's trailers that may go on. They come after the guards: a server that takes them for fields of the
 * head must learn nothing from them that only the router, a guard or a trusted proxy may say, nor another value of what
 * the head says already.
 *
 * @param headers the head as it went on.
 * @param identityHeaders names that no client may send.
 */
export function requestTrailers(
  pairs: readonly (readonly [string, string])[],
  headers: RequestHeaders,
  identityHeaders: readonly string[],
): [string, string][] {
  if (pairs.length === 0) return [];
  const said = new Set([...identityHeaders, ...headers.kinds.map(({ lower }) => lower)].map(withDashes));
  return acceptableTrailers(pairs).filter(([name]) => {
    const dashed = withDashes(name);
    const { rewritten, forwarded } = headerName(dashed);
    return !rewritten && !forwarded && !said.has(dashed);
  });
}

/** A name in lower case, with `-` for `_`, which some servers equate. */
function withDashes(name: string): string {
  return name.toLowerCase().replaceAll('_', '-');
}

/** The value of a field in undici's raw list, or undefined. */
export function rawHeader(raw: readonly Buffer[], name: string): string | undefined {
  for (let index = 0; index < raw.length; index += 2) {
    const field = raw[index]!;
    if (field.length === name.length && field.toString('latin1').toLowerCase() === name) {
      return raw[index + 1]!.toString('latin1');
    }
  }
  return undefined;
}

/** The header fields of a request: lookups ignore case, and the list keeps what was sent. */
export class RequestHeaders {
  #raw: string[];
  readonly #kinds: HeaderName[] = [];
  #owned = false;

  constructor(raw: string[]) {
    this.#raw = raw;
    for (let index = 0; index < raw.length; index += 2) this.#kinds.push(headerName(raw[index]!));
  }

  /** The fields as they will go on: names at even places, values at odd ones. Do not change it. */
  get raw(): HeaderList {
    return this.#raw;
  }

  /**
   * What is known of each name, in the same order.
   *
   * @internal
   */
  get kinds(): readonly HeaderName[] {
    return this.#kinds;
  }

  /** A field's value; several are joined as HTTP allows, by `, ` (`cookie` by `; `). Undefined when it is absent. */
  get(name: string): string | undefined {
    const lower = name.toLowerCase();
    const first = this.#indexOf(lower, 0);
    if (first === -1) return undefined;
    if (this.#indexOf(lower, first + 1) === -1) return this.#raw[first * 2 + 1];
    return this.getAll(lower).join(lower === 'cookie' ? '; ' : ', ');
  }

  /** Each value of a field, in order. */
  getAll(name: string): string[] {
    const lower = name.toLowerCase();
    return this.#kinds.flatMap((kind, index) => (kind.lower === lower ? [this.#raw[index * 2 + 1]!] : []));
  }

  /** Whether a field is present. */
  has(name: string): boolean {
    return this.#indexOf(name.toLowerCase(), 0) !== -1;
  }

  #indexOf(lower: string, from: number): number {
    const kinds = this.#kinds;
    for (let index = from; index < kinds.length; index += 1) if (kinds[index]!.lower === lower) return index;
    return -1;
  }

  /**
   * Replace a field in what goes on to the upstream.
   *
   * @throws TypeError when the name or value could not stand in a header.
   */
  set(name: string, value: string): void {
    mustFit(name, value);
    this.delete(name);
    this.append(name, value);
  }

  /**
   * Add a field beside those of the same name.
   *
   * @throws TypeError when the name or value could not stand in a header.
   */
  append(name: string, value: string): void {
    mustFit(name, value);
    this.#own();
    this.#raw.push(name, value);
    this.#kinds.push(headerName(name));
  }

  /** Remove every field of this name, and those that differ from it only by `_` for `-`, which some servers equate. */
  delete(name: string): void {
    const target = name.toLowerCase().replaceAll('_', '-');
    for (let index = this.#kinds.length - 1; index >= 0; index -= 1) {
      if (this.#kinds[index]!.lower.replaceAll('_', '-') !== target) continue;
      this.#own();
      this.#raw.splice(index * 2, 2);
      this.#kinds.splice(index, 1);
    }
  }

  /** Node's list is shared with whoever else holds the request, so it is copied before the first change. */
  #own(): void {
    if (this.#owned) return;
    this.#raw = this.#raw.slice();
    this.#owned = true;
  }
}

/** What guards add to the answer, whoever gives it. */
export class AddedHeaders {
  readonly #list: string[] = [];
  readonly #replaced: Set<string> = new Set();

  /** The fields added, as a flat list. */
  get list(): HeaderList {
    return this.#list;
  }

  /** Names, in lower case, whose fields in the upstream's answer are left out. */
  get replaced(): ReadonlySet<string> {
    return this.#replaced;
  }

  /** Add a field in place of the upstream's own, and of those of this name that were added before. */
  set(name: string, value: string): void {
    mustFit(name, value);
    this.remove(name);
    this.#list.push(name, value);
  }

  /** Leave the upstream's own field out, and those of this name that were added before. */
  remove(name: string): void {
    const lower = name.toLowerCase();
    for (let index = this.#list.length - 2; index >= 0; index -= 2) {
      if (this.#list[index]!.toLowerCase() === lower) this.#list.splice(index, 2);
    }
    this.#replaced.add(lower);
  }

  /** Add a field beside the upstream's own. */
  append(name: string, value: string): void {
    mustFit(name, value);
    this.#list.push(name, value);
  }
}
