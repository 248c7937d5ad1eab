import { spawnSync } from 'node:child_process';
import { accessSync, constants, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ServerKind } from './server-kind.ts';

/** Where a person may put binaries that the system does not have. Git ignores it. */
const cacheFolder = fileURLToPath(new URL('../../.servers', import.meta.url));

/** Daemons live here on Debian, and an ordinary user's PATH does not have them. */
const daemonFolders = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

/** The path of one of a server's programs, or undefined. */
export function findBinary(kind: Pick<ServerKind, 'folders'>, program: string): string | undefined {
  const folders = [
    ...(kind.folders ?? []),
    ...(process.env.PATH ?? '').split(delimiter),
    ...daemonFolders,
    cacheFolder,
    join(cacheFolder, 'bin'),
  ];
  return folders
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, program))
    .find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Such as `/usr/lib/postgresql/15/bin`: `bin` in each numbered folder, newest first. */
export function versionedFolders(parent: string): string[] {
  try {
    const versions = readdirSync(parent).sort((a, b) => Number.parseFloat(b) - Number.parseFloat(a));
    return versions.map((version) => join(parent, version, 'bin'));
  } catch {
    return [];
  }
}

/** The first thing like `7.0.15` in what the program prints, wherever it prints it. */
export function printedVersion(binary: string, ...values: readonly string[]): string {
  const { stdout, stderr } = spawnSync(binary, values, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return /\d+\.\d+(?:\.\d+)?/.exec(`${stdout ?? ''}${stderr ?? ''}`)?.[0] ?? 'unknown version';
}
