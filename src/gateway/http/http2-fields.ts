import { headerName } from './header-names.ts';

/** Header fields as `node:http2` takes them. */
export function http2Fields(headers: readonly string[]): Record<string, string | string[]> {
  const fields: Record<string, string | string[]> = Object.create(null);
  for (let index = 0; index < headers.length; index += 2) {
    const name = headerName(headers[index]!);
    if (name.endsHere && name.lower !== 'te' && name.lower !== 'trailer') continue;
    const before = fields[name.lower];
    const value = headers[index + 1]!;
    fields[name.lower] = before === undefined ? value : [before, value].flat();
  }
  return fields;
}

/** Trailers as `node:http2` gives them, as pairs. */
export function trailerPairs(rawTrailers: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let index = 0; index < rawTrailers.length; index += 2) {
    pairs.push([rawTrailers[index]!, rawTrailers[index + 1]!]);
  }
  return pairs;
}
