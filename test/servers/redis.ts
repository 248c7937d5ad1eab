import { Conversation } from './conversation.ts';
import { printedVersion } from './find-binary.ts';
import type { ServerKind, Site } from './server-kind.ts';

const url = ({ ports }: Site): string => `redis://127.0.0.1:${ports[0]}`;

/** Redis, in memory only. */
export const redis: ServerKind = {
  name: 'redis',
  binary: 'redis-server',
  install: 'apt-get install redis-server',
  environment: 'REDIS_URL',
  scheme: 'redis',
  ports: 1,
  version: (binary) => printedVersion(binary, '--version'),
  url,
  commands: ({ ports }) => [
    {
      program: 'redis-server',
      arguments: ['--bind', '127.0.0.1', '--port', String(ports[0]), '--save', '', '--appendonly', 'no'],
    },
  ],
  ready: async (site) => {
    const conversation = await Conversation.open(new URL(url(site)));
    try {
      conversation.say('PING\r\n');
      return (await conversation.hear(/\r\n/)) === '+PONG\r\n';
    } finally {
      conversation.close();
    }
  },
};
