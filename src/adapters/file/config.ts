import { stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Duration } from '../../core/duration.ts';
import { ConfigSourceError } from '../../core/errors.ts';
import { messageOf } from '../../core/holdfast-error.ts';
import { parseJson } from '../../core/json.ts';
import { copyJsonObject } from '../../core/json-tree.ts';
import { durationOption, parseOptions, runtimeOption, z } from '../../core/options.ts';
import { type Runtime, resolveRuntime } from '../../core/runtime.ts';
import { parseYaml } from '../../core/yaml.ts';
import type { ConfigContent, ConfigLayer, ConfigScope, ConfigSource } from '../../ports/config-source.ts';
import { contentVersion } from '../internal/content-version.ts';
import { Bell } from './bell.ts';
import { readText } from './read-text.ts';

/** Options of {@link fileConfig}. */
export interface FileConfigOptions {
  /** Whether the file for all environments may be missing. The one for an environment always may. Default false. */
  readonly optional?: boolean | undefined;
  /** How often to look for changes that the system does not tell of (network file systems). Default 2 seconds. */
  readonly pollInterval?: Duration | undefined;
  /** The largest file that is read, in bytes. Default 1,048,576. */
  readonly maxBytes?: number | undefined;
  /** Clock for the poll. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

const pathSchema = z.string().regex(/^[^\0]*[^\0/]$/, {
  error: "the path of a file with or without its extension, such as 'config/orders'",
});

const optionsSchema = z.strictObject({
  optional: z.boolean().default(false),
  pollInterval: durationOption(10).default(2_000),
  maxBytes: z.int().min(1).default(1_048_576),
  runtime: runtimeOption(),
});

/**
 * YAML or JSON files: `fileConfig('config/orders')` reads `config/orders.yaml` and then, over it,
 * `config/orders.<environment>.yaml`. The extension may be `.yaml`, `.yml` or `.json`, for each of the two; one that is
 * part of the given path is the only one looked for. The first file has to be there, the second may be missing.
 *
 * Changes are taken up within moments: written in place, replaced by renaming, or by a swapped link as Kubernetes does
 * with a ConfigMap. A file that is empty, half-written or invalid changes nothing until it is acceptable again.
 *
 * @param path relative to the working directory of the process, at the time of this call.
 * @throws InvalidOptionsError
 */
export function fileConfig(path: string, options: FileConfigOptions = {}): ConfigSource {
  return new Files(
    parseOptions('fileConfig', z.strictObject({ path: pathSchema }), { path }).path,
    parseOptions('fileConfig', optionsSchema, options),
  );
}

/** A file that is there. */
interface Found {
  /** As the user would write it. */
  readonly path: string;
  readonly text: string;
}

const extensions = ['.yaml', '.yml', '.json'];

class Files implements ConfigSource {
  readonly name: string;
  readonly #options: z.output<typeof optionsSchema>;
  /** The path without its extension. */
  readonly #stem: string;
  readonly #extensions: readonly string[];
  readonly #root: string = process.cwd();

  constructor(path: string, options: z.output<typeof optionsSchema>) {
    this.name = `file:${path}`;
    this.#options = options;
    const given = extensions.find((extension) => path.endsWith(extension));
    this.#stem = given === undefined ? path : path.slice(0, -given.length);
    this.#extensions = given === undefined ? extensions : [given];
  }

  async load({ environment }: ConfigScope): Promise<ConfigContent> {
    const [base, overlay] = await this.#readSettled(environment);
    if (base === undefined && !this.#options.optional) throw await this.#missing();
    const layers = [base, overlay].flatMap((file) => (file === undefined ? [] : [this.#parse(file)]));
    return { layers, version: contentVersion([base?.text, overlay?.text]) };
  }

  async *watch({
    environment,
    signal,
  }: ConfigScope & { readonly signal: AbortSignal }): AsyncGenerator<void, void> {
    const { clock } = resolveRuntime(this.#options.runtime);
    const directory = dirname(resolve(this.#root, this.#stem));
    const bell = new Bell(directory, clock);
    try {
      await bell.attach();
      let seen: string | undefined;
      while (!signal.aborted) {
        await bell.rung(this.#options.pollInterval, signal);
        if (signal.aborted) return;
        // Before looking. Another directory may have taken its place: a deployment swaps a link.
        await bell.attach();
        const state = await this.#peek(environment);
        if (state === seen) continue;
        seen = state;
        yield;
      }
    } finally {
      bell.detach();
    }
  }

  /** What a load would see, as a short text; a problem counts too, so that it becomes visible. */
  async #peek(environment: string): Promise<string> {
    try {
      const files = await this.#readOnce(environment);
      return contentVersion(files.map((file) => file?.text));
    } catch (error) {
      return messageOf(error);
    }
  }

  /**
   * Two readings in a row that agree: then no file was being written, and both are of the same time. A file that keeps
   * changing is taken as it is in the end, since a change will follow anyway.
   */
  async #readSettled(environment: string): Promise<readonly (Found | undefined)[]> {
    let last = await this.#readOnce(environment);
    for (let attempt = 0; attempt < 5; attempt += 1) {
      const next = await this.#readOnce(environment);
      if (next.every((file, index) => file?.text === last[index]?.text)) return next;
      last = next;
    }
    return last;
  }

  /** The file for all environments and the one for this, as they are now. */
  #readOnce(environment: string): Promise<(Found | undefined)[]> {
    return Promise.all([this.#find(this.#stem), this.#find(`${this.#stem}.${environment}`)]);
  }

  async #find(stem: string): Promise<Found | undefined> {
    const found: Found[] = [];
    for (const path of this.#extensions.map((extension) => stem + extension)) {
      const text = await this.#read(path);
      if (text !== undefined) found.push({ path, text });
    }
    if (found.length <= 1) return found[0];
    const paths = found.map((file) => file.path).join(' and ');
    throw new ConfigSourceError(this.name, `${paths} are both there; keep one`);
  }

  async #read(path: string): Promise<string | undefined> {
    try {
      return await readText(resolve(this.#root, path), this.#options.maxBytes);
    } catch (error) {
      throw new ConfigSourceError(this.name, `${path} ${messageOf(error)}`, error);
    }
  }

  #parse({ path, text }: Found): ConfigLayer {
    // Whoever writes in place empties the file first. Without this, a reader at that moment would see no overlay.
    if (text.trim() === '')
      throw new ConfigSourceError(this.name, `${path} is empty; write {} if nothing is meant`);
    try {
      return { values: copyJsonObject(parse(text, path) ?? {}, path), origin: path };
    } catch (error) {
      throw new ConfigSourceError(this.name, messageOf(error), error);
    }
  }

  async #missing(): Promise<ConfigSourceError> {
    const looked = this.#extensions.map((extension) => this.#stem + extension).join(', ');
    const isDirectory = await stat(resolve(this.#root, this.#stem)).then(
      (stats) => stats.isDirectory(),
      () => false,
    );
    const advice = isDirectory ? `; ${this.#stem} is a directory: name a file in it` : '';
    return new ConfigSourceError(this.name, `no file: looked for ${looked} in ${this.#root}${advice}`);
  }
}

/** YAML knows of duplicate keys and tells line and column, so JSON goes through it first; an empty file is null. */
function parse(text: string, path: string): unknown {
  const value = parseYaml(text, path);
  return path.endsWith('.json') && value !== null ? parseJson(text, path) : value;
}
