import assert from 'node:assert/strict';
import { all, ids, newSaga, type SagaStoreTests } from './saga-store-harness.ts';

/** Who gets which saga. */
export const claims: SagaStoreTests = {
  'claims nothing that a live owner holds': async ({ store }, first, second) => {
    await store.create(newSaga('a'), first);
    assert.deepEqual(await store.claim(all(), second), []);
  },

  'claims what is running or compensating and nothing else': async ({ store }, first, second) => {
    const statuses = ['running', 'compensating', 'completed', 'compensated', 'parked', 'resolved'] as const;
    for (const status of statuses) {
      const { record } = await store.create(newSaga(status), first);
      await store.update({ ...record, status });
    }
    await store.release(first.owner);
    assert.deepEqual(ids(await store.claim(all(), second)).sort(), ['compensating', 'running']);
  },

  'claims the definitions named, by name and hash': async ({ store }, first, second) => {
    await store.create(newSaga('a'), first);
    await store.create({ ...newSaga('b'), hash: 'h2' }, first);
    await store.create({ ...newSaga('c'), saga: 'refund' }, first);
    await store.release(first.owner);
    assert.deepEqual(await store.claim({ ...all(), definitions: [] }, second), []);
    const definitions = [
      { saga: 'checkout', hash: 'h2' },
      { saga: 'refund', hash: 'h1' },
    ];
    assert.deepEqual(ids(await store.claim({ ...all(), definitions }, second)), ['b', 'c']);
  },

  'claims the oldest first, up to the limit': async ({ store }, first, second) => {
    for (const [index, id] of ['c', 'a', 'b'].entries())
      await store.create(newSaga(id, 1_000 + index), first);
    await store.release(first.owner);
    assert.deepEqual(ids(await store.claim(all(2), second)), ['c', 'a']);
    assert.deepEqual(ids(await store.claim(all(2, ['c', 'a']), second)), ['b']);
  },

  'gives a saga to one of several claimers': async ({ store, another }, first) => {
    for (let n = 0; n < 20; n += 1) await store.create(newSaga(`s${n}`), first);
    await store.release(first.owner);
    const other = await another();
    const claimers = [store, other, store, other].map((s, n) =>
      s.claim(all(7), { ...first, owner: `w${n}` }),
    );
    const taken = (await Promise.all(claimers)).flat();
    assert.equal(taken.length, 20);
    assert.equal(new Set(ids(taken)).size, 20);
    assert.ok(taken.every((record) => record.epoch === 2));
  },

  'gives back what is held by the caller itself unless it is listed': async ({ store }, first) => {
    await store.create(newSaga('a'), first);
    await store.create(newSaga('b'), first);
    const found = await store.claim(all(10, ['b']), first);
    assert.deepEqual(
      found.map((r) => [r.id, r.epoch]),
      [['a', 2]],
    );
    assert.deepEqual(await store.claim(all(10, ['a', 'b']), first), []);
  },
};

/** How long a saga stays with its owner. */
export const leases: SagaStoreTests = {
  'ends a lease that is not renewed': async ({ store, pass }, first, second) => {
    await store.create(newSaga('a'), first);
    await pass(first.ttl + 1);
    assert.equal(await store.heartbeat(first), false);
    assert.deepEqual(ids(await store.claim(all(), second)), ['a']);
  },

  'extends everything that an owner holds by one heartbeat': async ({ store, pass }, first, second) => {
    await store.create(newSaga('a'), first);
    await store.create(newSaga('b'), first);
    for (let beat = 0; beat < 3; beat += 1) {
      await pass(first.ttl * 0.6);
      assert.equal(await store.heartbeat(first), true);
    }
    assert.deepEqual(await store.claim(all(), second), []);
  },

  'begins or extends the lease by a create and by a claim': async ({ store, pass }, first, second) => {
    assert.equal(await store.heartbeat(first), false);
    await store.claim(all(), first);
    assert.equal(await store.heartbeat(first), true);
    await store.create(newSaga('a'), first);
    await pass(first.ttl * 0.6);
    await store.create(newSaga('b'), first);
    await pass(first.ttl * 0.6);
    assert.deepEqual(await store.claim(all(), second), []);
    assert.equal(await store.heartbeat(first), true);
  },

  'lets others claim at once what is released': async ({ store }, first, second) => {
    await store.create(newSaga('a'), first);
    await store.release(first.owner);
    assert.equal(await store.heartbeat(first), false);
    assert.deepEqual(ids(await store.claim(all(), second)), ['a']);
    await store.release('nobody');
  },
};

const undecodable = 'parks what cannot be decoded, and goes on with the others';

/** What a bad row does. */
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
    assert.equal((await store.create(newSaga('b'), first)).record.status, 'parked');
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
    await store.release(second.owner);
    assert.deepEqual(ids(await store.claim(all(), first)), ['a', 'c']);
    assert.equal((await store.list({ status: 'parked' })).length, 1);
  },
};
