import { joinSignals } from '../core/abort.ts';
import type { Clock } from '../core/clock.ts';
import { TimeoutError } from '../core/errors.ts';
import type { RegistryContext } from './context.ts';

/** What to do with a watch. */
export interface Follower {
  /** An item came. May throw when it is unusable. */
  receive(set: unknown): void;
  /** The watch has been silent for long: look whether it is still true. */
  check(): Promise<boolean>;
  /** Whether somebody awaits the first item, which then keeps the process alive. */
  readonly awaited: boolean;
}

/**
 * Read one watch of a backend until it is in doubt. Trusts the backend with nothing: one that never gives a first
 * item, goes silent, ends by itself or ignores its signal is left behind.
 *
 * Resolves when a check found that the watch had missed something.
 *
 * @throws whatever ended the watch, or the signal's reason.
 */
export async function follow(
  { settings, runtime }: RegistryContext,
  service: string,
  signal: AbortSignal,
  follower: Follower,
): Promise<void> {
  const own = joinSignals(signal, undefined);
  let watch: AsyncIterator<unknown> | undefined;
  try {
    watch = settings.backend.watch(service, own.signal)[Symbol.asyncIterator]();
    let next = new Pending(watch.next());
    const first = await next.within(runtime.clock, settings.timeout, own.signal, follower.awaited);
    if (first === undefined)
      throw new TimeoutError(settings.timeout, { what: `the first list of ${service}` });
    for (let outcome: typeof first | undefined = first; ; ) {
      if (outcome !== undefined) {
        if (outcome.done === true) throw new Error('the watch ended by itself');
        follower.receive(outcome.value);
        next = new Pending(watch.next());
      } else if (!(await follower.check())) return;
      outcome = await next.within(runtime.clock, settings.watchdog, own.signal, false);
    }
  } finally {
    own.dispose();
    own.abort(new Error('this watch was given up'));
    // Not awaited: an iterator that hangs in `next` would hang here too.
    void Promise.resolve(watch?.return?.()).catch(() => {});
  }
}

/** A promise that is awaited again and again, for a while each time. It gets one reaction, so waits leave nothing on it. */
class Pending<T> {
  readonly #promise: Promise<T>;
  #settled = false;
  #wake: () => void = () => {};

  constructor(promise: Promise<T>) {
    this.#promise = promise;
    const settle = (): void => {
      this.#settled = true;
      this.#wake();
    };
    promise.then(settle, settle);
  }

  /** What it resolves to; undefined when it does not settle in time. Rejects as it does, or on abort. */
  within(clock: Clock, limit: number, signal: AbortSignal, hold: boolean): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      const finish = (): void => {
        timer.cancel();
        signal.removeEventListener('abort', onAbort);
        this.#wake = () => {};
      };
      const onAbort = (): void => {
        finish();
        reject(signal.reason);
      };
      const onTime = (): void => {
        finish();
        resolve(undefined);
      };
      const timer = clock.schedule(limit, onTime, { hold });
      signal.addEventListener('abort', onAbort, { once: true });
      this.#wake = () => {
        finish();
        resolve(this.#promise);
      };
      if (signal.aborted) onAbort();
      else if (this.#settled) this.#wake();
    });
  }
}
