import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os';

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
  if (listening !== '0.0.0.0' && listening !== '::') return listening;
  const addresses = Object.values(interfaces)
    .flatMap((list) => list ?? [])
    // Link-local addresses mean nothing without the interface that they belong to.
    .filter(
      ({ internal, address }) => !internal && !address.startsWith('fe80:') && !address.startsWith('169.254.'),
    );
  const best = addresses.find(({ family }) => family === 'IPv4') ?? addresses[0];
  return best?.address ?? (listening === '::' ? '::1' : '127.0.0.1');
}
