import { Conversation } from './conversation.ts';
import { printedVersion } from './find-binary.ts';
import type { ServerKind, Site } from './server-kind.ts';

const url = ({ ports }: Site): string => `nats://127.0.0.1:${ports[0]}`;

/** NATS with JetStream. */
export const nats: ServerKind = {
  name: 'nats',
  binary: 'nats-server',
  install: 'apt-get install nats-server',
  environment: 'NATS_URL',
  scheme: 'nats',
  ports: 1,
  version: (binary) => printedVersion(binary, '--version'),
  url,
  commands: ({ ports }) => [
    {
      program: 'nats-server',
      arguments: ['-a', '127.0.0.1', '-p', String(ports[0]), '--jetstream', '--store_dir', 'data'],
    },
  ],
  ready: async (site) => {
    const conversation = await Conversation.open(new URL(url(site)));
    try {
      return (await conversation.hear(/\r\n/)).startsWith('INFO ');
    } finally {
      conversation.close();
    }
  },
};
