import { type FSWatcher, watch } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/holdfast-error.ts';
import { type DebugLog, debugLog } from '../../core/log.ts';

const log: DebugLog = debugLog('file');

/** One change is often several events, and one rolling update many changes: they ring once. Milliseconds. */
const settling = 20;

/** More names than this are not kept: whoever listens looks at everything then. */
const mostNames = 4_096;

/**
 * Rings when something changes in a directory. It may miss changes, ring without any, or never ring at all (`fs.watch`
 * is like that), so whoever listens also looks by itself from time to time.
 */
export class Bell {
  readonly #directory: string;
  readonly #clock: Clock;
  #watcher: FSWatcher | undefined;
  /** The directory that the watcher watches, whatever stands at its path now. */
  #identity: string | undefined;
  #rang = false;
  /** What changed since the last wait; undefined when that is not known. */
  #names: Set<string> | undefined = new Set();
  #listener: () => void = () => {};

  constructor(directory: string, clock: Clock) {
    this.#directory = directory;
    this.#clock = clock;
  }

  /**
   * Listen to the directory that is there now, unless it does already. Quiet when it cannot: the directory may come
   * later. Resolves to whether it listens only since now, so that earlier changes may have been missed.
   */
  async attach(): Promise<boolean> {
    // Before watching: if another takes its place in between, the next call sees that.
    const identity = await identityOf(this.#directory);
    if (identity !== this.#identity) this.detach();
    this.#identity = identity;
    if (this.#watcher !== undefined) return false;
    try {
      const watcher = watch(this.#directory, { persistent: false }, (_, name) => this.#ring(name));
      watcher.on('error', () => {
        if (this.#watcher === watcher) this.detach();
      });
      this.#watcher = watcher;
    } catch (error) {
      log('cannot be told of changes in %s, so it is only polled: %s', this.#directory, messageOf(error));
    }
    return true;
  }

  /** Stop listening. Idempotent. */
  detach(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  #ring(name: string | null): void {
    this.#rang = true;
    if (name === null || (this.#names?.size ?? 0) >= mostNames) this.#names = undefined;
    else this.#names?.add(name);
    this.#listener();
  }

  /**
   * Wait until it rings, or rang since the last wait; at most `limit` milliseconds, and until the signal aborts.
   * Resolves to the names that changed; undefined when it did not ring, or not all names are known.
   *
   * @param fold how long to gather what else rings, in milliseconds, once it has rung. Default, and the least: 20.
   */
  rung(
    limit: number,
    signal: AbortSignal,
    fold: number = settling,
  ): Promise<ReadonlySet<string> | undefined> {
    const start = this.#clock.now();
    const gathering = (): number =>
      Math.max(0, Math.min(Math.max(fold, settling), start + limit - this.#clock.now()));
    return new Promise((resolve) => {
      const finish = (): void => {
        timer.cancel();
        signal.removeEventListener('abort', finish);
        this.#listener = () => {};
        const names = this.#rang ? this.#names : undefined;
        this.#rang = false;
        this.#names = new Set();
        resolve(names);
      };
      let timer = this.#clock.schedule(this.#rang ? gathering() : limit, finish);
      this.#listener = () => {
        this.#listener = () => {};
        timer.cancel();
        timer = this.#clock.schedule(gathering(), finish);
      };
      signal.addEventListener('abort', finish, { once: true });
      if (signal.aborted) finish();
    });
  }
}

/** Which directory is at a path, or undefined when none is. A number alone may be given again to the next one. */
async function identityOf(directory: string): Promise<string | undefined> {
  return stat(directory, { bigint: true }).then(
    ({ dev, ino, birthtimeNs }) => `${dev}:${ino}:${birthtimeNs}`,
    () => undefined,
  );
}
