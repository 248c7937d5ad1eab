import { ConfigSourceError } from '../core/errors.ts';
import { isPlainObject, isSafeKey, type JsonValue, parseJson } from '../core/json.ts';
import { copyJson } from '../core/json-tree.ts';
import { parseOptions, z } from '../core/options.ts';
import type { ConfigContent, ConfigSource } from '../ports/config-source.ts';
import { contentVersion } from './internal/content-version.ts';

/** Options of {@link envConfig}. */
export interface EnvConfigOptions {
  /** Only variables whose names begin with it are read, and it is not part of the path. Such as `ORDERS_`. */
  readonly prefix: string;
  /** What stands between the keys of a path. Default `__`. */
  readonly separator?: string | undefined;
  /** Where the variables are. Default `process.env`, read at each load. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
}

const optionsSchema = z.strictObject({
  prefix: z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, {
    error: "the beginning of a variable's name: letters, digits and underscores",
  }),
  separator: z
    .string()
    .regex(/^[A-Za-z0-9_.-]{1,8}$/, { error: '1 to 8 characters that may stand in a name, such as "__"' })
    .default('__'),
  env: z
    .custom<NodeJS.ProcessEnv>((value) => typeof value === 'object' && value !== null, {
      error: 'an object from name to text',
    })
    .optional(),
});

/**
 * Environment variables as configuration: `ORDERS_DB__POOL_SIZE=5` is `db.poolSize: 5`.
 *
 * Each part of the name between separators becomes camelCase; a part that has a lower-case letter is taken as it is
 * written. A value that reads `true`, `false`, `null`, a number in its shortest form, or a JSON array or object, is
 * that; anything else is text. Where the schema refuses what was read, it is given the text, so `ORDERS_PIN=12345` fits
 * a string and a number alike.
 *
 * Nobody can change the variables of a running process from outside, so there is nothing to watch.
 *
 * @throws InvalidOptionsError
 */
export function envConfig(options: EnvConfigOptions): ConfigSource {
  const { prefix, separator, env = process.env } = parseOptions('envConfig', optionsSchema, options);
  const source = `env:${prefix}*`;
  return {
    name: source,
    load: async () => {
      const variables = Object.entries(env)
        .filter((entry): entry is [string, string] => entry[0].startsWith(prefix) && entry[1] !== undefined)
        .map(([name, text]) => {
          const keys = name.slice(prefix.length).split(separator);
          return { name, text, keys: keys.map((part) => keyOf(part, name, source)), value: parseText(text) };
        });
      return arrange(variables, source);
    },
  };
}

interface Variable {
  readonly name: string;
  readonly text: string;
  readonly keys: readonly string[];
  readonly value: JsonValue;
}

/** `POOL_SIZE` → `poolSize`. */
function keyOf(part: string, variable: string, source: string): string {
  const key = /[a-z]/.test(part)
    ? part
    : part.toLowerCase().replace(/_+([a-z0-9])/g, (_, first: string) => first.toUpperCase());
  if (part === '' || part.startsWith('_') || part.endsWith('_')) {
    throw new ConfigSourceError(
      source,
      `the variable ${variable} has a misplaced underscore or an empty part`,
    );
  }
  if (!isSafeKey(key)) {
    throw new ConfigSourceError(
      source,
      `the variable ${variable} makes the key "${key}", which is not allowed`,
    );
  }
  return key;
}

function parseText(text: string): JsonValue {
  if (text === 'true') return true;
  if (text === 'false') return false;
  if (text === 'null') return null;
  // Only the shortest form: `007`, `1.0`, `1e3` and `+1` are more likely names than numbers.
  if (text !== '' && String(Number(text)) === text && Number.isFinite(Number(text))) return Number(text);
  if (!/^[[{]/.test(text)) return text;
  try {
    return copyJson(parseJson(text, 'value'), 'value');
  } catch {
    return text;
  }
}

/** Put every variable in its place. Shorter paths come first: a variable may set a value inside another's JSON. */
function arrange(variables: readonly Variable[], source: string): ConfigContent {
  const values: Record<string, JsonValue> = {};
  const placed: Map<string, Variable> = new Map();
  for (const variable of variables.toSorted((a, b) => a.keys.length - b.keys.length)) {
    const path = JSON.stringify(variable.keys);
    const rival = placed.get(path) ?? place(values, placed, variable);
    if (rival !== undefined) {
      throw new ConfigSourceError(
        source,
        `the variables ${rival.name} and ${variable.name} contradict each other`,
      );
    }
    placed.set(path, variable);
  }
  const layer = {
    values,
    origin: (keys: readonly string[]) => {
      const variable = nearest(placed, keys);
      return variable && `environment variable ${variable.name}`;
    },
    text: (keys: readonly string[]) => {
      const variable = placed.get(JSON.stringify(keys));
      return variable?.value === variable?.text ? undefined : variable?.text;
    },
  };
  const contents = variables.flatMap(({ name, text }) => [name, text]);
  return { layers: [layer], version: contentVersion(contents) };
}

/** Set the value; the variable in whose scalar it would have to stand, if there is one. */
function place(
  values: Record<string, JsonValue>,
  placed: ReadonlyMap<string, Variable>,
  { keys, value }: Variable,
): Variable | undefined {
  let at = values;
  for (const [index, key] of keys.slice(0, -1).entries()) {
    if (!Object.hasOwn(at, key)) at[key] = {};
    const below = at[key];
    if (!isPlainObject(below)) return nearest(placed, keys.slice(0, index + 1));
    at = below as Record<string, JsonValue>;
  }
  at[keys.at(-1)!] = value;
  return undefined;
}

/** The variable that gave the value at a path, itself or as part of its JSON. */
function nearest(placed: ReadonlyMap<string, Variable>, keys: readonly string[]): Variable | undefined {
  for (let length = keys.length; length > 0; length -= 1) {
    const variable = placed.get(JSON.stringify(keys.slice(0, length)));
    if (variable !== undefined) return variable;
  }
  return undefined;
}
