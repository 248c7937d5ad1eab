import assert from 'node:assert/strict';
import { claims, leases, poison, taking } from './saga-store-claims.ts';
import { all, ids, newSaga, type SagaStoreHarness, type SagaStoreTests } from './saga-store-harness.ts';
import { declaredIt, type Exceptions, type TestApi } from './test-api.ts';

/** Options of {@link sagaStoreConformance}. */
export interface SagaStoreConformanceOptions extends TestApi {
  /** Of the adapter, for the report. */
  readonly name: string;
  /** A new, empty store for each test; not started. */
  readonly open: () => Promise<SagaStoreHarness>;
  /** Length of a lease in the tests, in milliseconds. Default 1,000. */
  readonly ttl?: number;
  /** What the adapter cannot do, by the test's name, with the reason. */
  readonly except?: Exceptions;
}

/** The contract of a `SagaStore`, sentence by sentence. */
export function sagaStoreConformance(options: SagaStoreConformanceOptions): void {
  const { ttl = 1_000, open } = options;
  const it = declaredIt(options, options.except);
  options.describe(`SagaStore: ${options.name}`, () => {
    const tests = { ...records, ...fencing, ...claims, ...taking, ...leases, ...poison };
    for (const [name, test] of Object.entries(tests)) {
      it(name, async () => {
        const harness = await open();
        try {
          await harness.store.start();
          await test(harness, { owner: 'first', ttl }, { owner: 'second', ttl });
        } finally {
          await harness.dispose();
        }
      });
    }
  });
}

const records: SagaStoreTests = {
  'creates one record per id and returns what is there already, untouched': async (
    { store },
    first,
    second,
  ) => {
    const begun = await store.create(newSaga('a'), first);
    const expected = { ...newSaga('a'), status: 'running', steps: [], updatedAt: 1_000 };
    assert.equal(begun.created, true);
    assert.deepEqual({ ...begun.record, ...expected }, begun.record);
    const again = await store.create({ ...newSaga('a'), input: 'other' }, second);
    assert.deepEqual(again, { created: false, record: begun.record });
    assert.deepEqual(await store.get('a'), begun.record);
  },

  'creates one record of many concurrent creates': async ({ store, another }, first, second) => {
    const other = await another();
    const tries = [store, other, store, other].map((s, i) => s.create(newSaga('a'), i % 2 ? second : first));
    const made = await Promise.all(tries);
    assert.equal(made.filter((m) => m.created).length, 1);
  },

  'gives records back as they were written': async ({ store }, first) => {
    const { record } = await store.create(newSaga('a'), first);
    const steps = [
      { name: 'hold', status: 'undone', output: { id: 7, list: [] }, at: 1_001.5 },
      { name: 'tax', status: 'done', output: null, at: 1_002 },
      { name: 'void', status: 'done', at: 1_002 },
      { name: 'late', status: 'undone', skipped: true, at: 1_002 },
      { name: 'pay', status: 'refused', error: 'no; DROP TABLE \'"`', at: 1_003 },
    ] as const;
    const [by, reason] = ['Zoë 🪸', "it's"];
    const repairs = [
      { action: 'retry', by, reason, parked: '', at: 1_002.5 },
      { action: 'skip', by, reason, parked: 'tried', step: 'late', at: 1_003 },
    ] as const;
    const next = {
      ...record,
      status: 'compensating',
      reason: 'ünïcode 🪸',
      steps,
      repairs,
      updatedAt: 1_003,
    } as const;
    assert.equal(await store.update(next), true);
    const written = { ...next, version: record.version + 1 };
    assert.deepEqual(await store.get('a'), written);
    assert.deepEqual(await store.list({}), [written]);
    await store.release(first.owner);
    assert.deepEqual(await store.claim(all(), first), [{ ...written, epoch: record.epoch + 1 }]);
  },

  'shares no object with its caller': async ({ store }, first) => {
    const input = { list: [1] };
    const { record } = await store.create({ ...newSaga('a'), input }, first);
    input.list.push(2);
    (record.input as { list: number[] }).list.push(3);
    assert.deepEqual((await store.get('a'))?.input, { list: [1] });
  },

  'takes hostile ids as text': async ({ store }, first) => {
    for (const id of ["'; DROP TABLE holdfast_sagas; --", '__proto__', '%', '🪸', '"', '../x']) {
      await store.create(newSaga(id), first);
      assert.equal((await store.get(id))?.id, id);
    }
    assert.equal(await store.get('unknown'), undefined);
  },

  'lists newest first by saga and status, up to the limit': async ({ store }, first) => {
    for (const [index, id] of ['a', 'b', 'c'].entries())
      await store.create(newSaga(id, 1_000 + index), first);
    const other = await store.create({ ...newSaga('d', 2_000), saga: 'refund' }, first);
    await store.update({ ...other.record, status: 'completed' });
    assert.deepEqual(ids(await store.list({})), ['d', 'c', 'b', 'a']);
    assert.deepEqual(ids(await store.list({ limit: 2 })), ['d', 'c']);
    assert.deepEqual(ids(await store.list({ saga: 'checkout' })), ['c', 'b', 'a']);
    assert.deepEqual(ids(await store.list({ status: 'completed' })), ['d']);
    assert.deepEqual(ids(await store.list({ saga: 'checkout', status: 'completed' })), []);
  },

  'keeps records when it is started again': async ({ store, another }, first) => {
    const { record } = await store.create(newSaga('a'), first);
    await store.start();
    const other = await another();
    await other.start();
    assert.deepEqual(await other.get('a'), record);
  },

  'closes twice': async ({ store }) => {
    await store.close();
    await store.close();
  },
};

const fencing: SagaStoreTests = {
  'writes where epoch and version match, and raises the version by one': async ({ store }, first) => {
    const { record } = await store.create(newSaga('a'), first);
    assert.equal(await store.update({ ...record, reason: 'one' }), true);
    assert.equal(await store.update({ ...record, reason: 'stale' }), false);
    assert.equal(await store.update({ ...record, version: record.version + 1, reason: 'two' }), true);
    assert.equal((await store.get('a'))?.version, record.version + 2);
    assert.equal((await store.get('a'))?.reason, 'two');
  },

  'lets one of two concurrent writers win': async ({ store, another }, first) => {
    const { record } = await store.create(newSaga('a'), first);
    const other = await another();
    const written = await Promise.all([store, other, store].map((s) => s.update(record)));
    assert.equal(written.filter(Boolean).length, 1);
  },

  'writes nothing for an owner whose saga was claimed': async ({ store, pass }, first, second) => {
    const { record } = await store.create(newSaga('a'), first);
    await pass(first.ttl + 1);
    const [claimed] = await store.claim(all(), second);
    assert.equal(claimed?.epoch, record.epoch + 1);
    assert.equal(await store.update({ ...record, status: 'completed' }), false);
    assert.equal((await store.get('a'))?.status, 'running');
    assert.equal(await store.update({ ...claimed, status: 'completed' }), true);
  },

  'writes nothing for an unknown id': async ({ store }, first) => {
    const { record } = await store.create(newSaga('a'), first);
    assert.equal(await store.update({ ...record, id: 'b' }), false);
    assert.equal(await store.get('b'), undefined);
  },
};
