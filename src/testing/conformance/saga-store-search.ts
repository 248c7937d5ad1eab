import assert from 'node:assert/strict';
import type { SagaQuery, SagaRecord, SagaStatus } from '../../ports/saga-store.ts';
import { all, ids, newSaga, type SagaStoreTests, signal } from './saga-store-harness.ts';

/** Comparable, whatever the order of counts and of their properties. */
function inOrder(counts: readonly unknown[]): string[] {
  return counts.map((count) => JSON.stringify(Object.entries(count as object).sort())).sort();
}

/** Looking, counting and forgetting. */
export const search: SagaStoreTests = {
  'lists newest first by every filter, up to the limit': async ({ store }, first) => {
    for (const [index, id] of ['a', 'b', 'c'].entries())
      await store.create(newSaga(id, 1_000 + index), first);
    const other = { ...newSaga('d', 2_000), saga: 'refund', definitionVersion: 3 };
    const { record } = await store.create(other, first);
    await store.update({ ...record, status: 'completed' });
    const found: readonly [SagaQuery, string][] = [
      [{}, 'dcba'],
      [{ limit: 2 }, 'dc'],
      [{ saga: 'checkout' }, 'cba'],
      [{ status: 'completed' }, 'd'],
      [{ status: ['completed', 'running'] }, 'dcba'],
      [{ status: ['parked', 'completed'] }, 'd'],
      [{ status: [] }, ''],
      [{ saga: 'checkout', status: 'completed' }, ''],
      [{ definitionVersion: 3 }, 'd'],
      [{ definitionVersion: 1, limit: 1 }, 'c'],
      [{ createdFrom: 1_001 }, 'dcb'],
      [{ createdBefore: 1_001 }, 'a'],
      [{ createdFrom: 1_001, createdBefore: 2_000, status: 'running' }, 'cb'],
    ];
    for (const [query, expected] of found) {
      assert.equal(ids(await store.list(query)).join(''), expected, JSON.stringify(query));
    }
  },

  'lists by what an id begins with, whatever characters that is': async ({ store }, first) => {
    const names = ['a%b', 'a%c', 'axb', 'a_b', 'A%b', 'a', '%', '_x', 'a\\%', '🪸1', '🪸2', '🪹', 'ab', 'a%'];
    for (const id of names) await store.create(newSaga(id), first);
    for (const idPrefix of ['', 'a', 'a%', 'a_', '%', '_', 'a\\', '🪸', 'A', 'zz', "'"]) {
      const expected = names.filter((id) => id.startsWith(idPrefix));
      assert.deepEqual(ids(await store.list({ idPrefix })).sort(), expected.sort(), idPrefix);
    }
  },

  'lists page by page, each record once, also where many were created in one millisecond': async (
    { store },
    first,
  ) => {
    for (let n = 0; n < 23; n += 1) await store.create(newSaga(`s${n}`, 1_000 + Math.floor(n / 9)), first);
    const everything = await store.list({});
    const pages: SagaRecord[] = [];
    let after: SagaRecord | undefined;
    do {
      const page = await store.list({ saga: 'checkout', limit: 5, after });
      pages.push(...page);
      after = page.at(-1);
    } while (after !== undefined);
    assert.deepEqual(pages, everything);
    assert.equal(pages.length, 23);
    assert.ok(pages.every(({ createdAt }, n) => n === 0 || createdAt <= pages[n - 1]!.createdAt));
  },

  'gives 100 records unless asked for more': async ({ store }, first) => {
    await Promise.all(Array.from({ length: 105 }, (_, n) => store.create(newSaga(`s${n}`), first)));
    assert.equal((await store.list({})).length, 100);
    assert.equal((await store.list({ limit: 200 })).length, 105);
  },

  'counts by shape and status': async ({ store }, first) => {
    assert.deepEqual(await store.census(), []);
    for (const id of ['a', 'b', 'c']) await store.create(newSaga(id), first);
    await store.create({ ...newSaga('d'), definitionVersion: 2, hash: 'h2' }, first);
    const { record } = await store.create({ ...newSaga('e'), saga: 'refund' }, first);
    await store.update({ ...record, status: 'parked' });
    const expected = [
      { saga: 'checkout', hash: 'h1', definitionVersion: 1, status: 'running', count: 3 },
      { saga: 'checkout', hash: 'h2', definitionVersion: 2, status: 'running', count: 1 },
      { saga: 'refund', hash: 'h1', definitionVersion: 1, status: 'parked', count: 1 },
    ];
    const [running, other, parked] = expected;
    assert.deepEqual(inOrder(await store.census()), inOrder(expected));
    assert.deepEqual(inOrder(await store.census('running')), inOrder([running, other]));
    assert.deepEqual(inOrder(await store.census(['parked', 'waiting'])), inOrder([parked]));
    assert.deepEqual(await store.census([]), []);
    // A status that is none is text like any other.
    assert.deepEqual(await store.census("x' OR '1'='1" as SagaStatus), []);
  },

  'purges what has ended before a time, up to the limit, and nothing else': async ({ store }, first) => {
    const end = async (id: string, status: SagaStatus, updatedAt: number): Promise<void> => {
      const { record } = await store.create(newSaga(id), first);
      await store.request(id, signal('r'));
      await store.update({ ...record, status, updatedAt });
    };
    const ended = ['completed', 'compensated', 'resolved'] as const;
    for (const status of ended) await end(status, status, 1_500);
    await end('later', 'completed', 2_000);
    for (const status of ['parked', 'waiting', 'compensating'] as const) await end(status, status, 1_500);
    await store.create(newSaga('running'), first);
    assert.equal(await store.purge(2_000, 2), 2);
    assert.equal(await store.purge(2_000, 10), 1);
    assert.equal(await store.purge(2_000, 10), 0);
    const left = ['compensating', 'later', 'parked', 'running', 'waiting'];
    assert.deepEqual(ids(await store.list({})).sort(), left);
    assert.equal(await store.request('completed', signal('r')), 'unknown');
    const { created, record } = await store.create(newSaga('completed'), first);
    assert.deepEqual([created, record.requests], [true, undefined]);
    await store.release(first.owner);
    const claimed = await store.claim(all(), first);
    assert.deepEqual(ids(claimed).sort(), ['compensating', 'completed', 'running', 'waiting']);
  },
};
