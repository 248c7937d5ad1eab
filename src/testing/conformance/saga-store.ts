import assert from 'node:assert/strict';
import { InvalidPayloadError } from '../../core/errors.ts';
import { claims, leases, taking } from './saga-store-claims.ts';
import {
  all,
  newSaga,
  type SagaStoreHarness,
  type SagaStoreTests,
  signal,
  unclaimed,
} from './saga-store-harness.ts';
import { poison } from './saga-store-poison.ts';
import { search } from './saga-store-search.ts';
import { requests, waiting } from './saga-store-waiting.ts';
import { declaredIt, type Exceptions, type TestApi } from './test-api.ts';

/** Options of {@link sagaStoreConformance}. */
export interface SagaStoreConformanceOptions extends TestApi {
  /** Of the adapter, for the report. */
  readonly name: string;
  /** A new, empty store for each test; not started. */
  readonly open: () => Promise<SagaStoreHarness>;
  /** Length of a lease in the tests, in milliseconds; longer than any test takes. Default 60,000. */
  readonly ttl?: number;
  /** What the adapter cannot do, by the test's name, with the reason. */
  readonly except?: Exceptions;
}

/** The contract of a `SagaStore`, sentence by sentence. */
export function sagaStoreConformance(options: SagaStoreConformanceOptions): void {
  const { ttl = 60_000, open } = options;
  const it = declaredIt(options, options.except);
  options.describe(`SagaStore: ${options.name}`, () => {
    const held = { ...claims, ...taking, ...leases, ...poison };
    const tests = { ...records, ...fencing, ...held, ...waiting, ...requests, ...search };
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
    const expected = { ...newSaga('a'), epoch: 1, version: 0, claims: 0, updatedAt: 1_000 };
    assert.equal(begun.created, true);
    assert.deepEqual(begun.record, expected);
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

  'gives back the steps of a record that was parked or waited, and was written again': async (
    { store },
    first,
  ) => {
    const { record } = await store.create(newSaga('a'), first);
    const done = { name: 'hold', status: 'done', at: 1_001 } as const;
    const parked = { ...record, status: 'parked', reason: 'stuck', steps: [done], updatedAt: 1_002 } as const;
    await store.update(parked);
    const taken = await store.take('a', first);
    assert.ok(taken);
    const more = [...taken.steps, { name: 'rest', status: 'open', until: 1, at: 1_003 } as const];
    await store.update({ ...taken, status: 'waiting', wakeAt: 1, steps: more, updatedAt: 1_004 });
    const [claimed] = await store.claim(all(), first);
    assert.deepEqual(claimed?.steps, more);
    const [, rest] = claimed.steps;
    const last = [done, { ...rest!, status: 'done' } as const];
    await store.update({ ...claimed, status: 'running', wakeAt: undefined, steps: last, updatedAt: 1_005 });
    assert.deepEqual((await store.get('a'))?.steps, last);
  },

  'gives records back as they were written': async ({ store }, first) => {
    const { record } = await store.create(newSaga('a'), first);
    const steps = [
      { name: 'hold', status: 'undone', output: { id: 7, list: [] }, at: 1_001.5 },
      { name: 'tax', status: 'done', output: null, at: 1_002 },
      { name: 'void', status: 'done', at: 1_002 },
      { name: 'late', status: 'undone', skipped: true, at: 1_002 },
      { name: 'pay', status: 'refused', error: 'no; DROP TABLE \'"`', at: 1_003 },
      { name: 'ask', status: 'open', until: 2_000.25, at: 1_003 },
      { name: 'asked', status: 'done', request: 'r', output: 'a\u0000b', at: 1_003 },
      { name: 'once', status: 'begun', at: 1_003 },
      { name: 'gift', status: 'omitted', at: 1_003 },
      { name: 'tidy', status: 'undone', at: 1_002, undoneAt: 1_003 },
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
      parkedAt: { step: 'pay', operation: 'undo', skippable: true },
      wakeAt: 1_004.5,
      updatedAt: 1_003,
    } as const;
    assert.deepEqual(await store.update(next), { requests: 0 });
    const written = { ...next, version: record.version + 1 };
    assert.deepEqual(await store.get('a'), written);
    assert.deepEqual(await store.list({}), [written]);
    await store.release(first.owner);
    const claimed = unclaimed(await store.claim(all(), first));
    assert.deepEqual(claimed, [{ ...written, epoch: record.epoch + 1, claims: 1 }]);
  },

  'creates with everything that a first record may have, in any status': async ({ store }, first) => {
    const steps = [{ name: 'ask', status: 'open', until: 5_000, at: 1_000 }] as const;
    const place = { step: 'ask', operation: 'do', skippable: false } as const;
    const more = { definitionVersion: 7, steps, reason: 'why', deadline: 9_000.5, wakeAt: 5_000 };
    for (const status of ['running', 'waiting', 'parked', 'completed'] as const) {
      const saga = { ...newSaga(status), ...more, status, parkedAt: place };
      const { record } = await store.create(saga, first);
      assert.deepEqual(record, { ...saga, epoch: 1, version: 0, claims: 0, updatedAt: 1_000 });
      assert.deepEqual(await store.get(status), record);
    }
  },

  'never writes what an update may not change': async ({ store }, first) => {
    const { record } = await store.create({ ...newSaga('a'), deadline: 5_000 }, first);
    const other = { saga: 'refund', hash: 'h9', definitionVersion: 9, input: 'x', deadline: 1, createdAt: 2 };
    await store.update({ ...record, ...other, requests: [signal('r')], reason: 'new' });
    const expected = { ...record, reason: 'new', version: record.version + 1 };
    assert.deepEqual(await store.get('a'), expected);
  },

  'tells what it will never take from what may be tried again, and takes the others': async (
    { store },
    first,
  ) => {
    const bad = store.create({ ...newSaga('bad'), input: { amount: 1n as never } }, first);
    const good = store.create(newSaga('good'), first);
    await assert.rejects(bad, InvalidPayloadError);
    const { record } = await good;
    await assert.rejects(store.create(newSaga('half \ud83e'), first), InvalidPayloadError);
    const step = { name: 'hold', status: 'done', output: (() => 1) as never, at: 1 } as const;
    await assert.rejects(store.update({ ...record, steps: [step] }), InvalidPayloadError);
    await assert.rejects(store.request('good', signal('r', Number.NaN)), InvalidPayloadError);
    assert.deepEqual(await store.get('good'), record);
    assert.equal(await store.get('bad'), undefined);
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

  'keeps records when it is started again': async ({ store, another }, first) => {
    const { record } = await store.create(newSaga('a'), first);
    await store.start();
    const other = await another();
    await other.start();
    assert.deepEqual(await other.get('a'), record);
  },

  'writes many at once, each as if it were alone': async ({ store, another }, first) => {
    const other = await another();
    const names = Array.from({ length: 50 }, (_, n) => `s${n}`);
    const made = await Promise.all(names.map((id, n) => (n % 2 ? store : other).create(newSaga(id), first)));
    const updates = made.flatMap(({ record }, n) => {
      const next = { ...record, reason: `of ${record.id}` };
      const stale = { ...record, version: record.version + 1, reason: 'stale' };
      return [store.update(n % 3 ? next : stale), store.request(record.id, signal('r'))];
    });
    const answers = await Promise.all(updates);
    for (const [n, { record }] of made.entries()) {
      assert.equal(answers[2 * n] !== undefined, n % 3 !== 0);
      assert.equal(answers[2 * n + 1], 'added');
      const now = await store.get(record.id);
      assert.equal(now?.reason, n % 3 ? `of ${record.id}` : undefined);
      assert.equal(now?.requests?.length, 1);
    }
  },

  'closes twice': async ({ store }) => {
    await store.close();
    await store.close();
  },
};

const fencing: SagaStoreTests = {
  'writes where epoch and version match, and raises the version by one': async ({ store }, first) => {
    const { record } = await store.create(newSaga('a'), first);
    assert.deepEqual(await store.update({ ...record, reason: 'one' }), { requests: 0 });
    assert.equal(await store.update({ ...record, reason: 'stale' }), undefined);
    assert.ok(await store.update({ ...record, version: record.version + 1, reason: 'two' }));
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
    await pass(first.ttl * 1.1 + 1);
    const [claimed] = await store.claim(all(), second);
    assert.equal(claimed?.epoch, record.epoch + 1);
    assert.equal(await store.update({ ...record, status: 'completed' }), undefined);
    assert.equal((await store.get('a'))?.status, 'running');
    assert.ok(await store.update({ ...claimed, status: 'completed' }));
  },

  'writes nothing for an unknown id': async ({ store }, first) => {
    const { record } = await store.create(newSaga('a'), first);
    assert.equal(await store.update({ ...record, id: 'b' }), undefined);
    assert.equal(await store.get('b'), undefined);
  },
};
