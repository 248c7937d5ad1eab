import { enter, joinSignals } from '../core/abort.ts';
import type { Duration } from '../core/duration.ts';
import { NoInstanceError, TimeoutError } from '../core/errors.ts';
import { durationOption, parseOptions } from '../core/options.ts';
import { abortSource, type CallContext, type Policy, type RunOptions, settle } from '../core/policy.ts';
import type { Runtime } from '../core/runtime.ts';
import type { ServiceInstance } from '../ports/registry-backend.ts';
import type { Pick, PickOptions, PickOutcome, Resolver } from '../ports/resolver.ts';
import type { ServiceWatch } from './service-watch.ts';
import type { Snapshot } from './snapshot.ts';

/** A call to one instance. May return a value or a promise. */
export type InstanceWork<T> = (instance: ServiceInstance, context: CallContext) => T | PromiseLike<T>;

/** Options of {@link Service.run}. */
export interface ServiceRunOptions extends RunOptions {
  /**
   * Runs the call: a retry, a timeout, a breaker or a pipeline. Each of its attempts picks anew, preferring instances
   * that this call has not tried. Default: one attempt.
   */
  readonly policy?: Policy | undefined;
  /**
   * Whether an error speaks against the instance. Answer false for errors that any instance would give, such as a
   * refused order. Default: every error does.
   */
  readonly isFailure?: ((error: unknown) => boolean) | undefined;
}

/** Options of {@link Service.whenAvailable}. */
export interface WhenAvailableOptions {
  /** How long to wait. Default `'30s'`. */
  readonly timeout?: Duration | undefined;
  /** Gives up waiting. */
  readonly signal?: AbortSignal | undefined;
}

const waitLimit = durationOption().default(30_000);

/** One service, seen through a registry. Made by `registry.service(name)`; costs nothing to make. */
export class Service {
  /** The service's name. */
  readonly name: string;
  readonly #resolver: Resolver;
  readonly #runtime: Runtime;
  readonly #watch: () => ServiceWatch;

  /**
   * Used by `ServiceRegistry`.
   *
   * @internal
   */
  constructor(name: string, resolver: Resolver, runtime: Runtime, watch: () => ServiceWatch) {
    this.name = name;
    this.#resolver = resolver;
    this.#runtime = runtime;
    this.#watch = watch;
  }

  /** What is known of the service now. The first look begins to watch it. */
  get snapshot(): Snapshot {
    return this.#watch().snapshot;
  }

  /** The last known good instances, draining ones too, sorted by id. The first look begins to watch the service. */
  get instances(): readonly ServiceInstance[] {
    return this.snapshot.instances;
  }

  /**
   * One instance for one call; tell it how the call ended with `done`. Synchronous once the service is known.
   *
   * @throws NoInstanceError thrown or rejected, when there is none.
   */
  pick(options?: PickOptions): Pick | Promise<Pick> {
    return this.#resolver.pick(this.name, options);
  }

  /**
   * Call one instance, and learn from how it ends: an error or a timeout counts against the instance, a caller that
   * gave up does not.
   *
   * @throws NoInstanceError when there is none; otherwise settles as the work or the policy does.
   */
  run<T>(work: InstanceWork<T>, options: ServiceRunOptions = {}): Promise<T> {
    const { policy, isFailure, ...runOptions } = options;
    const tried = new Set<string>();
    const attempt = async (context: CallContext): Promise<T> => {
      const pick = await this.#resolver.pick(this.name, { exclude: tried, signal: abortSource(context) });
      tried.add(pick.instance.id);
      return reporting(pick, context, () => settle((c) => work(pick.instance, c), context), isFailure);
    };
    return policy === undefined
      ? enter(this.#runtime.clock, runOptions, attempt)
      : policy.run(attempt, runOptions);
  }

  /**
   * The service as it is now and after every change, until the signal aborts (which ends it quietly) or the registry
   * stops. The first item comes once the registry has answered or failed. A slow reader skips what it missed.
   */
  async *watch(signal?: AbortSignal): AsyncGenerator<Snapshot, void, undefined> {
    const watch = this.#watch();
    const leave = watch.enter();
    try {
      yield* watch.changes.values(signal);
    } finally {
      leave();
    }
  }

  /**
   * Wait until an instance takes calls.
   *
   * @throws NoInstanceError when none does within the timeout; the signal's reason when it aborts.
   */
  async whenAvailable(options: WhenAvailableOptions = {}): Promise<Snapshot> {
    const limit = parseOptions('whenAvailable', waitLimit, options.timeout);
    const waiting = joinSignals(options.signal, undefined);
    const timer = this.#runtime.clock.schedule(limit, () => waiting.abort(new TimeoutError(limit)), {
      hold: true,
    });
    try {
      for await (const snapshot of this.watch(waiting.signal)) {
        if (snapshot.instances.some((instance) => instance.status === 'up')) return snapshot;
      }
    } finally {
      timer.cancel();
      waiting.dispose();
    }
    options.signal?.throwIfAborted();
    throw new NoInstanceError(this.name, `none took calls within ${limit} ms`, this.snapshot.error);
  }
}

/** Make the call and finish its pick: at once when the call is aborted, whether or not the work listens. */
async function reporting<T>(
  pick: Pick,
  context: CallContext,
  call: () => Promise<T>,
  isFailure: (error: unknown) => boolean = () => true,
): Promise<T> {
  const signal = abortSource(context);
  const onAbort = (): void => pick.done(outcomeOfAbort(signal?.reason));
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    signal?.throwIfAborted();
    const result = await call();
    pick.done('success');
    return result;
  } catch (error) {
    // An abort from before the listener was there has not been told of yet.
    if (signal?.aborted) onAbort();
    pick.done(isFailure(error) ? 'failure' : 'success');
    throw error;
  } finally {
    signal?.removeEventListener('abort', onAbort);
    // Only the first outcome counts, so this matters only when `isFailure` threw.
    pick.done('failure');
  }
}

/** A limit that passed speaks against the instance; a caller that went away does not. */
function outcomeOfAbort(reason: unknown): PickOutcome {
  return reason instanceof TimeoutError ? 'failure' : 'cancelled';
}
