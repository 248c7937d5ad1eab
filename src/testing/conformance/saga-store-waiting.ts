import assert from 'node:assert/strict';
import { maxSagaRequests } from '../../ports/saga-store.ts';
import { all, cancel, ids, newSaga, type SagaStoreTests, signal, unclaimed } from './saga-store-harness.ts';

/** Sagas with nothing to do for a while. */
export const waiting: SagaStoreTests = {
  'holds nothing that waits, and gives it out when it is due': async (
    { store, now, pass },
    first,
    second,
  ) => {
    const { record } = await store.create(newSaga('a'), first);
    const wakeAt = now() + first.ttl;
    assert.ok(await store.update({ ...record, status: 'waiting', wakeAt }));
    assert.equal((await store.get('a'))?.wakeAt, wakeAt);
    assert.deepEqual(await store.claim(all(), first), []);
    await pass(first.ttl * 1.1 + 1);
    const [due] = await store.claim(all(), second);
    assert.deepEqual([due?.status, due?.epoch], ['waiting', record.epoch + 1]);
    assert.deepEqual(await store.claim(all(), first), []);
    await pass(second.ttl * 1.1 + 1);
    assert.deepEqual(ids(await store.claim(all(), first)), ['a']);
  },

  'gives one that waits to whoever claims it when it is due, its last owner alive or not': async (
    { store, another, now },
    first,
    second,
  ) => {
    const { record } = await store.create(newSaga('a'), first);
    await store.update({ ...record, status: 'waiting', wakeAt: now() - 1 });
    assert.deepEqual(ids(await (await another()).claim(all(), second)), ['a']);
    assert.equal(await store.update({ ...record, version: record.version + 1 }), undefined);
  },

  'says of what it gives out when it did, by the clock by which that was due': async (
    { store, now },
    first,
    second,
  ) => {
    const { record } = await store.create(newSaga('a'), first);
    const wakeAt = now() - 1;
    await store.update({ ...record, status: 'waiting', wakeAt });
    await store.create(newSaga('b'), first);
    await store.release(first.owner);
    const claimed = await store.claim(all(), second);
    assert.equal(claimed.length, 2);
    for (const { claimedAt } of claimed) {
      assert.ok(claimedAt >= wakeAt && Math.abs(claimedAt - now()) < 60_000, `claimed at ${claimedAt}`);
    }
  },

  'begins one that waits from the start, held by nobody': async ({ store, now, pass }, first, second) => {
    await store.create({ ...newSaga('a'), status: 'waiting', wakeAt: now() + first.ttl }, first);
    await store.create({ ...newSaga('b'), status: 'waiting' }, first);
    assert.equal(await store.heartbeat(first), true);
    assert.deepEqual(await store.claim(all(), first), []);
    assert.equal((await store.take('b', second))?.status, 'waiting');
    await pass(first.ttl * 1.1 + 1);
    assert.deepEqual(ids(await store.claim(all(10, ['b']), second)), ['a']);
  },

  'lets one wait for ever': async ({ store, pass }, first) => {
    const { record } = await store.create(newSaga('a'), first);
    await store.update({ ...record, status: 'waiting' });
    await pass(10 * first.ttl);
    assert.deepEqual(await store.claim(all(), first), []);
    assert.equal((await store.get('a'))?.status, 'waiting');
  },

  'claims whatever is due longest first': async ({ store, now }, first, second) => {
    const dueFor = async (id: string, wakeAt: number): Promise<void> => {
      await store.create({ ...newSaga(id), status: 'waiting', wakeAt }, first);
    };
    await dueFor('late', now() - 100);
    await dueFor('early', now() - 300);
    await dueFor('never', now() + 1e9);
    await store.create(newSaga('between', now() - 200), second);
    await store.create(newSaga('by a fast clock', now() + 1e9), second);
    await store.release(second.owner);
    assert.deepEqual(ids(await store.claim(all(2), first)), ['early', 'between']);
    const holding = ['early', 'between'];
    assert.deepEqual(ids(await store.claim(all(2, holding), first)), ['late', 'by a fast clock']);
  },
};

/** What others tell a saga. */
export const requests: SagaStoreTests = {
  'appends requests in order, by whoever, and touches neither epoch nor version': async (
    { store, another },
    first,
  ) => {
    const { record } = await store.create(newSaga('a'), first);
    const cancel = { id: 'stop', type: 'cancel', reason: "it's over 🪸", at: 1_001 } as const;
    const payload = { ok: true, text: 'a\u0000b', list: [1, null] };
    assert.equal(await store.request('a', signal('r', payload)), 'added');
    assert.equal(await (await another()).request('a', cancel), 'added');
    const expected = { ...record, requests: [signal('r', payload), cancel] };
    assert.deepEqual(await store.get('a'), expected);
    assert.deepEqual(await store.list({}), [expected]);
    assert.deepEqual(await store.update(record), { requests: 2 });
    const written = { ...expected, version: record.version + 1 };
    assert.deepEqual(await store.get('a'), written);
    await store.release(first.owner);
    const claimed = unclaimed(await store.claim(all(), first));
    assert.deepEqual(claimed, [{ ...written, epoch: record.epoch + 1, claims: 1 }]);
  },

  'appends one id once, also of many at the same time': async ({ store, another }, first) => {
    await store.create(newSaga('a'), first);
    await store.create(newSaga('b'), first);
    const other = await another();
    const outcomes = await Promise.all(
      [store, other, store, other].map((s, n) => s.request('a', signal('r', n))),
    );
    assert.deepEqual(outcomes.sort(), ['added', 'known', 'known', 'known']);
    assert.equal(await store.request('b', signal('r')), 'added');
    assert.equal((await store.get('a'))?.requests?.length, 1);
  },

  'keeps every one of many requests made at the same time': async ({ store, another }, first) => {
    await store.create(newSaga('a'), first);
    const other = await another();
    const names = Array.from({ length: 40 }, (_, n) => `r${n}`);
    const outcomes = await Promise.all(
      names.map((id, n) => (n % 2 ? store : other).request('a', signal(id))),
    );
    assert.ok(outcomes.every((outcome) => outcome === 'added'));
    const { requests = [] } = (await store.get('a'))!;
    assert.deepEqual(requests.map((r) => r.id).sort(), [...names].sort());
  },

  'appends nothing to a saga that is over or unknown': async ({ store }, first) => {
    for (const status of ['completed', 'compensated', 'resolved'] as const) {
      const { record } = await store.create(newSaga(status), first);
      assert.equal(await store.request(status, signal('before')), 'added');
      await store.update({ ...record, status });
      assert.equal(await store.request(status, signal('after')), 'ended');
      assert.equal(await store.request(status, signal('before')), 'known');
      assert.equal((await store.get(status))?.requests?.length, 1);
    }
    assert.equal(await store.request('unknown', signal('r')), 'unknown');
    const { record } = await store.create(newSaga('parked'), first);
    await store.update({ ...record, status: 'parked' });
    assert.equal(await store.request('parked', signal('r')), 'added');
  },

  'appends no more than a record may have, and keeps the last place for a cancel': async (
    { store },
    first,
  ) => {
    await store.create(newSaga('a'), first);
    const names = Array.from({ length: maxSagaRequests - 1 }, (_, n) => `r${n}`);
    const outcomes = await Promise.all(names.map((id) => store.request('a', signal(id))));
    assert.ok(outcomes.every((outcome) => outcome === 'added'));
    assert.equal(await store.request('a', signal('more')), 'full');
    assert.equal(await store.request('a', signal('r7')), 'known');
    assert.equal(await store.request('a', cancel('c')), 'added');
    assert.equal(await store.request('a', cancel('d')), 'full');
    assert.equal(await store.request('a', cancel('c')), 'known');
    const { requests } = (await store.get('a'))!;
    assert.equal(requests?.length, maxSagaRequests);
    assert.deepEqual(requests.at(-1), cancel('c'));
  },

  'wakes what waits': async ({ store, now }, first, second) => {
    const { record } = await store.create(newSaga('a'), first);
    await store.update({ ...record, status: 'waiting', wakeAt: now() + 1e9 });
    await store.create({ ...newSaga('b', 1_001), status: 'waiting' }, first);
    assert.deepEqual(await store.claim(all(), second), []);
    for (const id of ['a', 'b']) await store.request(id, signal('r'));
    const woken = await store.claim(all(), second);
    assert.deepEqual(
      woken.map((r) => [r.id, r.status, r.requests?.length]),
      [
        ['a', 'waiting', 1],
        ['b', 'waiting', 1],
      ],
    );
    await store.release(second.owner);
    assert.deepEqual(ids(await store.claim(all(), first)), ['a', 'b'], 'it stays awake until it is written');
    const [again] = woken;
    assert.ok(await store.update({ ...again!, epoch: again!.epoch + 1 }));
    await store.release(first.owner);
    assert.deepEqual(ids(await store.claim(all(), second)), ['b'], 'a has seen the request');
  },

  'lets nothing wait that has not seen every request': async ({ store }, first, second) => {
    const { record } = await store.create(newSaga('a'), first);
    await store.request('a', signal('r'));
    assert.deepEqual(await store.update({ ...record, status: 'waiting' }), { requests: 1 });
    const [woken] = await store.claim(all(), second);
    assert.deepEqual([woken?.id, woken?.requests], ['a', [signal('r')]]);
    assert.deepEqual(await store.update({ ...woken!, status: 'waiting' }), { requests: 1 });
    await store.release(second.owner);
    assert.deepEqual(await store.claim(all(), first), []);
  },

  'leaves what is held to its holder': async ({ store }, first, second) => {
    await store.create(newSaga('a'), first);
    await store.request('a', signal('r'));
    assert.deepEqual(await store.claim(all(), second), []);
    assert.equal(await store.take('a', second), undefined);
  },
};
