import { describe, expect, it } from 'vitest';
import {
  GroupCommit,
  type GroupCommitOptions,
  type PendingWrite,
} from '../../../src/adapters/internal/group-commit.ts';
import { ManualClock } from '../../../src/testing/manual-clock.ts';

type Batch = readonly PendingWrite<string, string>[];

/** Batches that end when the test says so. */
function stage(options: Partial<GroupCommitOptions<string, string>> = {}) {
  const batches: { readonly items: string[]; readonly end: (error?: Error) => void }[] = [];
  const group = new GroupCommit<string, string>({
    maxBatch: 100,
    inFlight: 1,
    keyOf: (item) => item.split(':')[0]!,
    ...options,
    commit: (batch: Batch) =>
      new Promise((resolve, reject) => {
        const end = (error?: Error): void => {
          if (error !== undefined) reject(error);
          else for (const write of batch) write.resolve(`wrote ${write.item}`);
          // After a rejection it does nothing.
          resolve();
        };
        batches.push({ items: batch.map(({ item }) => item), end });
      }),
  });
  const turn = async (): Promise<void> => {
    for (let n = 0; n < 3; n += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  return { group, batches, turn, shown: () => batches.map(({ items }) => items.join(' ')) };
}

describe('GroupCommit', () => {
  it('puts what is written in one turn into one batch, and what comes meanwhile into the next', async () => {
    const { group, batches, turn, shown } = stage();
    const first = ['a', 'b', 'c'].map((item) => group.write(item));
    await turn();
    const second = ['d', 'e'].map((item) => group.write(item));
    await turn();
    expect(shown()).toEqual(['a b c']);
    batches[0]!.end();
    expect(await Promise.all(first)).toEqual(['wrote a', 'wrote b', 'wrote c']);
    await turn();
    expect(shown()).toEqual(['a b c', 'd e']);
    batches[1]!.end();
    await Promise.all(second);
  });

  it('has as many batches under way as it may', async () => {
    const { group, batches, turn, shown } = stage({ maxBatch: 2, inFlight: 2 });
    const all = Promise.all(['a', 'b', 'c', 'd', 'e'].map((item) => group.write(item)));
    await turn();
    expect(shown()).toEqual(['a b', 'c d']);
    batches[1]!.end();
    await turn();
    expect(shown()).toEqual(['a b', 'c d', 'e']);
    for (const { end } of batches) end();
    await all;
  });

  it('divides what many write at once, so that one half is written while the other one is made', async () => {
    const { group, batches, turn } = stage({ inFlight: 2 });
    const sizes = (): number[] => batches.map(({ items }) => items.length);
    const wrote = (count: number): Promise<unknown> =>
      Promise.all(Array.from({ length: count }, (_, n) => group.write(`${batches.length}-${n}`)));
    const many = wrote(40);
    await turn();
    expect(sizes()).toEqual([20, 20]);
    batches[0]!.end();
    const more = wrote(40);
    await turn();
    // Beside one that is under way there is nothing to divide.
    expect(sizes()).toEqual([20, 20, 40]);
    batches[1]!.end();
    batches[2]!.end();
    await Promise.all([many, more]);
    const few = wrote(31);
    await turn();
    expect(sizes()).toEqual([20, 20, 40, 31]);
    batches[3]!.end();
    await few;
  });

  it('never puts two writes of one key into a batch, and keeps their order', async () => {
    const { group, batches, turn, shown } = stage();
    const all = Promise.all(['a:1', 'b:1', 'a:2', 'a:3', 'b:2'].map((item) => group.write(item)));
    for (let batch = 0; batch < 3; batch += 1) {
      await turn();
      batches[batch]!.end();
    }
    await all;
    expect(shown()).toEqual(['a:1 b:1', 'a:2 b:2', 'a:3']);
  });

  it('stops a batch that grows large, and takes one that is too large alone', async () => {
    const { group, batches, turn, shown } = stage({ sizeOf: (item) => (item === 'big' ? 9_000_000 : 1) });
    const all = Promise.all(['a', 'big', 'b', 'big:2', 'c'].map((item) => group.write(item)));
    while (shown().join(' ').split(' ').length < 5) {
      await turn();
      batches.at(-1)!.end();
      await turn();
    }
    batches.at(-1)!.end();
    await all;
    expect(shown()[0]).toBe('a');
    expect(batches.every(({ items }) => !items.includes('big') || items.indexOf('big') === 0)).toBe(true);
  });

  it('rejects a batch that fails, and goes on with the next', async () => {
    const { group, batches, turn } = stage();
    const failed = Promise.allSettled(['a', 'b'].map((item) => group.write(item)));
    await turn();
    batches[0]!.end(new Error('the disk is full'));
    expect((await failed).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    const next = group.write('c');
    await turn();
    batches[1]!.end();
    expect(await next).toBe('wrote c');
  });
});

it('a batch that is never answered keeps its place only for so long', async () => {
  const clock = new ManualClock();
  const { group, shown, turn, batches } = stage({ patience: { clock, limit: 1_000 } });
  const first = group.write('a');
  await turn();
  const second = group.write('b');
  await turn();
  expect(shown()).toEqual(['a']);
  const told = expect(first).rejects.toThrow('did not answer within 1000 ms');
  await clock.advance(1_000);
  await told;
  await turn();
  expect(shown()).toEqual(['a', 'b']);
  batches[1]!.end();
  expect(await second).toBe('wrote b');
  // Late, it changes nothing: one batch at a time is under way, as before.
  batches[0]!.end();
  await turn();
  void group.write('c');
  void group.write('c:2');
  await turn();
  expect(shown()).toEqual(['a', 'b', 'c']);
  expect(clock.pending).toBe(1);
});
