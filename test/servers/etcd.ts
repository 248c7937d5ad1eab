import { printedVersion } from './find-binary.ts';
import type { ServerKind, Site } from './server-kind.ts';

const clientUrl = ({ ports }: Site): string => `http://127.0.0.1:${ports[0]}`;
const peerUrl = ({ ports }: Site): string => `http://127.0.0.1:${ports[1]}`;

/** etcd as a cluster of one, with the JSON gateway under `/v3`. */
export const etcd: ServerKind = {
  name: 'etcd',
  binary: 'etcd',
  install: 'apt-get install etcd-server',
  environment: 'ETCD_URL',
  scheme: 'http',
  ports: 2,
  version: (binary) => printedVersion(binary, '--version'),
  url: clientUrl,
  commands: (site) => [
    {
      program: 'etcd',
      arguments: [
        ...['--name', 'one', '--data-dir', 'data', '--unsafe-no-fsync'],
        ...['--listen-client-urls', clientUrl(site), '--advertise-client-urls', clientUrl(site)],
        ...['--listen-peer-urls', peerUrl(site), '--initial-advertise-peer-urls', peerUrl(site)],
        ...['--initial-cluster', `one=${peerUrl(site)}`],
      ],
    },
  ],
  ready: async (site) => {
    const response = await fetch(`${clientUrl(site)}/health`);
    return ((await response.json()) as { health?: string }).health === 'true';
  },
};
