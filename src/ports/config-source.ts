/**
 * ConfigSource: one layer of configuration (memory, files, environment variables, Consul KV …).
 *
 * Contract:
 * - `load` gives the whole layer at one consistent version. A source that simply has nothing gives an empty object; one
 *   that cannot be read or parsed rejects, and whoever asked keeps what it had.
 * - `watch` yields after every change, also when the change is not loadable (so that the problem becomes visible), and
 *   may yield without a change. It carries no data: the reader loads again. It ends only because its signal aborted
 *   (quietly) or by throwing; whoever watches then watches again, and loads once.
 * - Values are plain JSON. Keys such as `__proto__` never get through.
 */
import type { JsonObject } from '../core/json.ts';

/** What a source is asked for. */
export interface ConfigScope {
  /** Such as `dev`, `qa` or `prod`. */
  readonly environment: string;
  readonly signal?: AbortSignal | undefined;
}

/** A layer of values, as one source has them now. */
export interface ConfigLayer {
  readonly values: JsonObject;
  /** Changes whenever the values do. Free text. */
  readonly version: string;
  /** Where the value of a dotted path stands, such as `config/app.prod.yaml`. Default: the source's name. */
  readonly origin?: ((path: string) => string | undefined) | undefined;
}

/** One layer of configuration. */
export interface ConfigSource {
  /** For messages, such as `file:config/orders`. */
  readonly name: string;
  /** @throws ConfigSourceError when it cannot be read or parsed. */
  load(scope: ConfigScope): Promise<ConfigLayer>;
  /** Undefined when the source never changes. */
  readonly watch?:
    | ((scope: ConfigScope & { readonly signal: AbortSignal }) => AsyncIterable<void>)
    | undefined;
}
