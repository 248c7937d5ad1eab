import { headerName } from './header-names.ts';

/** Fields that Node takes once only, and throws at a second one, wherever that comes from. */
const onceOnly: ReadonlySet<string> = new Set(
  (
    'access-control-allow-credentials access-control-max-age access-control-request-method age authorization ' +
    'content-encoding content-language content-length content-location content-md5 content-range content-type date ' +
    'dnt etag expires from host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified ' +
    'location max-forwards proxy-authorization range referer retry-after tk upgrade-insecure-requests user-agent ' +
    'x-content-type-options'
  ).split(' '),
);

/**
 * Header fields as `node:http2` takes them. What stands there several times and should not is one field of all its values,
 * as guards see it.
 */
export function http2Fields(headers: readonly string[]): Record<string, string | string[]> {
  const fields: Record<string, string | string[]> = Object.create(null);
  for (let index = 0; index < headers.length; index += 2) {
    const name = headerName(headers[index]!);
    if (name.endsHere && name.lower !== 'te' && name.lower !== 'trailer') continue;
    const before = fields[name.lower];
    const value = headers[index + 1]!;
    if (before === undefined) fields[name.lower] = value;
    else if (!onceOnly.has(name.lower)) fields[name.lower] = [before, value].flat();
    else if (before !== value) fields[name.lower] = `${before}, ${value}`;
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
