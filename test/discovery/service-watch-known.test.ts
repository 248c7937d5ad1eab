import { describe, expect, it } from 'vitest';
import { InvalidOptionsError, NoInstanceError } from '../../src/core/errors.ts';
import { ServiceRegistry } from '../../src/discovery/service-registry.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { begin, collect, fake, idsOf } from './service-watch-stage.ts';

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
