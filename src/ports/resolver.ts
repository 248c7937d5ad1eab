/**
 * Resolver: from a service's name to one instance to call now. It is where the gateway, the sidecar and a user's own
 * client meet discovery without knowing it; `ServiceRegistry` is the usual implementation.
 *
 * Contract:
 * - `pick` chooses among the instances known now. It answers synchronously when the service is already known, and with
 *   a promise only while its first list is awaited.
 * - Every pick is finished exactly once by `done`; further calls do nothing. The outcome feeds balancing, and
 *   `cancelled` (the caller gave up) says nothing about the instance.
 * - A registry that cannot be reached means *stale*, never *empty*: the last known good instances are picked from.
 * - When no instance can be picked: `NoInstanceError`, thrown or rejected alike.
 */
import type { ServiceInstance } from './registry-backend.ts';

/** What to consider when picking. */
export interface PickOptions {
  /** Ids of instances not to pick again, such as those already tried. Ignored when nothing else is left. */
  readonly exclude?: ReadonlySet<string> | undefined;
  /**
   * Consider only instances that this accepts, such as those of one version: a subset of the service. Unlike `exclude`
   * it is never ignored. Pass the same function every time: what it accepts is remembered by it.
   */
  readonly only?: ((instance: ServiceInstance) => boolean) | undefined;
  /** Gives up waiting for the first list. */
  readonly signal?: AbortSignal | undefined;
}

/** How a call to an instance ended. `cancelled` is neutral. */
export type PickOutcome = 'success' | 'failure' | 'cancelled';

/** One instance, chosen for one call. */
export interface Pick {
  readonly instance: ServiceInstance;
  /** Tell how the call ended. Only the first call counts. */
  done(outcome: PickOutcome): void;
}

/** Finds an instance for a call. */
export interface Resolver {
  /** @throws NoInstanceError when there is none. */
  pick(service: string, options?: PickOptions): Pick | Promise<Pick>;
}
