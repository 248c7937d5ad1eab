import { describe, expect, expectTypeOf, it } from 'vitest';
import { z } from 'zod';
import { memoryBus } from '../../src/adapters/memory/bus.ts';
import { InvalidOptionsError, InvalidPayloadError, NotRunningError } from '../../src/core/errors.ts';
import type { Delivery } from '../../src/ports/message-bus.ts';
import {
  causationHeader,
  correlationHeader,
  participant,
  sourceHeader,
} from '../../src/saga/choreography.ts';
import { eventCatalog } from '../../src/saga/event-catalog.ts';
import { memoryInbox } from '../../src/saga/inbox.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';

const catalog = eventCatalog({
  'order.placed': z.object({ orderId: z.string(), at: z.string().transform((text) => new Date(text)) }),
  'order.paid': z.object({ orderId: z.string() }),
  'order.shipped': z.object({ orderId: z.string() }),
});
const placed = { orderId: 'o1', at: '2030-01-01T00:00:00.000Z' };

function setup() {
  const runtime = testRuntime();
  const bus = memoryBus({ runtime });
  const wire: Delivery[] = [];
  const tap = (): Promise<unknown> =>
    bus.subscribe(catalog.events, async (message) => void wire.push(message), { group: 'tap' });
  return {
    runtime,
    bus,
    wire,
    tap,
    shop: () => participant({ bus, catalog, name: 'shop', runtime }).start(),
  };
}

describe('a choreography', () => {
  it('carries typed events from one participant to the next, with what they belong to and what caused them', async () => {
    const { runtime, bus, wire, tap, shop } = setup();
    await tap();
    const log: string[] = [];
    await participant({
      bus,
      catalog,
      name: 'payments',
      runtime,
      on: {
        'order.placed': async ({ payload, correlationId, causationId }, { publish }) => {
          expectTypeOf(payload).toEqualTypeOf<{ orderId: string; at: Date }>();
          log.push(
            `pay ${payload.orderId} of ${payload.at.getUTCFullYear()} for ${correlationId}, ${causationId}`,
          );
          await publish('order.paid', { orderId: payload.orderId });
        },
      },
    }).start();
    await participant({
      bus,
      catalog,
      name: 'shipping',
      runtime,
      on: {
        'order.paid': ({ payload, causationId }) =>
          void log.push(`ship ${payload.orderId} by ${causationId}`),
      },
    }).start();
    await (await shop()).publish('order.placed', placed, { id: 'm1', correlationId: 'c1', key: 'o1' });
    await runtime.clock.advance(0);
    expect(log).toEqual(['pay o1 of 2030 for c1, undefined', 'ship o1 by m1']);
    expect(wire.map(({ key, headers }) => [key, headers])).toEqual([
      ['o1', { [correlationHeader]: 'c1', [sourceHeader]: 'shop' }],
      ['o1', { [correlationHeader]: 'c1', [causationHeader]: 'm1', [sourceHeader]: 'payments' }],
    ]);
  });

  it('refuses to say what the catalog does not allow', async () => {
    const { shop, bus, wire, tap } = setup();
    await tap();
    const speaker = await shop();
    await expect(speaker.publish('order.paid', { orderId: 7 } as never)).rejects.toThrow(
      /order.paid.*orderId/,
    );
    await expect(speaker.publish('order.lost' as never, {} as never)).rejects.toBeInstanceOf(
      InvalidPayloadError,
    );
    // @ts-expect-error not what the schema takes
    await expect(speaker.publish('order.paid', {})).rejects.toBeInstanceOf(InvalidPayloadError);
    await bus.close();
    expect(wire).toEqual([]);
  });

  it('buries at once what it cannot understand, and goes on', async () => {
    const { runtime, bus, shop } = setup();
    const dead: [string, number][] = [];
    const seen: string[] = [];
    const hears = await participant({
      bus,
      catalog,
      name: 'shipping',
      runtime,
      on: { 'order.paid': ({ payload }) => void seen.push(payload.orderId) },
      onDeadLetter: (message, error) => {
        expect(error).toBeInstanceOf(InvalidPayloadError);
        dead.push([message.id, message.attempt]);
      },
    }).start();
    await bus.publish({ id: 'bad', topic: 'order.paid', key: 'k', payload: { id: 1 }, headers: {} });
    await (await shop()).publish('order.paid', { orderId: 'o2' }, { key: 'k' });
    await runtime.clock.advance(0);
    expect(dead).toEqual([['bad', 1]]);
    expect(seen).toEqual(['o2']);
    await hears.stop();
  });

  it('handles a message once, however often it comes', async () => {
    const { runtime, bus, shop } = setup();
    const seen: string[] = [];
    const hears = await participant({
      bus,
      catalog,
      name: 'shipping',
      runtime,
      on: { 'order.paid': ({ id }) => void seen.push(id) },
    }).start();
    const duplicates: string[] = [];
    hears.on('duplicated', ({ id }) => duplicates.push(id));
    const speaker = await shop();
    for (const id of ['m1', 'm1', 'm2', 'm1']) await speaker.publish('order.paid', { orderId: 'o' }, { id });
    await runtime.clock.advance(0);
    expect(seen.sort()).toEqual(['m1', 'm2']);
    expect(duplicates).toEqual(['m1', 'm1']);
  });

  it('runs a handler that rejected again, which then says the same under the same ids', async () => {
    const { runtime, bus, wire, tap, shop } = setup();
    await tap();
    const failures: number[] = [];
    const hears = await participant({
      bus,
      catalog,
      name: 'payments',
      runtime,
      on: {
        'order.placed': async ({ payload: { orderId }, attempt }, { publish }) => {
          await publish('order.paid', { orderId });
          if (attempt < 3) throw new Error('crashed in between');
          await publish('order.shipped', { orderId });
        },
      },
    }).start();
    hears.on('failed', ({ attempt }) => failures.push(attempt));
    await (await shop()).publish('order.placed', placed);
    await runtime.clock.advance(60_000);
    const paid = wire.filter((m) => m.topic === 'order.paid').map((m) => m.id);
    expect(paid).toHaveLength(3);
    expect(new Set(paid).size).toBe(1);
    const shipped = wire.filter((m) => m.topic === 'order.shipped').map((m) => m.id);
    expect(shipped).toHaveLength(1);
    expect(shipped).not.toContain(paid[0]);
    expect(failures).toEqual([1, 2]);
  });

  it('says something else when it is run again, which is another event', async () => {
    const { runtime, bus, shop } = setup();
    const heard: string[] = [];
    const hear = (event: string) => () => void heard.push(event);
    await participant({
      bus,
      catalog,
      name: 'log',
      runtime,
      on: { 'order.paid': hear('paid'), 'order.shipped': hear('shipped') },
    }).start();
    await participant({
      bus,
      catalog,
      name: 'payments',
      runtime,
      on: {
        'order.placed': async ({ payload: { orderId }, attempt }, { publish }) => {
          await publish(attempt === 1 ? 'order.paid' : 'order.shipped', { orderId });
          if (attempt === 1) throw new Error('decides otherwise');
        },
      },
    }).start();
    await (await shop()).publish('order.placed', placed);
    await runtime.clock.advance(60_000);
    expect(heard.sort()).toEqual(['paid', 'shipped']);
  });

  it('does not bury an event because its schema threw', async () => {
    const { runtime, bus } = setup();
    let checks = 0;
    const moody = z.object({ orderId: z.string() }).refine(() => {
      checks += 1;
      // Once by the publisher, then on receipt.
      if (checks === 2) throw new Error('the schema asks a service that is away');
      return true;
    });
    const own = eventCatalog({ 'order.paid': moody });
    const seen: string[] = [];
    const dead: unknown[] = [];
    await participant({
      bus,
      catalog: own,
      name: 'shipping',
      runtime,
      on: { 'order.paid': ({ payload }) => void seen.push(payload.orderId) },
      onDeadLetter: (_message, error) => void dead.push(error),
    }).start();
    const speaker = await participant({ bus, catalog: own, name: 'shop', runtime }).start();
    await speaker.publish('order.paid', { orderId: 'o1' });
    await runtime.clock.advance(60_000);
    expect([seen, dead]).toEqual([['o1'], []]);
  });

  it('tells when its inbox fails, and handles the message when it is back', async () => {
    const { runtime, bus, shop } = setup();
    const heard: string[] = [];
    const remembered = memoryInbox();
    let broken = true;
    const has = async (consumer: string, id: string): Promise<boolean> => {
      if (broken) throw new Error('inbox is away');
      return remembered.has(consumer, id);
    };
    const on = { 'order.paid': () => void heard.push('called') };
    const inbox = { ...remembered, has };
    const shipping = await participant({ bus, catalog, name: 'shipping', runtime, inbox, on }).start();
    shipping.on('failed', ({ attempt, error }) => {
      heard.push(`${attempt} ${(error as Error).message}`);
      broken = false;
    });
    await (await shop()).publish('order.paid', { orderId: 'o' });
    await runtime.clock.advance(60_000);
    expect(heard).toEqual(['1 inbox is away', 'called']);
  });

  it('gives up in the end, and tells', async () => {
    const { runtime, bus, shop } = setup();
    const dead: string[] = [];
    await participant({
      bus,
      catalog,
      name: 'shipping',
      runtime,
      maxAttempts: 2,
      on: {
        'order.paid': () => {
          throw new Error('never');
        },
      },
      onDeadLetter: (message, error) =>
        void dead.push(`${message.id} ${message.attempt} ${(error as Error).message}`),
    }).start();
    await (await shop()).publish('order.paid', { orderId: 'o' }, { id: 'm' });
    await runtime.clock.advance(60_000);
    expect(dead).toEqual(['m 2 never']);
  });

  it('waits for handlers under way when it stops, and hears nothing more', async () => {
    const { runtime, bus, shop } = setup();
    let end = (): void => {};
    const seen: string[] = [];
    const hears = await participant({
      bus,
      catalog,
      name: 'shipping',
      runtime,
      on: {
        'order.paid': async ({ payload }) => {
          await new Promise<void>((resolve) => {
            end = resolve;
          });
          seen.push(payload.orderId);
        },
      },
    }).start();
    const speaker = await shop();
    await speaker.publish('order.paid', { orderId: 'o1' });
    await runtime.clock.advance(0);
    const stopped = hears.stop();
    await speaker.publish('order.paid', { orderId: 'o2' });
    end();
    await stopped;
    await runtime.clock.advance(0);
    expect(seen).toEqual(['o1']);
    await speaker.stop();
    await expect(speaker.publish('order.paid', { orderId: 'o3' })).rejects.toBeInstanceOf(NotRunningError);
  });

  it('refuses wrong options', () => {
    const { bus } = setup();
    const on = { 'order.lost': () => {} };
    expect(() => participant({ bus, catalog, name: 'p', on: on as never })).toThrow('on.order.lost');
    expect(() => participant({ bus, catalog, name: 'a b' })).toThrow(InvalidOptionsError);
    expect(() => participant({ bus: {} as never, catalog, name: 'p' })).toThrow('bus');
    expect(() => eventCatalog({ 'a b': z.string() })).toThrow('a b');
    expect(() => eventCatalog({ a: {} as never })).toThrow(InvalidOptionsError);
  });
});

describe('memoryInbox', () => {
  it('remembers by consumer, and forgets the oldest beyond its capacity', async () => {
    const inbox = memoryInbox({ capacity: 2 });
    for (const id of ['1', '2', '3']) await inbox.add('a', id);
    const known = ['1', '2', '3'].map((id) => inbox.has('a', id));
    expect(known).toEqual([false, true, true]);
    expect(inbox.has('b', '3')).toBe(false);
  });
});
