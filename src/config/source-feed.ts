import { within } from '../core/abort.ts';
import { type Backoff, exponential } from '../core/backoff.ts';
import type { Timer } from '../core/clock.ts';
import { ConfigSourceError } from '../core/errors.ts';
import { messageOf } from '../core/holdfast-error.ts';
import { copyJsonObject } from '../core/json-tree.ts';
import { Call } from '../core/policy.ts';
import type { Runtime } from '../core/runtime.ts';
import type { ConfigContent, ConfigScope, ConfigSource } from '../ports/config-source.ts';
import type { SourcedLayer } from './merge.ts';
import { Rerun } from './rerun.ts';
import { SourceWatch } from './source-watch.ts';

/** What is known of a source. */
export interface ConfigSourceState {
  /** The source's name, such as `file:config/orders`. */
  readonly name: string;
  /** The version that the source gives to what was loaded last; undefined before the first load. */
  readonly version: string | undefined;
  /** Wall time of the last successful load, in milliseconds since 1970. */
  readonly loadedAt: number | undefined;
  /** Whether the last load failed, so that what is in use may be out of date. */
  readonly stale: boolean;
  /** Whether changes are watched for; false for a source that never changes, and while a watch is broken. */
  readonly watching: boolean;
  /** Why it is stale, or why its watch broke. */
  readonly lastError: ConfigSourceError | undefined;
}

/** What a feed needs to know, and whom to tell. */
export interface SourceFeedOptions {
  readonly environment: string;
  readonly runtime: Runtime;
  /** The longest that one load may take, in milliseconds. */
  readonly loadTimeout: number;
  /** The least time between two loads that a watch asks for, in milliseconds. */
  readonly pause: number;
  /** Ends everything. */
  readonly signal: AbortSignal;
  /** A load has ended, well or not. */
  readonly onLoaded: () => void;
  /** The watch broke; see {@link SourceWatch}. */
  readonly onBroken: (error: ConfigSourceError, retryIn: number) => void;
}

/** One source, kept loaded: its last good layers, one load at a time, and after a failed load another try. */
export class SourceFeed {
  readonly #source: ConfigSource;
  readonly #options: SourceFeedOptions;
  readonly #scope: ConfigScope & { readonly signal: AbortSignal };
  readonly #watch: SourceWatch | undefined;
  readonly #loads: Rerun<void> = new Rerun(() => this.#load());
  readonly #backoff: Backoff = exponential({ base: 200, max: 30_000 });
  #layers: readonly SourcedLayer[] = [];
  #version: string | undefined;
  #loadedAt: number | undefined;
  #error: ConfigSourceError | undefined;
  #failures = 0;
  #retry: Timer | undefined;

  constructor(source: ConfigSource, options: SourceFeedOptions) {
    const { environment, signal, runtime, pause, onBroken } = options;
    this.#source = source;
    this.#options = options;
    this.#scope = { environment, signal };
    signal.addEventListener('abort', () => this.#retry?.cancel(), { once: true });
    if (source.watch === undefined) return;
    const onChange = (): Promise<void> => this.load();
    this.#watch = new SourceWatch({ source, scope: this.#scope, runtime, pause, onChange, onBroken });
  }

  /** The source's name. */
  get name(): string {
    return this.#source.name;
  }

  /** The last good layers. */
  get layers(): readonly SourcedLayer[] {
    return this.#layers;
  }

  /** Why the last load failed; undefined when it did not. */
  get error(): ConfigSourceError | undefined {
    return this.#error;
  }

  get state(): ConfigSourceState {
    return {
      name: this.name,
      version: this.#version,
      loadedAt: this.#loadedAt,
      stale: this.#error !== undefined,
      watching: this.#watch?.active ?? false,
      lastError: this.#error ?? this.#watch?.error,
    };
  }

  /** Watch until the signal aborts. Never rejects. A load after this call misses nothing. */
  async watch(): Promise<void> {
    await this.#watch?.run();
  }

  /** Load once, beginning after this call. Never rejects: see `error`. */
  load(): Promise<void> {
    return this.#loads.request();
  }

  async #load(): Promise<void> {
    const { signal, runtime } = this.#options;
    this.#retry?.cancel();
    if (signal.aborted) return;
    try {
      const content = await this.#ask();
      this.#layers = content.layers.map(({ values, origin, text }) => ({
        source: this.#source.name,
        values: copyJsonObject(values, 'values'),
        origin,
        text,
      }));
      this.#version = content.version;
      this.#loadedAt = runtime.clock.wallTime();
      this.#error = undefined;
      this.#failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      this.#fail(error);
    }
    this.#options.onLoaded();
  }

  /** What arrives after the timeout is dropped, so a slow answer never replaces a newer one. */
  #ask(): Promise<ConfigContent> {
    const { environment, signal, runtime, loadTimeout } = this.#options;
    const outer = new Call(signal, 1, undefined);
    return within(runtime.clock, loadTimeout, outer, (context) =>
      this.#source.load({ environment, signal: context.signal }),
    );
  }

  #fail(error: unknown): void {
    const { runtime } = this.#options;
    this.#failures += 1;
    this.#error =
      error instanceof ConfigSourceError
        ? error
        : new ConfigSourceError(this.#source.name, `could not be loaded: ${messageOf(error)}`, error);
    const wait = this.#backoff(this.#failures, runtime.random);
    this.#retry = runtime.clock.schedule(wait, () => void this.load());
  }
}
