import { lookup as systemLookup } from 'node:dns';
import { type BlockList, isIP, type LookupFunction } from 'node:net';
import { UpstreamError } from '../../core/errors.ts';
import { includesAddress } from '../http/addresses.ts';

/**
 * Addresses that a router never calls, unless told otherwise: the link-local ones, where clouds serve their
 * machines' credentials. A registry that anyone may write to must not become a way to read those.
 */
export const defaultDeniedUpstreams: readonly string[] = ['169.254.0.0/16', 'fe80::/10'];

/**
 * A lookup that refuses denied addresses **after** the name was resolved, and hands the checked addresses to the
 * connection, so that a name cannot resolve to another one in between.
 */
export function checkedLookup(denied: BlockList): LookupFunction {
  return (hostname, options, callback) => {
    systemLookup(hostname, options, (error, address, family) => {
      if (error) return callback(error, address as string, family as number);
      const addresses = typeof address === 'string' ? [address] : (address as { address: string }[]);
      const refused = addresses.find((a) => includesAddress(denied, typeof a === 'string' ? a : a.address));
      if (refused !== undefined) {
        return callback(deniedError(hostname) as NodeJS.ErrnoException, '', 0);
      }
      return callback(null, address as string, family as number);
    });
  };
}

/**
 * The same check for an origin that names an address, for which nothing is looked up.
 *
 * @throws UpstreamError when it is denied.
 */
export function refuseAddress(origin: string, denied: BlockList): void {
  const { hostname } = new URL(origin);
  const bare = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
  if (isIP(bare) !== 0 && includesAddress(denied, bare)) throw deniedError(bare);
}

function deniedError(host: string): UpstreamError {
  return new UpstreamError(host, 'its address is among those that are never called (deniedUpstreams)');
}
