import { within } from '../core/abort.ts';
import { abortController } from '../core/abort-controller.ts';
import type { Timer } from '../core/clock.ts';
import { type Duration, milliseconds } from '../core/duration.ts';
import { Emitter, type Unsubscribe } from '../core/emitter.ts';
import { ConfigInvalidError, type ConfigIssue, NotRunningError } from '../core/errors.ts';
import { InFlight, Lifecycle } from '../core/lifecycle.ts';
import { debugLog } from '../core/log.ts';
import { Call } from '../core/policy.ts';
import { type Runtime, resolveRuntime } from '../core/runtime.ts';
import type { ConfigSource } from '../ports/config-source.ts';
import type { ConfigChange, ConfigEvents, ConfigLoadError, ConfigState } from './client-events.ts';
import { type CheckedClientOptions, type ConfigClientOptions, checkClientOptions } from './client-options.ts';
import { type Difference, diff, equal } from './diff.ts';
import { type ConfigExplanation, explain } from './explain.ts';
import type { SourcedLayer } from './merge.ts';
import { formatPath } from './path.ts';
import { Rerun } from './rerun.ts';
import { redact } from './secret.ts';
import { Selections } from './selections.ts';
import { type Built, build, type Snapshot } from './snapshot.ts';
import { SourceFeed } from './source-feed.ts';

const log = debugLog('config');

/**
 * Layered configuration, checked by a schema, reloaded while the process runs.
 *
 * What `current` gives is one deeply frozen object; a reload puts another in its place, all at once, and only when every
 * value is acceptable. When a source fails or the schema refuses, the last good configuration stays.
 *
 * @example
 * ```ts
 * const config = await new ConfigClient({ schema, environment: 'prod', sources: [fileConfig('config/orders')] }).start();
 * config.current.db.poolSize;
 * ```
 */
export class ConfigClient<T> {
  readonly #schema: ConfigClientOptions<T>['schema'];
  readonly #options: CheckedClientOptions;
  readonly #runtime: Runtime;
  readonly #emitter: Emitter<ConfigEvents>;
  readonly #lifecycle: Lifecycle = new Lifecycle('ConfigClient');
  readonly #watches: InFlight = new InFlight();
  readonly #applies: Rerun<void> = new Rerun(() => this.#apply());
  readonly #selections: Selections<T> = new Selections();
  #feeds: readonly SourceFeed[] = [];
  #ending: AbortController = abortController();
  #timer: Timer | undefined;
  /** Whether a load has ended that no apply has looked at. */
  #behind = false;
  #snapshot: Snapshot<T> | undefined;
  #version = 0;
  #loadedAt: number | undefined;
  #problem: { readonly key: string; readonly error: ConfigLoadError } | undefined;

  /** @throws InvalidOptionsError */
  constructor(options: ConfigClientOptions<T>) {
    this.#options = checkClientOptions(options);
    this.#schema = options.schema;
    this.#runtime = resolveRuntime(this.#options.runtime);
    this.#emitter = new Emitter('config-client', this.#options.name, this.#runtime.telemetry);
  }

  /**
   * The configuration in force: the schema's result, deeply frozen. The same object until the next change; still there
   * after `stop()`.
   *
   * @throws NotRunningError before the first `start()` has succeeded.
   */
  get current(): T {
    return this.#accepted().value;
  }

  /** What is known of the configuration and of each source. */
  get state(): ConfigState {
    return {
      environment: this.#options.environment,
      version: this.#version,
      loadedAt: this.#loadedAt,
      stale: this.#problem !== undefined,
      lastError: this.#problem?.error,
      sources: this.#feeds.map((feed) => feed.state),
    };
  }

  /**
   * Load every source once and watch for changes from then on. May be called again after it rejected.
   *
   * @returns this client.
   * @throws ConfigSourceError when a source cannot be loaded.
   * @throws ConfigInvalidError when the schema refuses.
   * @throws NotRunningError after `stop()`.
   */
  async start(): Promise<this> {
    await this.#lifecycle.start(() => this.#begin());
    return this;
  }

  /**
   * Load every source now, for instance on SIGHUP. Never rejects because of what was loaded: the state says whether the
   * configuration is the newest (`stale: false`) or the last good one, and why (`lastError`).
   *
   * @throws NotRunningError unless it is running.
   */
  async reload(): Promise<ConfigState> {
    this.#lifecycle.assertRunning();
    await Promise.all(this.#feeds.map((feed) => feed.load()));
    await this.#applies.request();
    return this.state;
  }

  /**
   * Stop watching; `current` keeps its last value. Idempotent and final.
   *
   * @param options `timeout`: how long to wait for sources to let go; default 5 seconds.
   */
  async stop(options: { readonly timeout?: Duration | undefined } = {}): Promise<void> {
    const timeout = milliseconds(options.timeout ?? '5s', 'timeout');
    this.#ending.abort(new NotRunningError('ConfigClient', 'stopping'));
    await this.#lifecycle.stop(async () => {
      this.#timer?.cancel();
      await this.#watches.drained(this.#runtime.clock, timeout);
    });
  }

  /** `stop()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Be told of events; see {@link ConfigEvents}. Returns the function that ends it. */
  on<K extends keyof ConfigEvents>(event: K, listener: (payload: ConfigEvents[K]) => void): Unsubscribe {
    return this.#emitter.on(event, listener);
  }

  /**
   * Call `listener` whenever the selected part of the configuration has deeply changed, with the part now and before. A
   * selector should be a pure function. What either throws is reported as a process warning.
   *
   * @returns the function that ends it.
   * @example `config.select((c) => c.timeoutMs, (now) => client.setTimeout(now))`
   */
  select<S>(selector: (config: T) => S, listener: (now: S, before: S) => void): Unsubscribe {
    return this.#selections.add(selector, listener);
  }

  /**
   * Where the value at a dotted path comes from and what it overrode. Secrets are not shown. A path without a value is
   * explained too: everything about it is undefined.
   *
   * @throws InvalidOptionsError when the path is not one, such as `db..host`.
   * @throws NotRunningError before the first `start()` has succeeded.
   */
  explain(path: string): ConfigExplanation {
    return explain(this.#accepted(), path);
  }

  #accepted(): Snapshot<T> {
    if (this.#snapshot === undefined) throw new NotRunningError('ConfigClient', this.#lifecycle.state);
    return this.#snapshot;
  }

  async #begin(): Promise<void> {
    const ending = abortController();
    this.#ending = ending;
    this.#problem = undefined;
    this.#feeds = this.#options.sources.map((source) => this.#feed(source, ending.signal));
    try {
      // Watching comes first: a change between the load and the watch would be missed.
      for (const feed of this.#feeds) void this.#watches.track(feed.watch());
      await Promise.all(this.#feeds.map((feed) => feed.load()));
      ending.signal.throwIfAborted();
      const failed = this.#feeds.find((feed) => feed.error !== undefined);
      if (failed?.error !== undefined) throw failed.error;
      await this.#applies.request();
      ending.signal.throwIfAborted();
      if (this.#snapshot === undefined) throw this.state.lastError;
    } catch (error) {
      ending.abort(error);
      throw error;
    }
    if (this.#behind) this.#schedule();
  }

  #feed(source: ConfigSource, signal: AbortSignal): SourceFeed {
    const { environment, loadTimeout, coalesce } = this.#options;
    return new SourceFeed(source, {
      environment,
      runtime: this.#runtime,
      loadTimeout,
      // Half of it, so that what a source goes on to change within the time is loaded before the time is over.
      pause: coalesce / 2,
      signal,
      onLoaded: () => {
        this.#behind = true;
        // Before the first configuration there may be sources that have not loaded yet; start() knows when they have.
        if (this.#snapshot !== undefined) this.#schedule();
      },
      onBroken: (error, retryIn) => {
        log('%s; watching again in %d ms', error.message, retryIn);
        this.#emitter.emit('interrupted', { source: source.name, error, retryIn });
      },
    });
  }

  #schedule(): void {
    this.#timer ??= this.#runtime.clock.schedule(this.#options.coalesce, () => {
      this.#timer = undefined;
      void this.#applies.request();
    });
  }

  /** Make one configuration of what the sources hold now, and take it over or refuse it. Never rejects. */
  async #apply(): Promise<void> {
    const { signal } = this.#ending;
    this.#behind = false;
    const feeds = this.#feeds;
    const built = await this.#build(feeds.flatMap((feed) => feed.layers));
    if (signal.aborted) return;
    const failed = feeds.flatMap(({ name, error }) => (error === undefined ? [] : [{ name, error }]));
    const issues = failed.map(({ name, error }) => ({
      path: '(root)',
      message: error.message,
      source: name,
    }));
    const [first] = failed;
    if (built.issues !== undefined) {
      // Where a source failed, what is refused may be its old values: the failure is the newer news.
      const error = first?.error ?? new ConfigInvalidError(this.#options.environment, built.issues);
      return this.#reject(error, [...issues, ...built.issues]);
    }
    // The state is put right before anybody is told, so that a listener sees it as it is.
    const recovered = first === undefined && this.#settle();
    this.#accept(built.snapshot);
    if (recovered) this.#emitter.emit('recovered', { version: this.#version });
    if (first !== undefined) this.#reject(first.error, issues);
  }

  async #build(layers: readonly SourcedLayer[]): Promise<Built<T>> {
    const { loadTimeout, interpolate } = this.#options;
    const outer = new Call(this.#ending.signal, 1, undefined);
    try {
      return await within(this.#runtime.clock, loadTimeout, outer, () =>
        build(this.#schema, layers, interpolate),
      );
    } catch {
      // build() itself never rejects: the time is over, or the client is stopping and nobody looks at the result.
      return { issues: [{ path: '(root)', message: `its schema did not settle within ${loadTimeout} ms` }] };
    }
  }

  #accept(next: Snapshot<T>): void {
    const before = this.#snapshot;
    // Equal input gives no change, whatever a schema makes anew each time (a URL, a client).
    const same = before !== undefined && equal(before.merged, next.merged);
    const differences = before === undefined || same ? [] : diff(before.value, next.value);
    if (before !== undefined && differences.length === 0) {
      // The layers are taken over all the same: a value may have moved from one file to another.
      this.#snapshot = { ...next, value: before.value };
      return;
    }
    this.#snapshot = next;
    this.#version += 1;
    log('version %d of the configuration for %s is in force', this.#version, this.#options.environment);
    if (before === undefined) return;
    if (this.#emitter.wants('changed')) {
      this.#emitter.emit('changed', { version: this.#version, changes: differences.map(toChange) });
    }
    this.#selections.notify(before.value, next.value);
  }

  /** Everything is loaded and acceptable; whether it was not before. */
  #settle(): boolean {
    const before = this.#problem;
    this.#problem = undefined;
    this.#loadedAt = this.#runtime.clock.wallTime();
    return before !== undefined;
  }

  #reject(error: ConfigLoadError, issues: readonly ConfigIssue[]): void {
    const key = issues.map((issue) => issue.path + issue.message).join();
    const isNews = this.#problem?.key !== key;
    this.#problem = { key, error };
    // Before the first configuration it is start() that rejects.
    if (!isNews || this.#snapshot === undefined) return;
    log('%s', error.message);
    this.#emitter.emit('rejected', { version: this.#version, issues, error });
  }
}

function toChange({ keys, before, after }: Difference): ConfigChange {
  return { path: formatPath(keys), before: redact(before), after: redact(after) };
}
