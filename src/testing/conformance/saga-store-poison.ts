import assert from 'node:assert/strict';
import { InvalidPayloadError } from '../../core/errors.ts';
import { all, ids, newSaga, type SagaStoreTests, unclaimed } from './saga-store-harness.ts';

const undecodable = 'parks what cannot be decoded, and goes on with the others';

/** What a bad row does, and a saga with which nobody gets any further. */
export const poison: SagaStoreTests = {
  [undecodable]: async ({ store, corrupt }, first, second) => {
    assert.ok(
      corrupt,
      `give the suite a way to corrupt a record, or declare except: { '${undecodable}': why }`,
    );
    for (const [index, id] of ['a', 'b', 'c'].entries())
      await store.create(newSaga(id, 1_000 + index), first);
    await corrupt('b');
    const read = await store.get('b');
    assert.equal(read?.status, 'parked');
    assert.match(read?.reason ?? '', /decode/);
    assert.equal(read.undecodable, true);
    const { created, record } = await store.create(newSaga('b'), first);
    assert.deepEqual([created, record.status, record.undecodable], [false, 'parked', true]);
    await store.release(first.owner);
    const claimed = await store.claim(all(), second);
    assert.deepEqual(
      claimed.map((r) => [r.id, r.status]),
      [
        ['a', 'running'],
        ['b', 'parked'],
        ['c', 'running'],
      ],
    );
    const before = await store.get('b');
    await assert.rejects(store.take('b', first), InvalidPayloadError);
    assert.deepEqual(await store.get('b'), before);
    await store.release(second.owner);
    assert.deepEqual(ids(await store.claim(all(), first)), ['a', 'c']);
    assert.equal((await store.list({ status: 'parked' })).length, 1);
  },

  'parks what was claimed too often without progress, for good, and says which way it was going': async (
    { store, now },
    first,
    second,
  ) => {
    await store.create(newSaga('a'), first);
    const turned = await store.create(newSaga('b', 1_001), first);
    await store.update({ ...turned.record, status: 'compensating', reason: 'pay was refused' });
    const request = { ...all(), maxClaims: 3 };
    for (let claim = 1; claim <= 3; claim += 1) {
      await store.release(first.owner);
      const records = await store.claim(request, first);
      assert.deepEqual(
        records.map((r) => [r.id, r.claims]),
        [
          ['a', claim],
          ['b', claim],
        ],
      );
    }
    await store.release(first.owner);
    const parked = unclaimed(await store.claim(request, second));
    assert.deepEqual(
      parked.map((r) => [r.id, r.status]),
      [
        ['a', 'parked'],
        ['b', 'parked'],
      ],
    );
    assert.deepEqual(
      parked.map((r) => r.parkedAt),
      (['do', 'undo'] as const).map((operation) => ({ operation, skippable: false })),
    );
    for (const record of parked) {
      assert.match(record.reason ?? '', /claimed 3 times/);
      assert.ok(Math.abs(record.updatedAt - now()) < 60_000);
      assert.deepEqual(await store.get(record.id), record);
    }
    await store.release(second.owner);
    assert.deepEqual(await store.claim(request, first), []);
    const taken = (await store.take('a', first))!;
    assert.ok(await store.update({ ...taken, status: 'running' }));
    assert.equal((await store.get('a'))?.claims, 0);
  },

  'counts the claims since the last update only': async ({ store }, first) => {
    await store.create(newSaga('a'), first);
    const request = { ...all(), maxClaims: 2 };
    for (let claim = 0; claim < 5; claim += 1) {
      await store.release(first.owner);
      const [record] = await store.claim(request, first);
      assert.equal(record?.claims, 1);
      assert.ok(await store.update(record!));
      assert.equal((await store.get('a'))?.claims, 0);
    }
  },
};
