import { type MemoryRegistry, memoryRegistry } from '../../src/adapters/memory/registry.ts';
import { ServiceRegistry, type ServiceRegistryOptions } from '../../src/discovery/service-registry.ts';
import type { Snapshot } from '../../src/discovery/snapshot.ts';
import type {
  RegistrationHandle,
  RegistryBackend,
  ServiceInstance,
} from '../../src/ports/registry-backend.ts';
import { type TestRuntime, testRuntime } from '../../src/testing/test-runtime.ts';
import { instance } from './balance-simulation.ts';

interface Scene {
  readonly runtime: TestRuntime;
  readonly cluster: MemoryRegistry;
  readonly registry: ServiceRegistry;
  readonly add: (id: string, changes?: Partial<ServiceInstance>) => Promise<RegistrationHandle>;
  readonly told: (type: string) => number;
}

export async function begin(options: Partial<ServiceRegistryOptions> = {}): Promise<Scene> {
  const runtime = testRuntime();
  const cluster = memoryRegistry({ runtime });
  const registry = await new ServiceRegistry({ backend: cluster, runtime, ...options }).start();
  return {
    runtime,
    cluster,
    registry,
    add: (id, changes) => cluster.register(instance(id, changes), { ttl: Number.POSITIVE_INFINITY }),
    told: (type) => runtime.events.filter((event) => event.type === type).length,
  };
}

export function idsOf(instances: readonly ServiceInstance[]): readonly string[] {
  return instances.map((each) => each.id);
}

export function collect(iterable: AsyncIterable<Snapshot>): { items: Snapshot[]; ended: Promise<void> } {
  const items: Snapshot[] = [];
  const read = async (): Promise<void> => {
    for await (const item of iterable) items.push(item);
  };
  return { items, ended: read() };
}

/** A backend that knows nothing, but for the given parts. */
export function fake(parts: Partial<RegistryBackend>): RegistryBackend {
  return {
    name: 'fake',
    register: async () => Promise.reject(new Error('not here')),
    list: async () => [],
    async *watch() {},
    services: async () => [],
    close: async () => {},
    ...parts,
  };
}
