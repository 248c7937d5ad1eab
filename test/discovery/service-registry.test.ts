import { describe, expect, it } from 'vitest';
import { type MemoryRegistry, memoryRegistry } from '../../src/adapters/memory/registry.ts';
import { InvalidOptionsError, NotRunningError, RegistryError } from '../../src/core/errors.ts';
import { ServiceRegistry, type ServiceRegistryOptions } from '../../src/discovery/service-registry.ts';
import type { RegistryBackend } from '../../src/ports/registry-backend.ts';
import { type TestRuntime, testRuntime } from '../../src/testing/test-runtime.ts';

interface Scene {
  readonly runtime: TestRuntime;
  readonly backend: MemoryRegistry;
  readonly registry: ServiceRegistry;
  /** Types of what was told, in order. */
  readonly told: () => readonly string[];
}

async function begin(options: Partial<ServiceRegistryOptions> = {}): Promise<Scene> {
  const runtime = testRuntime();
  const backend = memoryRegistry({ runtime });
  const registry = await new ServiceRegistry({ backend, runtime, ttl: '9s', ...options }).start();
  return { runtime, backend, registry, told: () => runtime.events.map((event) => event.type) };
}

const orders = { service: 'orders', port: 3000 };

describe('ServiceRegistry.register', () => {
  it('makes the instance visible, and keeps it by heartbeats', async () => {
    const { runtime, backend, registry } = await begin();
    const registration = await registry.register({ ...orders, id: 'a', metadata: { team: 'x' } });
    expect(registration.state).toBe('registered');
    for (let minute = 0; minute < 10; minute += 1) {
      await runtime.clock.advance(60_000);
      expect(await backend.list('orders')).toEqual([registration.instance]);
    }
    expect(registration.confirmedAt).toBeGreaterThan(runtime.clock.wallTime() - 3_001);
    expect(await registry.services()).toEqual(['orders']);
  });

  it('registers again what the registry has forgotten, as draining when it was', async () => {
    const { runtime, backend, registry, told } = await begin();
    const registration = await registry.register({ ...orders, id: 'a' });
    await registration.drain();
    backend.forget();
    expect(await backend.list('orders')).toEqual([]);
    await runtime.clock.advance(3_000);
    expect((await backend.list('orders')).map((each) => [each.id, each.status])).toEqual([['a', 'draining']]);
    expect(told()).toEqual(['registered', 'statusChanged', 'registrationLost', 'registered']);
  });

  it('keeps trying while the registry is away, however long, and tells', async () => {
    const { runtime, backend, registry, told } = await begin();
    const registration = await registry.register({ ...orders, id: 'a' });
    backend.partition();
    await runtime.clock.advance(3_000);
    expect(registration.state).toBe('unconfirmed');
    await runtime.clock.advance(3_600_000);
    expect(told()).toContain('registrationFailed');
    backend.heal();
    await runtime.clock.advance(3_000);
    expect(registration.state).toBe('registered');
    expect((await backend.list('orders')).map((each) => each.id)).toEqual(['a']);
    expect(told()).toContain('registrationLost');
  });

  it('asks no more often than a heartbeat in the long run while the registry is away', async () => {
    const { runtime, backend, registry } = await begin();
    await registry.register({ ...orders, id: 'a' });
    backend.partition();
    await runtime.clock.advance(300_000);
    const failures = runtime.events.filter((event) => event.type === 'registrationFailed').length;
    expect(failures).toBeGreaterThan(100);
    expect(failures).toBeLessThan(350);
  });

  it('survives a registry that never answers', async () => {
    const { runtime, backend, registry } = await begin({ timeout: '1s' });
    const registration = await registry.register({ ...orders, id: 'a' });
    backend.partition('silence');
    await runtime.clock.advance(60_000);
    expect(registration.state).toBe('unconfirmed');
    backend.heal();
    await runtime.clock.advance(4_000);
    expect(registration.state).toBe('registered');
    expect(await backend.list('orders')).toHaveLength(1);
  });

  it('rejects when the registry cannot be reached, and leaves nothing behind', async () => {
    const { runtime, backend, registry } = await begin({ timeout: '1s' });
    backend.partition();
    await expect(registry.register(orders)).rejects.toThrow(RegistryError);
    backend.partition('silence');
    const slow = expect(registry.register(orders)).rejects.toThrow('did not settle within 1000 ms');
    await runtime.clock.advance(1_000);
    await slow;
    backend.heal();
    await runtime.clock.advance(60_000);
    expect(registry.registrations).toEqual([]);
    expect(await backend.list('orders')).toEqual([]);
  });

  it('withdraws a registration that succeeds after its caller was told that it failed', async () => {
    const runtime = testRuntime();
    const cluster = memoryRegistry({ runtime });
    let arrive: () => void = () => {};
    const slow: RegistryBackend = {
      ...delegate(cluster),
      register: async (instance, options) => {
        await new Promise<void>((resolve) => {
          arrive = resolve;
        });
        return cluster.register(instance, { ttl: options.ttl });
      },
    };
    const registry = await new ServiceRegistry({ backend: slow, runtime, timeout: '1s' }).start();
    const failed = expect(registry.register(orders)).rejects.toThrow(RegistryError);
    await runtime.clock.advance(1_000);
    await failed;
    arrive();
    await runtime.clock.advance(0);
    expect(await cluster.list('orders')).toEqual([]);
  });

  it('tells the status with the next heartbeat when it could not be told at once', async () => {
    const { runtime, backend, registry } = await begin();
    const registration = await registry.register({ ...orders, id: 'a' });
    backend.partition();
    await expect(registration.drain()).rejects.toThrow(RegistryError);
    expect(registration.instance.status).toBe('draining');
    backend.heal();
    await runtime.clock.advance(3_000);
    expect((await backend.list('orders'))[0]?.status).toBe('draining');
  });

  it('deregisters once, and stays deregistered', async () => {
    const { runtime, backend, registry, told } = await begin();
    const registration = await registry.register({ ...orders, id: 'a' });
    await Promise.all([registration.deregister(), registration.deregister()]);
    expect(registration.state).toBe('deregistered');
    await runtime.clock.advance(60_000);
    expect(await backend.list('orders')).toEqual([]);
    expect(told()).toEqual(['registered', 'deregistered']);
    expect(runtime.clock.pending).toBe(0);
    await expect(registry.register({ ...orders, id: 'a' })).resolves.toBeDefined();
  });

  it('refuses an id that it has registered already, and bad options', async () => {
    const { registry } = await begin();
    await registry.register({ ...orders, id: 'a' });
    await expect(registry.register({ ...orders, id: 'a' })).rejects.toThrow(InvalidOptionsError);
    await expect(registry.register({ ...orders, port: 0 })).rejects.toThrow(InvalidOptionsError);
    await registry.register({ ...orders, service: 'other', id: 'a' });
    expect(registry.registrations.map((each) => each.instance.service)).toEqual(['orders', 'other']);
  });

  it('spreads the heartbeats of instances that start together', async () => {
    const { runtime, registry } = await begin();
    for (let port = 1; port <= 20; port += 1) await registry.register({ service: 'orders', port });
    await runtime.clock.advance(30_000);
    const moments = new Set(registry.registrations.map((each) => each.confirmedAt));
    expect(moments.size).toBeGreaterThan(15);
  });
});

describe('ServiceRegistry life', () => {
  it('marks draining, waits, then takes out, and can be used until the end', async () => {
    const { runtime, backend, registry } = await begin({ drainDelay: '2s' });
    await registry.register({ ...orders, id: 'a' });
    await registry.service('orders').whenAvailable();
    const stopped = registry.stop();
    await runtime.clock.advance(1_999);
    expect((await backend.list('orders'))[0]?.status).toBe('draining');
    expect(registry.state).toBe('stopping');
    expect(registry.service('orders').instances).toHaveLength(1);
    await runtime.clock.advance(1);
    await stopped;
    expect(await backend.list('orders')).toEqual([]);
    expect(registry.state).toBe('stopped');
    expect(runtime.clock.pending).toBe(0);
  });

  it('stops in time although the registry does not answer', async () => {
    const { runtime, backend, registry } = await begin({ timeout: '1m' });
    await registry.register(orders);
    backend.partition('silence');
    const stopped = registry.stop({ timeout: '3s' });
    await runtime.clock.advance(3_000);
    await stopped;
    expect(registry.state).toBe('stopped');
  });

  it('stops at once when nothing is registered, and is idempotent', async () => {
    const { registry } = await begin();
    await Promise.all([registry.stop(), registry.stop()]);
    await registry[Symbol.asyncDispose]();
    expect(registry.state).toBe('stopped');
    await expect(registry.start()).rejects.toThrow(NotRunningError);
  });

  it('takes out a registration that was under way when it stopped', async () => {
    const { runtime, backend, registry } = await begin({ drainDelay: 0 });
    backend.partition('silence');
    const registering = expect(registry.register(orders)).rejects.toThrow();
    await runtime.clock.advance(10);
    const stopped = registry.stop({ timeout: '1s' });
    await runtime.clock.advance(1_000);
    await stopped;
    backend.heal();
    await runtime.clock.advance(10_000);
    await registering;
    expect(await backend.list('orders')).toEqual([]);
  });

  it('is used only between start and stop', async () => {
    const runtime = testRuntime();
    const registry = new ServiceRegistry({ backend: memoryRegistry({ runtime }), runtime });
    expect(() => registry.pick('orders')).toThrow(NotRunningError);
    await expect(registry.register(orders)).rejects.toThrow(NotRunningError);
    await expect(registry.services()).rejects.toThrow(NotRunningError);
    expect(await registry.start()).toBe(registry);
    await registry.stop();
    expect(() => registry.service('orders').instances).toThrow(NotRunningError);
  });

  it('starts while the registry is away', async () => {
    const { backend } = await begin();
    backend.partition();
    await expect(new ServiceRegistry({ backend }).start()).resolves.toBeDefined();
  });

  it.each([
    {},
    { backend: {} },
    { backend: memoryRegistry(), ttl: 10 },
    { backend: memoryRegistry(), ttl: '10 s' },
    { backend: memoryRegistry(), host: 'a b' },
    { backend: memoryRegistry(), balance: 'p2c' },
    { backend: memoryRegistry(), maxServices: 0 },
    { backend: memoryRegistry(), heartbeat: '1s' },
  ])('refuses the options %#', (options) => {
    expect(() => new ServiceRegistry(options as never)).toThrow(InvalidOptionsError);
  });
});

/** The methods of a backend as an object whose parts a test can replace. */
function delegate(backend: RegistryBackend): RegistryBackend {
  return {
    name: backend.name,
    register: (instance, options) => backend.register(instance, options),
    list: (service, signal) => backend.list(service, signal),
    watch: (service, signal) => backend.watch(service, signal),
    services: (signal) => backend.services(signal),
    close: () => backend.close(),
  };
}
