import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import type { Duration } from '../core/duration.ts';
import { ConfigSourceError } from '../core/errors.ts';
import { messageOf } from '../core/holdfast-error.ts';
import { isPlainObject, parseJson } from '../core/json.ts';
import { parseYaml } from '../core/yaml.ts';

/** What may be given on the command line. */
export interface SidecarFlags {
  readonly app?: string;
  readonly appPort?: number;
  readonly appHost?: string;
  readonly health?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly startTimeout?: Duration;
  readonly stopTimeout?: Duration;
  readonly host?: string;
  readonly listen?: number;
  readonly advertise?: string;
  readonly outbound?: number;
  readonly admin?: number;
  readonly adminHost?: string;
  readonly registry?: string;
  readonly timeout?: Duration;
  readonly retries?: number;
  readonly drainTimeout?: Duration;
  readonly drainDelay?: Duration;
}

/** Plain settings in the shape of the sidecar's options, the registry being an address. Not checked yet. */
export type PlainSettings = Record<string, unknown>;

/** The settings that flags and the command after `--` stand for. What was not given is left out. */
export function settingsOf(flags: SidecarFlags, command: readonly string[]): PlainSettings {
  return withoutMissing({
    app: {
      name: flags.app,
      port: flags.appPort,
      host: flags.appHost,
      health: flags.health === undefined ? undefined : { path: flags.health },
      env: flags.env,
      startTimeout: flags.startTimeout,
      stopTimeout: flags.stopTimeout,
      command: command.length === 0 ? undefined : command,
    },
    registry: flags.registry,
    inbound: { port: flags.listen, host: flags.host, advertise: flags.advertise },
    outbound: { port: flags.outbound },
    admin: { port: flags.admin, host: flags.adminHost },
    policies: {
      timeout: flags.timeout,
      retry:
        flags.retries === undefined
          ? undefined
          : flags.retries === 0
            ? false
            : { attempts: flags.retries + 1 },
    },
    drainDelay: flags.drainDelay,
    drainTimeout: flags.drainTimeout,
  });
}

function withoutMissing(value: Record<string, unknown>): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  for (const [key, child] of Object.entries(value)) {
    if (child === undefined) continue;
    const part = isPlainObject(child) ? withoutMissing(child) : child;
    if (!isPlainObject(part) || Object.keys(part).length > 0) kept[key] = part;
  }
  return kept;
}

/** Both settings; where both say something, the second one holds. Objects are merged, lists replaced. */
export function mergeSettings(base: PlainSettings, over: PlainSettings): PlainSettings {
  const merged = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key];
    merged[key] = isPlainObject(below) && isPlainObject(value) ? mergeSettings(below, value) : value;
  }
  return merged;
}

/**
 * The settings in a YAML file, or a JSON file by its name. An empty file has none.
 *
 * @throws ConfigSourceError when it cannot be read or is not an object.
 */
export async function readSettings(file: string): Promise<PlainSettings> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new ConfigSourceError(file, `cannot be read: ${messageOf(error)}`, error);
  });
  const parsed = (extname(file) === '.json' ? parseJson : parseYaml)(text, file);
  if (parsed === null) return {};
  if (!isPlainObject(parsed)) throw new ConfigSourceError(file, 'must hold an object of settings');
  return parsed;
}
