/** What a client takes, by its `Accept-Encoding` (RFC 9110, 12.5.3). Pure. */

/** The content codings that can be made here. */
export type ContentCoding = 'br' | 'gzip';

/** What suits the client. */
export interface Negotiated {
  /** The coding to use; undefined for none. */
  readonly coding: ContentCoding | undefined;
  /** Whether the answer may also go out as it is. */
  readonly identity: boolean;
}

/**
 * Choose a coding: the one that the client likes best, and of equals the one that stands first in `offered`. One that it
 * likes less than no coding at all is not chosen.
 *
 * @param accept the field's value; undefined, when it is absent, means no coding.
 */
export function negotiate(accept: string | undefined, offered: readonly ContentCoding[]): Negotiated {
  if (accept === undefined) return { coding: undefined, identity: true };
  const weights = parseWeights(accept);
  const wildcard = weights.get('*');
  // Without a word about it, `identity` is acceptable, unless everything else is ruled out by `*;q=0`.
  const identity = weights.get('identity') ?? (wildcard === 0 ? 0 : undefined);
  let coding: ContentCoding | undefined;
  let best = 0;
  for (const offer of offered) {
    const weight = weightOf(weights, offer) ?? wildcard ?? 0;
    if (weight <= best) continue;
    best = weight;
    coding = offer;
  }
  if (identity !== undefined && identity > best) coding = undefined;
  return { coding, identity: identity !== 0 };
}

function weightOf(weights: ReadonlyMap<string, number>, coding: ContentCoding): number | undefined {
  // The old name of gzip means the same (RFC 9110, 8.4.1.3).
  return weights.get(coding) ?? (coding === 'gzip' ? weights.get('x-gzip') : undefined);
}

function parseWeights(accept: string): Map<string, number> {
  const weights = new Map<string, number>();
  for (const element of accept.toLowerCase().split(',')) {
    const [name = '', ...parameters] = element.split(';').map((part) => part.trim());
    if (name === '') continue;
    const given = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
    // A weight that is none is a coding that is not wanted.
    const weight =
      given === undefined ? 1 : /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(given) ? Number(given) : 0;
    weights.set(name, weight);
  }
  return weights;
}
