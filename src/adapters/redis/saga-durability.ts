import type { commandOf } from './client.ts';

type Command = ReturnType<typeof commandOf>;

/** One setting, or undefined where the server does not tell. */
async function settingOf(command: Command, name: string): Promise<string | undefined> {
  try {
    const answer = await command('CONFIG', 'GET', name);
    // A list of names and values, or with the newer protocol a map.
    const value = Array.isArray(answer) ? answer[1] : (answer as Record<string, unknown> | null)?.[name];
    return typeof value === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}

async function isAppending(command: Command): Promise<boolean | undefined> {
  const setting = await settingOf(command, 'appendonly');
  if (setting !== undefined) return setting === 'yes';
  try {
    const found = /aof_enabled:([01])/.exec(String(await command('INFO', 'persistence')));
    return found === null ? undefined : found[1] === '1';
  } catch {
    return undefined;
  }
}

/**
 * What a resolved write survives, by what the server says of its persistence.
 *
 * @see https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/
 */
export async function redisDurability(command: Command): Promise<string> {
  const log = await logDurability(command);
  const policy = await settingOf(command, 'maxmemory-policy');
  const limit = await settingOf(command, 'maxmemory');
  const evicts = policy !== undefined && policy !== 'noeviction' && limit !== undefined && limit !== '0';
  return `${log}; a failover loses what the replica did not have yet${
    evicts ? `; and the server throws records away when its memory is full (maxmemory-policy ${policy})` : ''
  }`;
}

async function logDurability(command: Command): Promise<string> {
  const appending = await isAppending(command);
  if (appending === undefined) return 'unknown: the server does not tell how it persists';
  if (!appending) return 'nothing but snapshots of the server: appendonly is off';
  switch (await settingOf(command, 'appendfsync')) {
    case 'always':
      return 'power loss';
    case 'everysec':
      return 'a crash of the server; the loss of power takes up to two seconds (appendfsync everysec)';
    case 'no':
      return 'a crash of the server; the loss of power takes what the system had not written (appendfsync no)';
    default:
      return 'a crash of the server; for the loss of power, unknown: the server does not tell appendfsync';
  }
}
