import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { Broadcast } from '../../src/core/broadcast.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Read on until the end, into a list that can be looked at meanwhile. */
function read<T>(values: AsyncIterable<T>): { readonly seen: T[]; readonly ended: Promise<void> } {
  const seen: T[] = [];
  const ended = (async () => {
    for await (const value of values) seen.push(value);
  })();
  ended.catch(() => {});
  return { seen, ended };
}

describe('Broadcast', () => {
  it('gives every reader the newest value at once, and then each newer one', async () => {
    const broadcast = new Broadcast<number>();
    const early = read(broadcast.values());
    broadcast.publish(1);
    await turn();
    const late = read(broadcast.values());
    broadcast.publish(2);
    await turn();
    broadcast.close();
    await Promise.all([early.ended, late.ended]);
    expect(early.seen).toEqual([1, 2]);
    expect(late.seen).toEqual([1, 2]);
    expect(broadcast.current).toBe(2);
  });

  it('lets a slow reader skip what it missed', async () => {
    const broadcast = new Broadcast<number>();
    const reader = broadcast.values();
    broadcast.publish(1);
    expect((await reader.next()).value).toBe(1);
    for (const value of [2, 3, 4]) broadcast.publish(value);
    expect((await reader.next()).value).toBe(4);
    broadcast.close();
    expect((await reader.next()).done).toBe(true);
  });

  it('gives the newest value before it ends, also to a reader that comes after the end', async () => {
    const broadcast = new Broadcast<string>();
    broadcast.publish('last');
    broadcast.close();
    broadcast.publish('ignored');
    const { seen, ended } = read(broadcast.values());
    await ended;
    expect(seen).toEqual(['last']);
  });

  it('ends by throwing when closed with an error; the first close counts', async () => {
    const broadcast = new Broadcast<number>();
    const { ended } = read(broadcast.values());
    broadcast.close(new Error('lost'));
    broadcast.close();
    await expect(ended).rejects.toThrow('lost');
  });

  it('ends quietly when the signal aborts, before or while waiting, and takes its listener off', async () => {
    const broadcast = new Broadcast<number>();
    const controller = new AbortController();
    const { seen, ended } = read(broadcast.values(controller.signal));
    for (const value of [1, 2, 3]) {
      broadcast.publish(value);
      await turn();
    }
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(1);
    controller.abort();
    await ended;
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
    await read(broadcast.values(controller.signal)).ended;
    expect(seen).toEqual([1, 2, 3]);
  });

  it('takes undefined for a value like any other', async () => {
    const broadcast = new Broadcast<undefined>();
    const reader = broadcast.values();
    broadcast.publish(undefined);
    expect(await reader.next()).toEqual({ done: false, value: undefined });
  });
});
