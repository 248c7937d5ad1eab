/** The header fields of an upstream's answer, from the raw list that undici gives. */
import { type HeaderName, headerName } from './header-names.ts';
import { connectionOptions } from './headers.ts';

const none: ReadonlySet<string> = new Set();

/**
 * The fields of an answer that go on to the client.
 *
 * @param replaced names, in lower case, of fields that are left out because ours take their place.
 */
export function responseHeaders(raw: readonly Buffer[], replaced: ReadonlySet<string> = none): string[] {
  const kept: string[] = [];
  const whole = wholeText(raw);
  const start = raw[0]?.byteOffset ?? 0;
  let options = none;
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = whole === undefined ? headerName(textOf(raw[index]!)) : nameIn(whole, start, raw, index);
    if (name.endsHere && name.lower !== 'connection') continue;
    const part = raw[index + 1]!;
    const place = part.byteOffset - start;
    const value = whole === undefined ? textOf(part) : whole.slice(place, place + part.length);
    if (name.endsHere) options = union(options, connectionOptions(value));
    else if (replaced.size === 0 || !replaced.has(name.lower)) kept.push(name.text, value);
  }
  return options.size === 0 ? kept : without(kept, options);
}

/** Interim answers have no body. */
const onlyLength: ReadonlySet<string> = new Set(['content-length']);

/** The fields of an interim answer that go on to the client. */
export function interimFields(raw: readonly Buffer[]): string[] {
  return responseHeaders(raw, onlyLength);
}

function textOf(part: Buffer): string {
  return part.toString('latin1');
}

/**
 * The text that all parts of a list were cut of. As a rule they lie in one piece of memory, as it came from the
 * connection: that is decoded at once, which costs less than field by field. Undefined when they do not.
 */
function wholeText(raw: readonly Buffer[]): string | undefined {
  const first = raw[0];
  if (first === undefined) return undefined;
  const { buffer, byteOffset: start } = first;
  let end = start;
  for (let index = 0; index < raw.length; index += 1) {
    const part = raw[index]!;
    const { byteOffset } = part;
    if (part.buffer !== buffer || byteOffset < end) return undefined;
    end = byteOffset + part.length;
  }
  return Buffer.from(buffer, start, end - start).toString('latin1');
}

/**
 * The names at each place of the answer before. An upstream gives the same ones in the same order most of the time, and
 * to compare a name where it stands costs a third of cutting it out and looking it up.
 */
const expected: HeaderName[] = [];

/** Longer lists are rare, and what they hold is not to be kept. */
const mostExpected = 64;

function nameIn(whole: string, start: number, raw: readonly Buffer[], index: number): HeaderName {
  const part = raw[index]!;
  const place = part.byteOffset - start;
  const guess = expected[index >> 1];
  if (guess !== undefined && guess.text.length === part.length && whole.startsWith(guess.text, place)) {
    return guess;
  }
  const name = headerName(whole.slice(place, place + part.length));
  if (index >> 1 < mostExpected && name.text.length <= mostExpected) expected[index >> 1] = name;
  return name;
}

function union(some: ReadonlySet<string>, others: ReadonlySet<string>): ReadonlySet<string> {
  return some.size === 0 ? others : new Set([...some, ...others]);
}

function without(list: readonly string[], names: ReadonlySet<string>): string[] {
  return list.filter((_text, index) => !names.has(headerName(list[index & ~1]!).lower));
}
