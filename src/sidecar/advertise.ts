import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os';

const isWildcard = (host: string): boolean => host === '0.0.0.0' || host === '::';

/** The URL by which a process of this machine reaches a listener; by address, since `localhost` may mean another. */
export function localUrl(
  listening: string,
  address: { readonly port: number; readonly url: string },
): string {
  return isWildcard(listening) ? `http://127.0.0.1:${address.port}` : address.url;
}

/**
 * The host under which others reach a listener: its own address, or, when it listens on all of them, this machine's
 * first address that is not loopback, IPv4 before IPv6.
 *
 * @param interfaces the machine's; for tests.
 */
export function advertisedHost(
  listening: string,
  interfaces: NodeJS.Dict<NetworkInterfaceInfo[]> = networkInterfaces(),
): string {
  if (!isWildcard(listening)) return listening;
  const addresses = Object.values(interfaces)
    .flatMap((list) => list ?? [])
    // Link-local addresses mean nothing without the interface that they belong to.
    .filter(
      ({ internal, address }) => !internal && !address.startsWith('fe80:') && !address.startsWith('169.254.'),
    );
  const best = addresses.find(({ family }) => family === 'IPv4') ?? addresses[0];
  return best?.address ?? (listening === '::' ? '::1' : '127.0.0.1');
}
