import { type FSWatcher, watch } from 'node:fs';
import type { Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/holdfast-error.ts';
import { type DebugLog, debugLog } from '../../core/log.ts';

const log: DebugLog = debugLog('file');

/** One change is often several events, and one rolling update many changes: they ring once. */
const settling = 20;

/**
 * Rings when something changes in a directory. It may miss changes, ring without any, or never ring at all (`fs.watch`
 * is like that), so whoever listens also looks by itself from time to time.
 */
export class Bell {
  readonly #directory: string;
  readonly #clock: Clock;
  #watcher: FSWatcher | undefined;
  #rang = false;
  #listener: () => void = () => {};

  constructor(directory: string, clock: Clock) {
    this.#directory = directory;
    this.#clock = clock;
  }

  /** Listen, unless it listens already. Quiet when it cannot: the directory may come later. */
  attach(): void {
    if (this.#watcher !== undefined) return;
    try {
      const watcher = watch(this.#directory, { persistent: false }, () => this.#ring());
      watcher.on('error', () => this.detach());
      this.#watcher = watcher;
    } catch (error) {
      log('cannot be told of changes in %s, so it is only polled: %s', this.#directory, messageOf(error));
    }
  }

  /** Stop listening. Idempotent. */
  detach(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  #ring(): void {
    this.#rang = true;
    this.#listener();
  }

  /** Wait until it rings, or rang since the last wait; at most `limit` milliseconds, and until the signal aborts. */
  rung(limit: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const finish = (): void => {
        timer.cancel();
        signal.removeEventListener('abort', finish);
        this.#listener = () => {};
        this.#rang = false;
        resolve();
      };
      let timer = this.#clock.schedule(this.#rang ? Math.min(settling, limit) : limit, finish);
      this.#listener = () => {
        this.#listener = () => {};
        timer.cancel();
        timer = this.#clock.schedule(settling, finish);
      };
      signal.addEventListener('abort', finish, { once: true });
      if (signal.aborted) finish();
    });
  }
}
