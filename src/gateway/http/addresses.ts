import { BlockList, isIP } from 'node:net';
import { InvalidOptionsError } from '../../core/errors.ts';

/**
 * A set of IP addresses from CIDRs or single addresses.
 *
 * @throws InvalidOptionsError naming the entry that is neither.
 */
export function addressSet(owner: string, field: string, entries: readonly string[]): BlockList {
  const set = new BlockList();
  for (const [index, entry] of entries.entries()) {
    const [address = '', bits] = entry.split('/');
    const family = isIP(address);
    const longest = family === 4 ? 32 : 128;
    const prefix = bits === undefined ? longest : /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN;
    if (family === 0 || !(prefix <= longest)) {
      throw new InvalidOptionsError(owner, [
        {
          field: `${field}.${index}`,
          received: JSON.stringify(entry),
          accepts: "an IP address or CIDR such as '10.0.0.0/8'",
        },
      ]);
    }
    set.addSubnet(address, prefix, family === 4 ? 'ipv4' : 'ipv6');
  }
  return set;
}

/** Whether an address is in a set; what is not an address is in none. IPv4 mapped into IPv6 counts as IPv4. */
export function includesAddress(set: BlockList, address: string): boolean {
  const family = isIP(address);
  return family !== 0 && set.check(address, family === 4 ? 'ipv4' : 'ipv6');
}

/** An address as others should see it: IPv4 that the system mapped into IPv6 is IPv4 again, zones are dropped. */
export function plainAddress(address: string): string {
  if (/^::ffff:/i.test(address)) return mapped(address);
  const zone = address.indexOf('%');
  return zone === -1 ? address : address.slice(0, zone);
}

/** The IPv4 address that is mapped, which may be written as two groups (RFC 4291, 2.2); others as they are. */
function mapped(address: string): string {
  if (address.includes('.')) return address.slice(7);
  const [high = '', low = '', more] = address.slice(7).split(':');
  if (more !== undefined || low === '') return address;
  const bits = Number.parseInt(high, 16) * 65_536 + Number.parseInt(low, 16);
  return [bits >>> 24, (bits >>> 16) & 255, (bits >>> 8) & 255, bits & 255].join('.');
}

/**
 * What to count a client by: its IPv4 address, or the /64 of its IPv6 address, since one subscriber owns a whole /64
 * and could otherwise use a new address for each request.
 */
export function addressKey(address: string): string {
  if (isIP(address) !== 6) return address;
  const [head = '', tail] = address.split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const after = tail === '' ? 0 : tail.split(':').length;
    while (groups.length + after < 8 && groups.length < 4) groups.push('0');
    if (groups.length < 4) groups.push(...tail.split(':'));
  }
  const network = groups.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16));
  return `${network.join(':')}::/64`;
}

/** The address in one element of X-Forwarded-For, without port and brackets; undefined when it is not one. */
function addressIn(element: string): string | undefined {
  const text = element.trim();
  const bracketed = /^\[([^\]]+)\](?::\d+)?$/.exec(text)?.[1];
  const bare = bracketed ?? /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(text)?.[1] ?? text;
  return isIP(bare) === 0 ? undefined : plainAddress(bare);
}

/**
 * Who sent a request that came through proxies: walk X-Forwarded-For from the right, past every address that is
 * trusted; the first that is not is the client. Whatever stands left of it, anyone may have written.
 */
export function clientBehind(peer: string, forwardedFor: string, trusted: BlockList): string {
  let client = peer;
  for (const element of forwardedFor.split(',').reverse()) {
    if (!includesAddress(trusted, client)) break;
    const next = addressIn(element);
    if (next === undefined) break;
    client = next;
  }
  return client;
}
