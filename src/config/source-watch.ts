import { withinSignal } from '../core/abort.ts';
import { type Backoff, exponential } from '../core/backoff.ts';
import { sleep } from '../core/clock.ts';
import { ConfigSourceError } from '../core/errors.ts';
import { messageOf } from '../core/holdfast-error.ts';
import type { Runtime } from '../core/runtime.ts';
import type { ConfigScope, ConfigSource } from '../ports/config-source.ts';

/** What a watch needs to know, and whom to tell. */
export interface SourceWatchOptions {
  readonly source: ConfigSource;
  readonly scope: ConfigScope & { readonly signal: AbortSignal };
  readonly runtime: Runtime;
  /** The least time between two changes taken up, in milliseconds. */
  readonly pause: number;
  /** Something changed, or may have while nobody watched. The watch goes on when it resolves; it must not reject. */
  readonly onChange: () => Promise<void>;
  /** It broke, and is taken up again in so many milliseconds. Not repeated while it goes on breaking in the same way. */
  readonly onBroken: (error: ConfigSourceError, retryIn: number) => void;
}

/** A source's watch that is taken up again whenever it breaks, with growing waits, until the scope's signal aborts. */
export class SourceWatch {
  readonly #options: SourceWatchOptions;
  readonly #backoff: Backoff = exponential({ base: 200, max: 30_000 });
  #active = false;
  #error: ConfigSourceError | undefined;

  constructor(options: SourceWatchOptions) {
    this.#options = options;
  }

  /** Whether it is watching at this moment. */
  get active(): boolean {
    return this.#active;
  }

  /** Why it broke last; undefined once it yielded again. */
  get error(): ConfigSourceError | undefined {
    return this.#error;
  }

  /** Watch until the signal aborts and the source has let go. Never rejects. Watching has begun when this returns. */
  async run(): Promise<void> {
    const { runtime, scope } = this.#options;
    const { signal } = scope;
    for (let failures = 0; !signal.aborted; ) {
      const { yielded, error } = await this.#once(failures > 0);
      if (signal.aborted) return;
      failures = yielded ? 1 : failures + 1;
      const wait = this.#backoff(failures, runtime.random);
      const isNews = this.#error?.message !== error.message;
      this.#error = error;
      if (isNews) this.#options.onBroken(error, wait);
      await sleep(runtime.clock, wait, signal, { hold: false }).catch(() => {});
    }
  }

  /** One watch, until it breaks. */
  async #once(again: boolean): Promise<{ readonly yielded: boolean; readonly error: ConfigSourceError }> {
    const { source, scope, onChange } = this.#options;
    let iterator: AsyncIterator<void> | undefined;
    let yielded = false;
    try {
      iterator = source.watch!(scope)[Symbol.asyncIterator]();
      let next = this.#next(iterator);
      this.#active = true;
      // What changed while nobody watched is found by loading, but only once somebody watches.
      if (again) await onChange();
      while (!(await next).done) {
        yielded = true;
        this.#error = undefined;
        await onChange();
        await sleep(this.#options.runtime.clock, this.#options.pause, scope.signal, { hold: false });
        next = this.#next(iterator);
      }
      throw new Error('it ended by itself');
    } catch (error) {
      return {
        yielded,
        error: new ConfigSourceError(source.name, `cannot be watched: ${messageOf(error)}`, error),
      };
    } finally {
      this.#active = false;
      const closed = close(iterator);
      // A source told to stop lets go soon; one that broke may never, and must not keep us from watching again.
      if (scope.signal.aborted) await closed;
    }
  }

  #next(iterator: AsyncIterator<void>): Promise<IteratorResult<void>> {
    const next = withinSignal(this.#options.scope.signal, () => iterator.next());
    // Not awaited before the load that follows it has ended; a rejection meanwhile must not count as unhandled.
    next.catch(() => {});
    return next;
  }
}

async function close(iterator: AsyncIterator<void> | undefined): Promise<void> {
  try {
    await iterator?.return?.();
  } catch {
    // It was given up already; how it takes that is of no interest.
  }
}
