import { describe, expect, it } from 'vitest';
import { begin, collect } from './service-watch-stage.ts';

describe('what is known of a service', () => {
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
});
