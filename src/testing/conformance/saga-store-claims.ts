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

  'limits each definition by itself, so that a crowd of one keeps no other waiting': async (
    { store },
    first,
    second,
  ) => {
    for (let n = 0; n < 5; n += 1) await store.create(newSaga(`a${n}`, 1_000 + n), first);
    for (let n = 0; n < 3; n += 1) await store.create({ ...newSaga(`b${n}`, 2_000 + n), hash: 'h2' }, first);
    await store.release(first.owner);
    const definitions = ['h1', 'h2', 'h1', 'h3'].map((hash) => ({ saga: 'checkout', hash }));
    const request = { ...all(2), definitions };
    assert.deepEqual(ids(await store.claim(request, second)).sort(), ['a0', 'a1', 'b0', 'b1']);
    const holding = ['a0', 'a1', 'b0', 'b1'];
    assert.deepEqual(ids(await store.claim({ ...request, holding }, second)).sort(), ['a2', 'a3', 'b2']);
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

/** How a person's repair gets one record. */
export const taking: SagaStoreTests = {
  'takes one record that nobody holds, whatever its status and definition, and fences off whoever had it':
    async ({ store }, first, second) => {
      const statuses = ['running', 'compensating', 'completed', 'compensated', 'parked', 'resolved'] as const;
      for (const status of statuses) {
        const { record } = await store.create({ ...newSaga(status), saga: `own ${status}` }, first);
        await store.update({ ...record, status });
      }
      await store.release(first.owner);
      for (const status of statuses) {
        const before = (await store.get(status))!;
        const taken = (await store.take(status, second))!;
        assert.deepEqual(taken, { ...before, epoch: before.epoch + 1 });
        assert.deepEqual(await store.get(status), taken);
        assert.equal(await store.update({ ...before, reason: 'stale' }), undefined);
        assert.ok(await store.update({ ...taken, reason: 'new' }));
      }
    },

  'takes nothing that somebody holds, the taker included, and no unknown id': async (
    { store, another, pass },
    first,
    second,
  ) => {
    const { record } = await store.create(newSaga('a'), first);
    assert.equal(await store.take('a', first), undefined);
    assert.equal(await (await another()).take('a', second), undefined);
    assert.equal(await store.take('unknown', second), undefined);
    assert.deepEqual(await store.get('a'), record);
    await pass(first.ttl * 1.1 + 1);
    assert.equal((await store.take('a', second))?.epoch, record.epoch + 1);
    assert.equal(await store.take('a', first), undefined);
  },

  'takes what is parked also while its last owner lives': async ({ store, another }, first, second) => {
    const { record } = await store.create(newSaga('a'), first);
    await store.update({ ...record, status: 'parked', reason: 'why' });
    const taken = await (await another()).take('a', second);
    assert.equal(taken?.reason, 'why');
    assert.equal((await store.take('a', first))?.epoch, record.epoch + 2);
    assert.equal(await store.update({ ...taken, status: 'running' }), undefined);
  },

  'gives what is taken and set going to the taker, and begins its lease': async (
    { store, pass },
    first,
    second,
  ) => {
    const { record } = await store.create(newSaga('a'), first);
    await store.update({ ...record, status: 'parked' });
    await pass(first.ttl * 1.1 + 1);
    const taken = (await store.take('a', second))!;
    assert.equal(await store.heartbeat(second), true);
    assert.ok(await store.update({ ...taken, status: 'running' }));
    assert.deepEqual(await store.claim(all(), first), []);
    assert.deepEqual(ids(await store.claim(all(), second)), ['a']);
  },
};

/** How long a saga stays with its owner. */
export const leases: SagaStoreTests = {
  'ends a lease that is not renewed': async ({ store, pass }, first, second) => {
    await store.create(newSaga('a'), first);
    await pass(first.ttl * 1.1 + 1);
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
