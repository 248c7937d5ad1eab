import { printedVersion, versionedFolders } from './find-binary.ts';
import type { ServerKind } from './server-kind.ts';

/** PostgreSQL with one superuser, `holdfast`, who needs no password. */
export const postgres: ServerKind = {
  name: 'postgres',
  binary: 'postgres',
  folders: versionedFolders('/usr/lib/postgresql'),
  install: 'apt-get install postgresql',
  environment: 'DATABASE_URL',
  scheme: 'postgres',
  users: ['postgres', 'nobody'],
  ports: 1,
  // TERM would wait for clients to leave; INT rolls them back. QUIT is a crash whose children go too.
  stopSignal: 'INT',
  crashSignal: 'SIGQUIT',
  version: (binary) => printedVersion(binary, '--version'),
  url: ({ ports }) => `postgres://holdfast@127.0.0.1:${ports[0]}/postgres`,
  prepare: async ({ execute }) => {
    await execute('initdb', '-D', 'data', '-U', 'holdfast', '-A', 'trust', '-E', 'UTF8', '--no-sync');
  },
  commands: ({ ports }) => [
    {
      program: 'postgres',
      arguments: [
        ...['-D', 'data', '-p', String(ports[0])],
        ...['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'shared_buffers=16MB'].flatMap((s) => [
          '-c',
          s,
        ]),
      ],
    },
  ],
  // Rejects by its exit code while the server does not take connections.
  ready: async ({ execute, ports }) => {
    await execute('pg_isready', '-q', '-h', '127.0.0.1', '-p', String(ports[0]));
    return true;
  },
};
