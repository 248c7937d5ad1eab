import assert from 'node:assert/strict';
import type { Delivery, Message, MessageBus } from '../../ports/message-bus.ts';
import { declaredIt, type Exceptions, type TestApi } from './test-api.ts';

/** One bus to test, with nothing on it. */
export interface MessageBusHarness {
  readonly bus: MessageBus;
  /** Let time pass until the condition holds; rejects when it does not within a reasonable time. */
  readonly until: (condition: () => boolean) => Promise<void>;
  /** Let enough time pass for anything that is coming to come. */
  readonly quiet: () => Promise<void>;
  /** Take it down. */
  readonly dispose: () => Promise<void>;
}

/** Options of {@link messageBusConformance}. */
export interface MessageBusConformanceOptions extends TestApi {
  /** Of the adapter, for the report. */
  readonly name: string;
  /** A fresh bus for each test. */
  readonly open: () => Promise<MessageBusHarness>;
  /** What the adapter cannot do, by the test's name, with the reason. */
  readonly except?: Exceptions;
}

/** The contract of a `MessageBus`, sentence by sentence. */
export function messageBusConformance(options: MessageBusConformanceOptions): void {
  const it = declaredIt(options, options.except);
  options.describe(`MessageBus: ${options.name}`, () => {
    for (const [name, test] of Object.entries({ ...delivery, ...order, ...failure, ...closing })) {
      it(name, async () => {
        const harness = await options.open();
        try {
          await test(harness);
        } finally {
          await harness.dispose();
        }
      });
    }
  });
}

type Tests = Readonly<Record<string, (harness: MessageBusHarness) => Promise<void>>>;

function message(id: string, key = 'k', topic = 'order.placed'): Message {
  return { id, key, topic, payload: { id, list: [1, null, 'ü'] }, headers: { 'trace-id': `t-${id}` } };
}

const topics = ['order.placed'];

/** A handler that remembers what it got. */
function collector(): {
  readonly seen: Delivery[];
  readonly ids: () => string[];
  take: (d: Delivery) => Promise<void>;
} {
  const seen: Delivery[] = [];
  return { seen, ids: () => seen.map((d) => d.id), take: async (d) => void seen.push(d) };
}

const delivery: Tests = {
  'delivers a message as it was published, to every group': async ({ bus, until }) => {
    const [a, b] = [collector(), collector()];
    await bus.subscribe(topics, a.take, { group: 'a' });
    await bus.subscribe(topics, b.take, { group: 'b' });
    await bus.publish(message('1'));
    await until(() => a.seen.length > 0 && b.seen.length > 0);
    assert.deepEqual(a.seen[0], { ...message('1'), attempt: 1 });
    assert.deepEqual(b.seen[0], { ...message('1'), attempt: 1 });
  },

  'gives each message of a group to one of its subscribers': async ({ bus, until, quiet }) => {
    const [a, b] = [collector(), collector()];
    await bus.subscribe(topics, a.take, { group: 'g' });
    await bus.subscribe(topics, b.take, { group: 'g' });
    for (let n = 0; n < 20; n += 1) await bus.publish(message(`${n}`, `k${n}`));
    await until(() => a.seen.length + b.seen.length >= 20);
    await quiet();
    assert.equal(new Set([...a.ids(), ...b.ids()]).size, 20);
    assert.equal(a.seen.length + b.seen.length, 20);
  },

  'delivers the topics subscribed to and no others': async ({ bus, until, quiet }) => {
    const a = collector();
    await bus.subscribe(['order.placed', 'order.paid'], a.take, { group: 'g' });
    await bus.publish(message('1', 'k', 'order.shipped'));
    await bus.publish(message('2', 'k', 'order.paid'));
    await bus.publish(message('3'));
    await until(() => a.seen.length >= 2);
    await quiet();
    assert.deepEqual(a.ids(), ['2', '3']);
  },

  'misses what was published before a group existed': async ({ bus, until, quiet }) => {
    const a = collector();
    await bus.publish(message('early'));
    await bus.subscribe(topics, a.take, { group: 'g' });
    await bus.publish(message('late'));
    await until(() => a.seen.length > 0);
    await quiet();
    assert.deepEqual(a.ids(), ['late']);
  },

  'keeps what comes for a group while nobody of it listens': async ({ bus, until }) => {
    const [a, b] = [collector(), collector()];
    const off = await bus.subscribe(topics, a.take, { group: 'g' });
    off();
    off();
    await bus.publish(message('1'));
    await bus.subscribe(topics, b.take, { group: 'g' });
    await until(() => b.seen.length > 0);
    assert.deepEqual([a.ids(), b.ids()], [[], ['1']]);
  },

  'shares no object between publisher and handlers': async ({ bus, until }) => {
    const payload = { list: [1] };
    const a = collector();
    await bus.subscribe(topics, a.take, { group: 'a' });
    await bus.publish({ ...message('1'), payload });
    payload.list.push(2);
    await until(() => a.seen.length > 0);
    assert.deepEqual(a.seen[0]?.payload, { list: [1] });
  },
};

const order: Tests = {
  'keeps the order of a key, one at a time, also over several subscribers': async ({ bus, until }) => {
    const seen: string[] = [];
    let active = 0;
    let most = 0;
    const slow = async ({ id }: Delivery): Promise<void> => {
      active += 1;
      most = Math.max(most, active);
      for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
      seen.push(id);
      active -= 1;
    };
    await bus.subscribe(topics, slow, { group: 'g' });
    await bus.subscribe(topics, slow, { group: 'g' });
    const ids = Array.from({ length: 20 }, (_, n) => `${n}`);
    for (const id of ids) await bus.publish(message(id));
    await until(() => seen.length >= 20);
    assert.deepEqual(seen, ids);
    assert.equal(most, 1);
  },

  'keeps the order of a key while one of it is redelivered, and lets other keys pass': async ({
    bus,
    until,
  }) => {
    const seen: string[] = [];
    await bus.subscribe(
      topics,
      async ({ id, attempt }) => {
        if (id === '1' && attempt < 3) throw new Error('not yet');
        seen.push(id);
      },
      { group: 'g' },
    );
    await bus.publish(message('1', 'slow'));
    await bus.publish(message('2', 'slow'));
    await bus.publish(message('other', 'quick'));
    await until(() => seen.length >= 3);
    assert.deepEqual(seen, ['other', '1', '2']);
  },
};

const failure: Tests = {
  'delivers again what a handler rejected, counting the attempts': async ({ bus, until }) => {
    const attempts: number[] = [];
    await bus.subscribe(
      topics,
      async ({ attempt }) => {
        attempts.push(attempt);
        if (attempt < 3) throw new Error('not yet');
      },
      { group: 'g' },
    );
    await bus.publish(message('1'));
    await until(() => attempts.length >= 3);
    assert.deepEqual(attempts, [1, 2, 3]);
  },

  'gives up after the last attempt, tells why, and goes on with the next of its key': async ({
    bus,
    until,
    quiet,
  }) => {
    const dead: [string, number, string][] = [];
    const a = collector();
    await bus.subscribe(
      topics,
      async (d) => {
        if (d.id === 'poison') throw new Error('bad');
        await a.take(d);
      },
      {
        group: 'g',
        maxAttempts: 2,
        onDeadLetter: (d, error) => void dead.push([d.id, d.attempt, (error as Error).message]),
      },
    );
    await bus.publish(message('poison'));
    await bus.publish(message('next'));
    await until(() => a.seen.length > 0);
    await quiet();
    assert.deepEqual(dead, [['poison', 2, 'bad']]);
    assert.deepEqual(a.ids(), ['next']);
  },

  'goes on when the dead-letter handler throws': async ({ bus, until }) => {
    const a = collector();
    const onDeadLetter = (): never => {
      throw new Error('full');
    };
    const handler = async (d: Delivery): Promise<void> => {
      if (d.id === 'poison') throw new Error('bad');
      await a.take(d);
    };
    await bus.subscribe(topics, handler, { group: 'g', maxAttempts: 1, onDeadLetter });
    await bus.publish(message('poison'));
    await bus.publish(message('next'));
    await until(() => a.seen.length > 0);
    assert.deepEqual(a.ids(), ['next']);
  },
};

const closing: Tests = {
  'stops delivering and waits for handlers under way when it closes': async ({ bus, until, quiet }) => {
    let end = (): void => {};
    const seen: string[] = [];
    await bus.subscribe(
      topics,
      async ({ id }) => {
        seen.push(`begin ${id}`);
        await new Promise<void>((resolve) => {
          end = resolve;
        });
        seen.push(`end ${id}`);
      },
      { group: 'g' },
    );
    await bus.publish(message('1'));
    await bus.publish(message('2'));
    await until(() => seen.length > 0);
    const closed = bus.close().then(() => seen.push('closed'));
    await Promise.resolve();
    end();
    await closed;
    await quiet();
    assert.deepEqual(seen, ['begin 1', 'end 1', 'closed']);
    await bus.close();
    await assert.rejects(bus.publish(message('3')));
  },
};
