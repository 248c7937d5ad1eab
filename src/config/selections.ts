import type { Unsubscribe } from '../core/emitter.ts';
import { warnOf } from '../core/log.ts';
import { equal } from './diff.ts';

/** Subscriptions to parts of a value that is replaced from time to time. */
export class Selections<T> {
  readonly #notify: Set<(before: T, now: T) => void> = new Set();

  /** Call the listener when the selected part has deeply changed. What either throws is reported as a warning. */
  add<S>(selector: (value: T) => S, listener: (now: S, before: S) => void): Unsubscribe {
    const notify = (before: T, now: T): void => {
      try {
        const selectedBefore = selector(before);
        const selectedNow = selector(now);
        if (equal(selectedBefore, selectedNow)) return;
        const result: unknown = listener(selectedNow, selectedBefore);
        if (result instanceof Promise) result.catch(report);
      } catch (error) {
        report(error);
      }
    };
    this.#notify.add(notify);
    return () => void this.#notify.delete(notify);
  }

  /** Tell those whose part has changed. One that is taken off meanwhile is not called any more. */
  notify(before: T, now: T): void {
    for (const notify of [...this.#notify]) if (this.#notify.has(notify)) notify(before, now);
  }
}

function report(error: unknown): void {
  warnOf('a listener of ConfigClient.select threw', error);
}
