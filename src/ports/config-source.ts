/**
 * ConfigSource: where configuration comes from (memory, files, environment variables, Consul KV …).
 *
 * Contract:
 * - `load` gives everything at one consistent version, as layers: a source with a base and an overlay for the
 *   environment gives two. A source that simply has nothing gives empty layers or none; one that cannot be read or
 *   parsed rejects, and whoever asked keeps what it had.
 * - `watch` yields after every change, also when the change is not loadable (so that the problem becomes visible), and
 *   may yield without a change. It carries no data: the reader loads again. It watches from the first call of `next()`
 *   on, and a change while nobody awaits `next()` is remembered, so whoever loads after that call misses nothing.
 *   It ends only because its signal aborted (quietly) or by throwing; whoever watches then watches again, and loads.
 * - Values are plain JSON. Keys such as `__proto__` never get through: `load` rejects.
 * - Errors and names never hold a value, since any value may be a secret.
 */
import type { JsonObject } from '../core/json.ts';

/** What a source is asked for. */
export interface ConfigScope {
  /** Such as `dev`, `qa` or `prod`. */
  readonly environment: string;
  readonly signal?: AbortSignal | undefined;
}

/** Values of one origin. */
export interface ConfigLayer {
  readonly values: JsonObject;
  /**
   * Where a value stands, such as `config/orders.prod.yaml`, for messages: one place for all, or one for each path of
   * keys. Default: the source's name.
   */
  readonly origin?: string | ((path: readonly string[]) => string | undefined) | undefined;
  /**
   * The text that the value at a path of keys was parsed from, for a source that holds nothing but text (environment
   * variables); undefined where the value is the text itself. Where the schema refuses the parsed value, it is
   * offered the text.
   */
  readonly text?: ((path: readonly string[]) => string | undefined) | undefined;
}

/** All that a source has now. */
export interface ConfigContent {
  /** Lowest first: a later layer wins. */
  readonly layers: readonly ConfigLayer[];
  /** Changes whenever the values do. Free text. */
  readonly version: string;
}

/** A source of configuration. */
export interface ConfigSource {
  /** For messages, such as `file:config/orders`. */
  readonly name: string;
  /** @throws ConfigSourceError when it cannot be read or parsed. */
  load(scope: ConfigScope): Promise<ConfigContent>;
  /** Undefined when the source never changes. */
  readonly watch?:
    | ((scope: ConfigScope & { readonly signal: AbortSignal }) => AsyncIterable<void>)
    | undefined;
}
