import { withinSignal } from '../core/abort.ts';
import { sleep } from '../core/clock.ts';
import type { Duration } from '../core/duration.ts';
import { Emitter, type Unsubscribe } from '../core/emitter.ts';
import { InvalidOptionsError, NoInstanceError, NotRunningError } from '../core/errors.ts';
import { messageOf } from '../core/holdfast-error.ts';
import { Lifecycle, type LifecycleState } from '../core/lifecycle.ts';
import { type DebugLog, debugLog } from '../core/log.ts';
import {
  durationOption,
  methodsOption,
  nameOption,
  parseOptions,
  runtimeOption,
  z,
} from '../core/options.ts';
import { type Runtime, resolveRuntime } from '../core/runtime.ts';
import type { RegistryBackend } from '../ports/registry-backend.ts';
import type { Pick, PickOptions, Resolver } from '../ports/resolver.ts';
import type { BalanceStrategy } from './balance/balancer.ts';
import { p2c } from './balance/p2c.ts';
import { ask, type RegistryContext, type ServiceRegistryEvents } from './context.ts';
import { describeInstance, hostOption, type InstanceOptions } from './instance.ts';
import { Lease, type Registration } from './lease.ts';
import { Service } from './service.ts';
import { Watches } from './watches.ts';

/** Options of {@link ServiceRegistry}. */
export interface ServiceRegistryOptions {
  /** Where instances are written down and looked up, such as `memoryRegistry()`. */
  readonly backend: RegistryBackend;
  /** Name or address at which others reach this machine; the default of what is registered. Default `'127.0.0.1'`. */
  readonly host?: string | undefined;
  /**
   * How long an instance of ours stays in the registry after its last heartbeat. Heartbeats come every third of it.
   * At least 100 ms. Default `'10s'`.
   */
  readonly ttl?: Duration | undefined;
  /** How to choose among instances. Default `p2c()`. */
  readonly balance?: BalanceStrategy | undefined;
  /** How long `stop` waits between marking our instances draining and taking them out. Default `'1s'`. */
  readonly drainDelay?: Duration | undefined;
  /** The longest that one question to the backend may take, the first list of a service included. Default `'5s'`. */
  readonly timeout?: Duration | undefined;
  /** After this long without news of a service it is listed again, to see whether its watch is alive. Default `'60s'`. */
  readonly watchdog?: Duration | undefined;
  /** A service that nobody asked about for this long is no longer watched. Default `'10m'`. */
  readonly forgetAfter?: Duration | undefined;
  /** The most services to watch at a time; beyond it, the one not asked about for longest is forgotten. Default 1,000. */
  readonly maxServices?: number | undefined;
  /** Clock, randomness, ids and telemetry. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

const log: DebugLog = debugLog('discovery');

const optionsSchema = z.strictObject({
  backend: methodsOption<RegistryBackend>(
    'a registry backend',
    'register',
    'list',
    'watch',
    'services',
    'close',
  ),
  host: hostOption().default('127.0.0.1'),
  ttl: durationOption(100).default(10_000),
  balance: methodsOption<BalanceStrategy>('a balance strategy such as p2c()', 'create').optional(),
  drainDelay: durationOption().default(1_000),
  timeout: durationOption(1).default(5_000),
  watchdog: durationOption(1).default(60_000),
  forgetAfter: durationOption(1).default(600_000),
  maxServices: z.int().min(1).default(1_000),
  runtime: runtimeOption(),
});
const stopSchema = z.strictObject({ timeout: durationOption().default(10_000) });
const serviceName = nameOption();

/**
 * Registers the instances of this process and finds those of others.
 *
 * What was once known stays in use while the registry cannot be reached: an error means stale, never empty.
 *
 * @example
 * ```ts
 * const registry = await new ServiceRegistry({ backend: memoryRegistry() }).start();
 * await registry.register({ service: 'orders', port: 3000 });
 * await registry.service('billing').run((instance, { signal }) => fetch(`${instance.url}/invoices`, { signal }));
 * ```
 */
export class ServiceRegistry implements Resolver {
  readonly #context: RegistryContext;
  readonly #lifecycle: Lifecycle = new Lifecycle('service registry');
  readonly #leases: Map<string, Lease> = new Map();
  readonly #watches: Watches;

  /** @throws InvalidOptionsError */
  constructor(options: ServiceRegistryOptions) {
    const { runtime: given, ...settings } = parseOptions('ServiceRegistry', optionsSchema, options);
    const runtime = resolveRuntime(given);
    this.#context = {
      settings: { ...settings, balance: settings.balance ?? p2c() },
      runtime,
      events: new Emitter('service-registry', settings.backend.name, runtime.telemetry),
    };
    this.#watches = new Watches(this.#context);
  }

  /** Where it is in its life. */
  get state(): LifecycleState {
    return this.#lifecycle.state;
  }

  /** What this process has registered and not taken out again. */
  get registrations(): readonly Registration[] {
    return [...this.#leases.values()];
  }

  /** Subscribe to an event; returns the function that ends the subscription. */
  on<K extends keyof ServiceRegistryEvents>(
    event: K,
    listener: (payload: ServiceRegistryEvents[K]) => void,
  ): Unsubscribe {
    return this.#context.events.on(event, listener);
  }

  /** Begin. Asks nothing of the backend, so a service starts also while the registry is away. Resolves to itself. */
  async start(): Promise<this> {
    await this.#lifecycle.start(async () => {});
    return this;
  }

  /**
   * Mark our instances draining, wait `drainDelay`, take them out, stop watching, and close the backend. Instances can
   * be picked until the end, so that what is in flight can finish. Idempotent. Never rejects for a registry that cannot
   * be told: what stays there expires.
   *
   * @param options `timeout`: the longest that all of it may take. Default `'10s'`.
   * @throws InvalidOptionsError
   */
  async stop(options: { readonly timeout?: Duration } = {}): Promise<void> {
    const { timeout } = parseOptions('stop', stopSchema, options);
    await this.#lifecycle.stop(async () => {
      const { clock } = this.#context.runtime;
      const farewell = new AbortController();
      const limit = clock.schedule(timeout, () => farewell.abort(), { hold: true });
      await withinSignal(farewell.signal, () => this.#withdraw(farewell.signal)).catch(() => {});
      this.#watches.close();
      const closed = this.#closeBackend();
      await withinSignal(farewell.signal, () => closed).catch(() => {});
      limit.cancel();
    });
  }

  /** As {@link stop}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #closeBackend(): Promise<void> {
    const { backend } = this.#context.settings;
    try {
      await backend.close();
    } catch (error) {
      log('closing %s failed: %s', backend.name, messageOf(error));
    }
  }

  async #withdraw(signal: AbortSignal): Promise<void> {
    const leases = [...this.#leases.values()];
    if (leases.length === 0) return;
    // What is still being registered has no calls to finish.
    const told = leases.map((lease) => (lease.state === 'pending' ? lease.deregister() : lease.drain()));
    await withinSignal(signal, () => Promise.allSettled(told)).catch(() => {});
    await sleep(this.#context.runtime.clock, this.#context.settings.drainDelay, signal).catch(() => {});
    await Promise.allSettled(leases.map((lease) => lease.deregister()));
  }

  /**
   * Put an instance into the registry and keep it there by heartbeats, until it is deregistered or `stop`. Resolves
   * once others can see it.
   *
   * @throws InvalidOptionsError for bad options, or when this id is registered here already.
   * @throws RegistryError when the registry cannot be reached; under `retry(…)` it is tried again.
   * @throws NotRunningError
   */
  async register(options: InstanceOptions): Promise<Registration> {
    this.#lifecycle.assertRunning();
    const { settings, runtime } = this.#context;
    const instance = describeInstance(options, { id: runtime.id, host: settings.host });
    const key = `${instance.service}/${instance.id}`;
    if (this.#leases.has(key)) {
      const accepts = 'an id that is not registered by this registry yet; deregister that one first';
      throw new InvalidOptionsError('register', [
        { field: 'id', received: JSON.stringify(instance.id), accepts },
      ]);
    }
    const lease = new Lease(this.#context, instance, () => this.#leases.delete(key));
    this.#leases.set(key, lease);
    await lease.open();
    return lease;
  }

  /**
   * One service: pick, run, watch.
   *
   * @throws InvalidOptionsError when it is not a name.
   */
  service(name: string): Service {
    const checked = parseOptions('service', serviceName, name);
    return new Service(checked, this, this.#context.runtime, () => {
      this.#assertUsable();
      return this.#watches.of(checked);
    });
  }

  /**
   * Names of all services that have instances now, sorted.
   *
   * @throws RegistryError when the registry cannot be reached.
   * @throws NotRunningError
   */
  async services(): Promise<readonly string[]> {
    this.#assertUsable();
    return ask(this.#context, 'list the services', undefined, async (backend, signal) => {
      const names = await backend.services(signal);
      return names.filter((name) => serviceName.safeParse(name).success);
    });
  }

  /**
   * One instance of a service for one call; tell it how the call ended with `done`. Synchronous once the service is
   * known; otherwise a promise until the registry has answered or failed.
   *
   * @throws NoInstanceError thrown or rejected, when there is none.
   * @throws NotRunningError before `start` and after `stop`.
   */
  pick(service: string, options: PickOptions = {}): Pick | Promise<Pick> {
    this.#assertUsable();
    const watch = this.#watches.known(service) ?? this.#watches.of(this.#resolvable(service));
    const { signal } = options;
    if (watch.settled) return watch.pick(options);
    const whenReady = async (): Promise<Pick> => {
      await watch.ready;
      // It may have been forgotten meanwhile; after a stop, asking again says so.
      return watch.closed ? this.pick(service, options) : watch.pick(options);
    };
    return signal === undefined ? whenReady() : withinSignal(signal, whenReady);
  }

  /** Names that reach a resolver come from requests, so a bad one is no mistake of the programmer. */
  #resolvable(service: string): string {
    if (serviceName.safeParse(service).success) return service;
    throw new NoInstanceError(service, 'that is no name of a service');
  }

  /** Also while stopping: what is in flight may still need others. */
  #assertUsable(): void {
    const { state } = this.#lifecycle;
    if (state !== 'running' && state !== 'stopping') throw new NotRunningError('service registry', state);
  }
}
