import { Broadcast } from '../../core/broadcast.ts';
import { ConfigSourceError } from '../../core/errors.ts';
import { messageOf } from '../../core/holdfast-error.ts';
import type { JsonObject } from '../../core/json.ts';
import { copyJsonObject } from '../../core/json-tree.ts';
import { nameOption, parseOptions, z } from '../../core/options.ts';
import type { ConfigContent, ConfigScope, ConfigSource } from '../../ports/config-source.ts';

/** Options of {@link memoryConfig}. */
export interface MemoryConfigOptions {
  /** Values of single environments, over those for all: `{ prod: { timeoutMs: 500 } }`. Default: none. */
  readonly environments?: Readonly<Record<string, object>> | undefined;
  /** What it is called in messages. Default `memory`. */
  readonly name?: string | undefined;
}

/** Configuration in memory. */
export interface MemoryConfig extends ConfigSource {
  /**
   * Replace the values for all environments, or those of one. Watchers are told.
   *
   * @throws InvalidPayloadError when the values are not plain JSON.
   */
  set(values: object, environment?: string): void;
  /** Fail every load until the next `set`, to test what happens then. Watchers are told. */
  fail(error: Error): void;
  /** Yields after each `set` and `fail`, until the signal aborts. */
  watch(scope: ConfigScope & { readonly signal: AbortSignal }): AsyncIterable<void>;
}

const optionsSchema = z.strictObject({
  environments: z.record(nameOption(), z.record(z.string(), z.unknown())).default({}),
  name: nameOption().default('memory'),
});

/**
 * Configuration in memory: defaults written in code, and tests.
 *
 * @param values for all environments; plain JSON, copied.
 * @throws InvalidOptionsError
 * @throws InvalidPayloadError when values are not plain JSON.
 * @example `memoryConfig({ timeoutMs: 2_000 }, { environments: { prod: { timeoutMs: 500 } } })`
 */
export function memoryConfig(values: object = {}, options: MemoryConfigOptions = {}): MemoryConfig {
  const { environments, name } = parseOptions('memoryConfig', optionsSchema, options);
  return new Held(name, values, environments);
}

class Held implements MemoryConfig {
  readonly name: string;
  readonly #overlays: Map<string, JsonObject> = new Map();
  readonly #changes: Broadcast<number> = new Broadcast();
  #values: JsonObject;
  #failure: Error | undefined;
  #version = 1;

  constructor(name: string, values: object, environments: Readonly<Record<string, object>>) {
    this.name = name;
    this.#values = copyJsonObject(values, name);
    for (const [environment, overlay] of Object.entries(environments)) {
      this.#overlays.set(environment, copyJsonObject(overlay, `${name} (${environment})`));
    }
  }

  async load({ environment }: ConfigScope): Promise<ConfigContent> {
    if (this.#failure !== undefined) {
      throw new ConfigSourceError(this.name, messageOf(this.#failure), this.#failure);
    }
    const layers = [{ values: copyJsonObject(this.#values, this.name), origin: this.name }];
    const overlay = this.#overlays.get(environment);
    if (overlay !== undefined) {
      layers.push({ values: copyJsonObject(overlay, this.name), origin: `${this.name} (${environment})` });
    }
    return { layers, version: String(this.#version) };
  }

  async *watch({ signal }: ConfigScope & { readonly signal: AbortSignal }): AsyncGenerator<void, void> {
    for await (const _version of this.#changes.values(signal)) yield;
  }

  set(values: object, environment?: string): void {
    const copy = copyJsonObject(values, this.name);
    if (environment === undefined) this.#values = copy;
    else this.#overlays.set(environment, copy);
    this.#failure = undefined;
    this.#changed();
  }

  fail(error: Error): void {
    this.#failure = error;
    this.#changed();
  }

  #changed(): void {
    this.#version += 1;
    this.#changes.publish(this.#version);
  }
}
