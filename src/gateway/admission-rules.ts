import { addressSet } from './http/addresses.ts';
import type { AdmissionRules } from './http/admit.ts';
import type { ResolvedRouterOptions } from './router-options.ts';

/**
 * What a router with these options lets in.
 *
 * @param pseudonym how it names itself in `Via`.
 * @throws InvalidOptionsError naming the entry of `trustedProxies` that is no address.
 */
export function admissionRules(options: ResolvedRouterOptions, pseudonym: string): AdmissionRules {
  const { paths, limits, trustedProxies, identityHeaders } = options;
  return {
    paths,
    pseudonym,
    maxHeaders: limits.headers,
    maxBody: limits.body,
    trustedProxies: trustedProxies && addressSet('RequestRouter', 'trustedProxies', trustedProxies),
    identityHeaders,
  };
}
