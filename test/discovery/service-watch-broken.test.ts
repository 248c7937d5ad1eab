import { describe, expect, it, vi } from 'vitest';
import { NoInstanceError } from '../../src/core/errors.ts';
import { ServiceRegistry } from '../../src/discovery/service-registry.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { instance } from './balance-simulation.ts';
import { begin, fake, idsOf } from './service-watch-stage.ts';

describe('what is known of a service', () => {
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
});
