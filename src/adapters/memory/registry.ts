import { Broadcast } from '../../core/broadcast.ts';
import type { Timer } from '../../core/clock.ts';
import { parseOptions, runtimeOption, z } from '../../core/options.ts';
import { type Runtime, resolveRuntime } from '../../core/runtime.ts';
import type {
  InstanceStatus,
  RegisterOptions,
  RegistrationHandle,
  RegistryBackend,
  ServiceInstance,
} from '../../ports/registry-backend.ts';

/** Options of {@link memoryRegistry}. */
export interface MemoryRegistryOptions {
  /** Clock by which registrations expire. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

/** A registry in this process. Everybody who is given the same object shares one cluster. */
export interface MemoryRegistry extends RegistryBackend {
  /**
   * Cut everybody off, to test what happens then; registrations expire meanwhile. `refuse` makes every request fail and
   * every watch throw; `silence` leaves requests and watches without an answer.
   */
  partition(kind?: 'refuse' | 'silence'): void;
  /** End the partition. What was asked in silence is answered now. */
  heal(): void;
  /** Lose every registration, as a registry does that restarts without a disk. */
  forget(): void;
}

const optionsSchema = z.strictObject({ runtime: runtimeOption() });

/**
 * A registry in memory, for tests and for programs of one process. Nothing is shared with other processes.
 *
 * @throws InvalidOptionsError
 */
export function memoryRegistry(options: MemoryRegistryOptions = {}): MemoryRegistry {
  const { runtime } = parseOptions('memoryRegistry', optionsSchema, options);
  return new Cluster(resolveRuntime(runtime));
}

interface Entry {
  instance: ServiceInstance;
  expiry: Timer;
}

/** Who watches one service. */
interface Channel {
  readonly sets: Broadcast<readonly ServiceInstance[]>;
  watchers: number;
}

type Reach = 'open' | 'refuse' | 'silence';

class Cluster implements MemoryRegistry {
  readonly name: string = 'memory';
  readonly #runtime: Runtime;
  readonly #services: Map<string, Map<string, Entry>> = new Map();
  readonly #channels: Map<string, Channel> = new Map();
  readonly #reach: Broadcast<Reach> = new Broadcast();

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
    this.#reach.publish('open');
  }

  async register(instance: ServiceInstance, options: RegisterOptions): Promise<RegistrationHandle> {
    await this.#reachable(options.signal);
    const { service, id } = instance;
    const entries = this.#services.get(service) ?? new Map<string, Entry>();
    this.#services.set(service, entries);
    entries.get(id)?.expiry.cancel();
    const entry: Entry = {
      instance: structuredClone(instance),
      expiry: this.#expireIn(options.ttl, service, id),
    };
    entries.set(id, entry);
    this.#publish(service);
    return this.#handle(entry, options.ttl);
  }

  /** Only while the entry itself is there does its handle do anything: another may have taken over its id. */
  #handle(entry: Entry, ttl: number): RegistrationHandle {
    const { service, id } = entry.instance;
    const present = (): boolean => this.#services.get(service)?.get(id) === entry;
    return {
      renew: async (signal) => {
        await this.#reachable(signal);
        if (!present()) return 'lost';
        entry.expiry.cancel();
        entry.expiry = this.#expireIn(ttl, service, id);
        return 'renewed';
      },
      setStatus: async (status: InstanceStatus, signal) => {
        await this.#reachable(signal);
        if (!present()) return;
        entry.instance = { ...entry.instance, status };
        this.#publish(service);
      },
      deregister: async (signal) => {
        await this.#reachable(signal);
        if (present()) this.#remove(service, id);
      },
    };
  }

  #expireIn(ttl: number, service: string, id: string): Timer {
    return this.#runtime.clock.schedule(ttl, () => this.#remove(service, id));
  }

  #remove(service: string, id: string): void {
    const entries = this.#services.get(service);
    entries?.get(id)?.expiry.cancel();
    entries?.delete(id);
    if (entries?.size === 0) this.#services.delete(service);
    this.#publish(service);
  }

  #set(service: string): readonly ServiceInstance[] {
    return [...(this.#services.get(service)?.values() ?? [])].map((entry) => entry.instance);
  }

  #publish(service: string): void {
    if (this.#reach.current === 'open') this.#channels.get(service)?.sets.publish(this.#set(service));
  }

  async list(service: string, signal?: AbortSignal): Promise<readonly ServiceInstance[]> {
    await this.#reachable(signal);
    return this.#set(service);
  }

  async *watch(service: string, signal: AbortSignal): AsyncGenerator<readonly ServiceInstance[], void> {
    if (signal.aborted) return;
    if (this.#reach.current === 'refuse') throw unreachable();
    const channel = this.#channels.get(service) ?? { sets: new Broadcast(), watchers: 0 };
    this.#channels.set(service, channel);
    channel.watchers += 1;
    if (channel.watchers === 1) this.#publish(service);
    try {
      yield* channel.sets.values(signal);
    } finally {
      channel.watchers -= 1;
      if (channel.watchers === 0 && this.#channels.get(service) === channel) this.#channels.delete(service);
    }
  }

  async services(signal?: AbortSignal): Promise<readonly string[]> {
    await this.#reachable(signal);
    return [...this.#services.keys()].sort();
  }

  /** Holds nothing but registrations, which stay; so the object remains usable by those who share it. */
  async close(): Promise<void> {}

  partition(kind: 'refuse' | 'silence' = 'refuse'): void {
    this.#reach.publish(kind);
    if (kind === 'silence') return;
    for (const channel of this.#channels.values()) channel.sets.close(unreachable());
    this.#channels.clear();
  }

  heal(): void {
    this.#reach.publish('open');
    for (const service of this.#channels.keys()) this.#publish(service);
  }

  forget(): void {
    for (const entries of this.#services.values())
      for (const entry of entries.values()) entry.expiry.cancel();
    const services = [...this.#services.keys()];
    this.#services.clear();
    for (const service of services) this.#publish(service);
  }

  /** Wait out a silence. */
  async #reachable(signal: AbortSignal | undefined): Promise<void> {
    for await (const reach of this.#reach.values(signal)) {
      if (reach === 'refuse') throw unreachable();
      if (reach === 'open') return;
    }
    signal?.throwIfAborted();
  }
}

function unreachable(): Error {
  return new Error('partitioned: the registry cannot be reached');
}
