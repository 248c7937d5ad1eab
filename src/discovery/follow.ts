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
    let next = watch.next();
    const first = await outcomeWithin(runtime.clock, settings.timeout, next, own.signal, follower.awaited);
    if (first === undefined)
      throw new TimeoutError(settings.timeout, { what: `the first list of ${service}` });
    for (let outcome: typeof first | undefined = first; ; ) {
      if (outcome !== undefined) {
        if (outcome.done === true) throw new Error('the watch ended by itself');
        follower.receive(outcome.value);
        next = watch.next();
      } else if (!(await follower.check())) return;
      outcome = await outcomeWithin(runtime.clock, settings.watchdog, next, own.signal, false);
    }
  } finally {
    own.dispose();
    own.abort(new Error('this watch was given up'));
    // Not awaited: an iterator that hangs in `next` would hang here too.
    void Promise.resolve(watch?.return?.()).catch(() => {});
  }
}

/** What the promise resolves to; undefined when it does not settle in time. Rejects as it does, or on abort. */
function outcomeWithin<T>(
  clock: Clock,
  limit: number,
  promise: Promise<T>,
  signal: AbortSignal,
  hold: boolean,
): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const finish = (): void => {
      timer.cancel();
      signal.removeEventListener('abort', onAbort);
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
    promise.finally(finish).then(resolve, reject);
    if (signal.aborted) onAbort();
  });
}
