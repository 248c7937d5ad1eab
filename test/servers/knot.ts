import { Resolver } from 'node:dns/promises';
import { writeFile } from 'node:fs/promises';
import { printedVersion } from './find-binary.ts';
import type { Server } from './server.ts';
import type { ServerKind } from './server-kind.ts';

/** The zone that the server answers for. A server named by `DNS_SERVER` must have it too, with its SRV record. */
export const zone = 'holdfast.test';

const zoneFile = `$TTL 1
@ SOA ns hostmaster 1 60 60 60 1
@ NS ns
ns A 127.0.0.1
a A 127.0.0.1
_api._tcp SRV 1 10 8081 a
`;

/** Knot DNS, whose records can be changed while it runs. */
export const knot: ServerKind = {
  name: 'knot',
  binary: 'knotd',
  install: 'apt-get install knot',
  environment: 'DNS_SERVER',
  scheme: 'dns',
  ports: 1,
  version: (binary) => printedVersion(binary, '--version'),
  url: ({ ports }) => `dns://127.0.0.1:${ports[0]}`,
  prepare: async ({ directory, ports }) => {
    await writeFile(`${directory}/${zone}.zone`, zoneFile);
    const configuration = `
server:
    listen: 127.0.0.1@${ports[0]}
    rundir: "${directory}"
    automatic-acl: off
control:
    listen: "${directory}/control"
database:
    storage: "${directory}"
log:
  - target: stderr
    any: info
template:
  - id: default
    storage: "${directory}"
zone:
  - domain: ${zone}
    file: ${zone}.zone
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
`;
    await writeFile(`${directory}/knot.conf`, configuration);
  },
  commands: ({ directory }) => [{ program: 'knotd', arguments: ['-c', `${directory}/knot.conf`] }],
  ready: async ({ ports }) => {
    const resolver = new Resolver({ timeout: 500, tries: 1 });
    resolver.setServers([`127.0.0.1:${ports[0]}`]);
    return (await resolver.resolveSrv(`_api._tcp.${zone}`)).length > 0;
  },
};

/** Replace all records of one name and type, such as `setRecords(server, '_api._tcp', 'SRV', ['1 10 8081 a'])`. */
export async function setRecords(
  server: Server,
  name: string,
  type: string,
  records: readonly string[],
): Promise<void> {
  const { site } = server;
  if (site === undefined)
    throw new Error('the records of a server that DNS_SERVER names are not ours to change');
  const control = (...values: string[]): Promise<string> =>
    site.execute('knotc', '-s', `${site.directory}/control`, ...values);
  await control('zone-begin', zone);
  await control('zone-unset', zone, name, type);
  for (const record of records) await control('zone-set', zone, name, '1', type, ...record.split(' '));
  await control('zone-commit', zone);
}
