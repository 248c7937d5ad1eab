import { describe, expect, it, vi } from 'vitest';
import { type MemoryRegistry, memoryRegistry } from '../../src/adapters/memory/registry.ts';
import { InvalidOptionsError, NoInstanceError } from '../../src/core/errors.ts';
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

async function begin(options: Partial<ServiceRegistryOptions> = {}): Promise<Scene> {
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

function idsOf(instances: readonly ServiceInstance[]): readonly string[] {
  return instances.map((each) => each.id);
}

describe('what is known of a service', () => {
  it('is picked from synchronously once it is known', async () => {
    const { registry, add } = await begin();
    await add('a');
    const first = registry.pick('orders');
    expect(first).toBeInstanceOf(Promise);
    expect((await first).instance.id).toBe('a');
    const second = registry.pick('orders');
    expect(second).not.toBeInstanceOf(Promise);
    expect((await second).instance.id).toBe('a');
  });

  it('follows the registry, and tells what changed', async () => {
    const { runtime, registry, add } = await begin();
    const changes: unknown[] = [];
    registry.on('changed', ({ added, removed, snapshot }) =>
      changes.push([added, removed, idsOf(snapshot.instances)]),
    );
    const service = registry.service('orders');
    expect(service.snapshot).toMatchObject({ source: 'none', stale: false, lastContact: undefined });
    const a = await add('a');
    await runtime.clock.advance(0);
    await add('b');
    await runtime.clock.advance(0);
    await a.setStatus('draining');
    await runtime.clock.advance(0);
    await a.deregister();
    await runtime.clock.advance(0);
    expect(changes).toEqual([
      [['a'], [], ['a']],
      [['b'], [], ['a', 'b']],
      [[], [], ['a', 'b']],
      [[], ['a'], ['b']],
    ]);
    expect(service.snapshot).toMatchObject({ source: 'backend', stale: false });
    expect(Object.isFrozen(service.snapshot) && Object.isFrozen(service.instances)).toBe(true);
  });

  it('stays when the registry cannot be reached: stale, never empty', async () => {
    const { runtime, cluster, registry, add, told } = await begin();
    await add('a');
    const service = registry.service('orders');
    await service.whenAvailable();
    const { lastContact } = service.snapshot;
    cluster.partition();
    await runtime.clock.advance(3_600_000);
    expect(idsOf(service.instances)).toEqual(['a']);
    expect(service.snapshot).toMatchObject({ stale: true, source: 'backend', lastContact });
    expect(service.snapshot.error).toBeInstanceOf(Error);
    expect((await service.pick()).instance.id).toBe('a');
    expect(told('contactLost')).toBe(1);
    cluster.heal();
    await add('b');
    await runtime.clock.advance(30_000);
    expect(idsOf(service.instances)).toEqual(['a', 'b']);
    expect(service.snapshot.stale).toBe(false);
    expect(told('contactRegained')).toBe(1);
  });

  it('is empty when the registry says so', async () => {
    const { runtime, cluster, registry, add } = await begin();
    await add('a');
    const service = registry.service('orders');
    await service.whenAvailable();
    cluster.forget();
    await runtime.clock.advance(0);
    expect(service.instances).toEqual([]);
    expect(() => service.pick()).toThrow(NoInstanceError);
    expect(() => service.pick()).toThrow('none is registered');
  });

  it('is asked for again with backoff while the registry refuses', async () => {
    const runtime = testRuntime();
    let watches = 0;
    const backend = fake({
      watch() {
        watches += 1;
        throw new Error('refused');
      },
    });
    const registry = await new ServiceRegistry({ backend, runtime }).start();
    await expect(registry.pick('orders')).rejects.toThrow('has not answered yet (refused)');
    await runtime.clock.advance(500_000);
    // Waits of up to 30 s, half of it on average.
    expect(watches).toBeGreaterThan(25);
    expect(watches).toBeLessThan(70);
    expect(() => registry.pick('orders')).toThrow(NoInstanceError);
  });

  it('is not asked for in a busy loop when each watch breaks after its first item', async () => {
    const runtime = testRuntime();
    let watches = 0;
    const backend = fake({
      async *watch() {
        watches += 1;
        yield [instance('a')];
        throw new Error('broke');
      },
    });
    const registry = await new ServiceRegistry({ backend, runtime }).start();
    await registry.service('orders').whenAvailable();
    await runtime.clock.advance(500_000);
    expect(watches).toBeGreaterThan(25);
    expect(watches).toBeLessThan(70);
    expect(idsOf(registry.service('orders').instances)).toEqual(['a']);
  });

  it('is listed again when the watch goes silent, and watched anew when that shows a change', async () => {
    const runtime = testRuntime();
    let watches = 0;
    let set = [instance('a')];
    const backend = fake({
      list: async () => set,
      // A watch that tells once and then never again, nor heeds its signal.
      async *watch() {
        watches += 1;
        yield set;
        await new Promise(() => {});
      },
    });
    const registry = await new ServiceRegistry({ backend, runtime, watchdog: '60s' }).start();
    const service = registry.service('orders');
    await service.whenAvailable();
    await runtime.clock.advance(180_000);
    expect(watches).toBe(1);
    expect(service.snapshot.lastContact).toBe(runtime.clock.wallTime());
    set = [instance('b')];
    await runtime.clock.advance(61_000);
    expect(idsOf(service.instances)).toEqual(['b']);
    expect(watches).toBe(2);
    expect(service.snapshot.stale).toBe(false);
  });

  it('leaves nothing on a watch that stays silent, however often it is listed meanwhile', async () => {
    const runtime = testRuntime();
    let lists = 0;
    const silence = new Promise<never>(() => {});
    const reactions = vi.spyOn(silence, 'then');
    const items = [Promise.resolve({ done: false as const, value: [instance('a')] }), silence];
    const backend = fake({
      list: async () => {
        lists += 1;
        return [instance('a')];
      },
      watch: () => ({ [Symbol.asyncIterator]: () => ({ next: () => items.shift()! }) }),
    });
    const registry = await new ServiceRegistry({ backend, runtime, watchdog: '60s' }).start();
    await registry.service('orders').whenAvailable();
    for (let minute = 0; minute < 9; minute += 1) {
      registry.service('orders').snapshot;
      await runtime.clock.advance(61_000);
    }
    expect(lists).toBe(9);
    expect(reactions).toHaveBeenCalledTimes(1);
  });

  it('is stale when the watch is silent and the list fails', async () => {
    const { runtime, cluster, registry, add } = await begin({ watchdog: '10s', timeout: '1s' });
    await add('a');
    const service = registry.service('orders');
    await service.whenAvailable();
    cluster.partition('silence');
    await runtime.clock.advance(11_000);
    expect(service.snapshot.stale).toBe(true);
    expect(idsOf(service.instances)).toEqual(['a']);
    cluster.heal();
    await add('b');
    await runtime.clock.advance(30_000);
    expect(idsOf(service.instances)).toEqual(['a', 'b']);
  });

  it('does not wait for a first list for ever', async () => {
    const { runtime, cluster, registry } = await begin({ timeout: '2s' });
    cluster.partition('silence');
    const pick = expect(registry.pick('orders')).rejects.toThrow('did not settle within 2000 ms');
    await runtime.clock.advance(2_000);
    await pick;
  });

  it.each([
    ['ends by itself', async function* () {}],
    [
      'gives no set',
      async function* () {
        yield 'nonsense' as never;
      },
    ],
    [
      'throws at once',
      () => {
        throw new Error('no');
      },
    ],
  ])('is stale, and watched anew, when a watch %s', async (_, watch) => {
    const runtime = testRuntime();
    let watches = 0;
    const backend = fake({
      watch: (...args: []) => {
        watches += 1;
        return watch(...args);
      },
    });
    const registry = await new ServiceRegistry({ backend, runtime }).start();
    await expect(registry.pick('orders')).rejects.toThrow(NoInstanceError);
    await runtime.clock.advance(10_000);
    expect(watches).toBeGreaterThan(3);
    expect(registry.service('orders').snapshot.stale).toBe(true);
    await registry.stop();
    expect(runtime.clock.pending).toBe(0);
  });

  it('leaves out instances that nobody may be sent to, and tells of each once', async () => {
    const { runtime, registry, add } = await begin();
    const rejected: string[] = [];
    registry.on('instanceRejected', ({ id, reason }) => rejected.push(`${id}: ${reason}`));
    await add('good');
    await add('bad', { port: 0 });
    await registry.service('orders').whenAvailable();
    await add('other');
    await runtime.clock.advance(0);
    expect(idsOf(registry.service('orders').instances)).toEqual(['good', 'other']);
    expect(rejected).toHaveLength(1);
    expect(rejected[0]).toContain('port');
  });

  it('is forgotten when nobody has asked for long, and learnt again when somebody does', async () => {
    const { runtime, registry, add, told } = await begin({ forgetAfter: '10m' });
    await add('a');
    await registry.pick('orders');
    await runtime.clock.advance(300_000);
    await registry.pick('orders');
    await runtime.clock.advance(599_999);
    expect(told('forgotten')).toBe(0);
    await runtime.clock.advance(1);
    expect(told('forgotten')).toBe(1);
    expect(runtime.clock.pending).toBe(0);
    expect((await registry.pick('orders')).instance.id).toBe('a');
  });

  it('is not forgotten while somebody iterates', async () => {
    const { runtime, registry, told } = await begin({ forgetAfter: '1m' });
    const controller = new AbortController();
    const seen = collect(registry.service('orders').watch(controller.signal));
    await runtime.clock.advance(600_000);
    expect(told('forgotten')).toBe(0);
    controller.abort();
    await seen.ended;
    await runtime.clock.advance(61_000);
    expect(told('forgotten')).toBe(1);
  });

  it('is not forgotten while it could not be learnt again', async () => {
    const { runtime, cluster, registry, add, told } = await begin({ forgetAfter: '1m' });
    await add('a');
    await registry.pick('orders');
    cluster.partition();
    await runtime.clock.advance(600_000);
    expect((await registry.pick('orders')).instance.id).toBe('a');
    cluster.heal();
    await runtime.clock.advance(180_000);
    expect(told('forgotten')).toBe(1);
  });

  it('makes room for others beyond the most services, oldest first', async () => {
    const { runtime, registry } = await begin({ maxServices: 2 });
    const forgotten: string[] = [];
    registry.on('forgotten', ({ service }) => forgotten.push(service));
    for (const name of ['a', 'b', 'a', 'c', 'd']) {
      void registry.service(name).snapshot;
      await runtime.clock.advance(1);
    }
    expect(forgotten).toEqual(['b', 'a']);
  });

  it.each(['__proto__', '', '../etc', 'a/b', 'a\nb', 'x'.repeat(200)])(
    'has no instance of a service by the name of %j',
    async (name) => {
      const { registry } = await begin();
      expect(() => registry.pick(name)).toThrow(NoInstanceError);
      expect(() => registry.service(name)).toThrow(InvalidOptionsError);
    },
  );

  it('names only services that can be asked for', async () => {
    const runtime = testRuntime();
    const backend = fake({ services: async () => ['__proto__', 'orders', 'a/b'] });
    const registry = await new ServiceRegistry({ backend, runtime }).start();
    expect(await registry.services()).toEqual(['orders']);
  });

  it('ends the wait for a first list when the caller gives up or the registry stops', async () => {
    const { cluster, registry } = await begin();
    cluster.partition('silence');
    const controller = new AbortController();
    const gaveUp = expect(registry.pick('orders', { signal: controller.signal })).rejects.toThrow('gone');
    const stopped = expect(registry.pick('orders')).rejects.toThrow('stopped');
    controller.abort(new Error('gone'));
    await gaveUp;
    await registry.stop();
    await stopped;
  });
});

describe('Service.watch', () => {
  it('gives each state to every iterator, and ends with the registry', async () => {
    const { runtime, cluster, registry, add } = await begin();
    const first = collect(registry.service('orders').watch());
    const second = collect(registry.service('orders').watch());
    await runtime.clock.advance(0);
    await add('a');
    await runtime.clock.advance(0);
    cluster.partition();
    await runtime.clock.advance(0);
    await registry.stop();
    await Promise.all([first.ended, second.ended]);
    const states = first.items.map((item) => [idsOf(item.instances), item.stale]);
    expect(states).toEqual([
      [[], false],
      [['a'], false],
      [['a'], true],
    ]);
    expect(second.items).toEqual(first.items);
  });
});

describe('Service.whenAvailable', () => {
  it('waits for an instance that takes calls', async () => {
    const { runtime, registry, add } = await begin();
    const waiting = registry.service('orders').whenAvailable();
    await runtime.clock.advance(5_000);
    const draining = await add('a', { status: 'draining' });
    await runtime.clock.advance(5_000);
    await draining.setStatus('up');
    expect(idsOf((await waiting).instances)).toEqual(['a']);
  });

  it('gives up in time, or with its caller', async () => {
    const { runtime, registry } = await begin();
    const service = registry.service('orders');
    const late = expect(service.whenAvailable({ timeout: '2s' })).rejects.toThrow(
      'none took calls within 2000 ms',
    );
    await runtime.clock.advance(2_000);
    await late;
    const controller = new AbortController();
    const gaveUp = expect(service.whenAvailable({ signal: controller.signal })).rejects.toThrow('gone');
    controller.abort(new Error('gone'));
    await gaveUp;
    await expect(service.whenAvailable({ timeout: -1 })).rejects.toThrow(InvalidOptionsError);
  });
});

function collect(iterable: AsyncIterable<Snapshot>): { items: Snapshot[]; ended: Promise<void> } {
  const items: Snapshot[] = [];
  const read = async (): Promise<void> => {
    for await (const item of iterable) items.push(item);
  };
  return { items, ended: read() };
}

/** A backend that knows nothing, but for the given parts. */
function fake(parts: Partial<RegistryBackend>): RegistryBackend {
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
