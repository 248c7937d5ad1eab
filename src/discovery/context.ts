/** What the parts of one registry share. */
import { within } from '../core/abort.ts';
import type { Emitter } from '../core/emitter.ts';
import { RegistryError } from '../core/errors.ts';
import { Call } from '../core/policy.ts';
import type { Runtime } from '../core/runtime.ts';
import type { InstanceStatus, RegistryBackend, ServiceInstance } from '../ports/registry-backend.ts';
import type { BalanceStrategy } from './balance/balancer.ts';
import type { SetDifference, Snapshot } from './snapshot.ts';

/** What a registry tells, with its payloads. */
export interface ServiceRegistryEvents {
  /** An instance of ours is in the registry, for the first time or again. */
  readonly registered: { readonly instance: ServiceInstance };
  /** The registry no longer knew an instance of ours; it is being registered again. */
  readonly registrationLost: { readonly instance: ServiceInstance };
  /** The registry could not do something for an instance of ours; it is tried again until it is deregistered. */
  readonly registrationFailed: { readonly instance: ServiceInstance; readonly error: RegistryError };
  /** Others now see this status of an instance of ours. */
  readonly statusChanged: { readonly instance: ServiceInstance; readonly status: InstanceStatus };
  /** An instance of ours was taken out of the registry. */
  readonly deregistered: { readonly instance: ServiceInstance };
  /** The set of a watched service changed: instances came, went, or are described differently. */
  readonly changed: { readonly snapshot: Snapshot } & SetDifference;
  /** The registry cannot be heard: what is known of this service is stale, and stays in use. */
  readonly contactLost: { readonly snapshot: Snapshot };
  /** The registry is heard again. */
  readonly contactRegained: { readonly snapshot: Snapshot };
  /** The registry gave an instance that nobody may be sent to, such as one with port 0. The others are used. */
  readonly instanceRejected: { readonly service: string; readonly id: string; readonly reason: string };
  /** Nobody asked for this service for long, so it is no longer watched. */
  readonly forgotten: { readonly service: string };
}

/** Options of a registry, parsed: durations in milliseconds. */
export interface RegistrySettings {
  readonly backend: RegistryBackend;
  readonly host: string;
  readonly ttl: number;
  readonly balance: BalanceStrategy;
  readonly drainDelay: number;
  readonly timeout: number;
  readonly watchdog: number;
  readonly forgetAfter: number;
  readonly maxServices: number;
}

/** What the parts of one registry share. */
export interface RegistryContext {
  readonly settings: RegistrySettings;
  readonly runtime: Runtime;
  readonly events: Emitter<ServiceRegistryEvents>;
}

/**
 * Ask the backend for one thing, for at most `timeout`.
 *
 * @throws RegistryError
 */
export async function ask<T>(
  { settings, runtime }: RegistryContext,
  what: string,
  signal: AbortSignal | undefined,
  request: (backend: RegistryBackend, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { backend, timeout } = settings;
  try {
    const call = new Call(signal, 1, undefined);
    return await within(runtime.clock, timeout, call, (context) => request(backend, context.signal));
  } catch (error) {
    throw new RegistryError(backend.name, what, error);
  }
}
