/**
 * RegistryBackend: where instances of services are written down and looked up (memory, files, Consul, etcd …).
 *
 * Contract:
 * - **Full sets.** `list` and each item of `watch` hold every live instance of the service, never a difference. The
 *   first item comes as soon as the set is known, an empty set included. Order carries no meaning.
 * - **An error means stale, never empty.** `list` rejects, or `watch` throws, when the truth cannot be had; whoever
 *   watches keeps what it knows and watches again. An empty set says "I know that there are none".
 * - **A watch never dies silently.** It ends only because its signal aborted (quietly) or by throwing. A set may be
 *   repeated; changes close together may be folded into one.
 * - **Expiry.** An instance that is not renewed within its `ttl` disappears from sets, within one more `ttl`.
 * - **Registration.** `register` resolves once the instance is visible to a new `list`. Registering the same id again
 *   replaces it. `renew` resolves to `lost` when the backend no longer knows the registration (it expired, or the
 *   backend lost its memory); the holder then registers again. `deregister` is idempotent.
 * - Service names and ids come checked (see `nameOption`); metadata does not: an adapter escapes it.
 */

/** Whether an instance takes new calls. A `draining` one finishes what it has. */
export type InstanceStatus = 'up' | 'draining';

/** One running copy of a service, as the registry knows it. */
export interface ServiceInstance {
  /** Unique among the instances of its service. */
  readonly id: string;
  readonly service: string;
  /** Name or address, without brackets for IPv6. */
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
  /** Whether it speaks TLS. */
  readonly secure: boolean;
  /** `http(s)://host:port`, without a trailing slash. */
  readonly url: string;
  readonly status: InstanceStatus;
  /** Share of traffic relative to the others; > 0. Default 1. */
  readonly weight: number;
  /** Such as `1.4.2`; free text. */
  readonly version?: string | undefined;
  /** Such as `eu-west-1a`; free text. */
  readonly zone?: string | undefined;
  readonly tags: readonly string[];
  readonly metadata: Readonly<Record<string, string>>;
}

/** Keeps one registration alive. */
export interface RegistrationHandle {
  /** Extend by another `ttl`. `lost` when the backend does not know the registration any more. */
  renew(signal?: AbortSignal): Promise<'renewed' | 'lost'>;
  /** Change the status that others see. */
  setStatus(status: InstanceStatus, signal?: AbortSignal): Promise<void>;
  /** Take it out of the registry. Idempotent; also after it expired. */
  deregister(signal?: AbortSignal): Promise<void>;
}

/** Options of {@link RegistryBackend.register}. */
export interface RegisterOptions {
  /** How long the registration lives without a renewal, in milliseconds. */
  readonly ttl: number;
  readonly signal?: AbortSignal | undefined;
}

/** Where instances are registered and found. */
export interface RegistryBackend {
  /** For messages and metrics, such as `memory` or `file:/run/registry`. */
  readonly name: string;
  /** @throws any error when it could not be registered; the caller tries again. */
  register(instance: ServiceInstance, options: RegisterOptions): Promise<RegistrationHandle>;
  /** Every live instance now. @throws any error when that cannot be known. */
  list(service: string, signal?: AbortSignal): Promise<readonly ServiceInstance[]>;
  /** The set now and after every change, until the signal aborts. @throws any error when it is in doubt. */
  watch(service: string, signal: AbortSignal): AsyncIterable<readonly ServiceInstance[]>;
  /** Names of all services that have instances, sorted. */
  services(signal?: AbortSignal): Promise<readonly string[]>;
  /** Release what the backend holds (files, sockets). Registrations stay until they expire. Idempotent. */
  close(): Promise<void>;
}
