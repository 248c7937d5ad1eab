/**
 * The versions of HTTP in which messages come in. A request line that says `HTTP/2.0` is none of them: Node's parser
 * would let it pass, but HTTP/2 has no such line.
 */
export type HttpVersion = '1.0' | '1.1' | '2';

/** A router's entry in `Via`, by the version in which it received a message (RFC 9110, 7.6.3). */
export type Via = Readonly<Record<HttpVersion, string>>;

/** Whether messages of this version are understood. */
export function isHttpVersion(version: string): version is HttpVersion {
  return version === '1.1' || version === '2' || version === '1.0';
}

/** @param pseudonym how the router names itself. */
export function viaOf(pseudonym: string): Via {
  return { '1.0': `1.0 ${pseudonym}`, '1.1': `1.1 ${pseudonym}`, '2': `2.0 ${pseudonym}` };
}
