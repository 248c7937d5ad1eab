/**
 * The contract of SagaBarrier (see its port) as tests. An adapter passes when all of them pass; what it cannot do, it
 * declares with a reason.
 */
import assert from 'node:assert/strict';
import { InvalidOptionsError, InvalidPayloadError, RefusedError } from '../../core/errors.ts';
import type { BarrierCall } from '../../ports/saga-barrier.ts';
import {
  type BarrierTests,
  call,
  never,
  refuseSoldOut,
  type SagaBarrierHarness,
  stageOf,
  types,
} from './saga-barrier-stage.ts';
import { declaredIt, type Exceptions, type TestApi } from './test-api.ts';

/** What {@link sagaBarrierConformance} needs. */
export interface SagaBarrierConformanceOptions<Transaction> {
  /** The test runner's functions. */
  readonly api: TestApi;
  /** For the report, such as `postgres`. */
  readonly name: string;
  /** A fresh, empty barrier. */
  readonly create: () => Promise<SagaBarrierHarness<Transaction>>;
  /** What this adapter cannot do, by the test's name, and why. */
  readonly except?: Exceptions;
}

const once: BarrierTests = {
  'a do takes effect once, and answers every repetition with its first result': async (stage) => {
    const { barrier, other, adding, balance } = stage;
    const result = { id: 'r1', nested: [1, null, 'ü\u0000'] };
    const first = await barrier.attempt(
      call('do'),
      adding(1, () => result),
    );
    assert.deepEqual(first, { type: 'performed', result });
    assert.deepEqual(await other.attempt(call('do'), never), { type: 'repeated', result });
    assert.deepEqual(await barrier.run(call('do'), never), result);
    assert.equal(await balance(), 1);
  },
  'calls that come together take effect once': async ({ barrier, other, adding, balance }) => {
    let made = 0;
    const work = adding(1, () => {
      made += 1;
      return { made };
    });
    const calls = Array.from({ length: 12 }, (_, n) =>
      (n % 2 === 0 ? barrier : other).attempt(call('do'), work),
    );
    const outcomes = await Promise.all(calls);
    assert.deepEqual(types(outcomes), ['performed', ...Array.from({ length: 11 }, () => 'repeated')]);
    const results = new Set(outcomes.map((outcome) => JSON.stringify('result' in outcome && outcome.result)));
    assert.equal(results.size, 1);
    assert.equal(await balance(), 1);
  },
  'a result may be nothing, or null': async ({ barrier, adding }) => {
    assert.equal(await barrier.run(call('do', 'a'), adding(1)), undefined);
    assert.equal(await barrier.run(call('do', 'a'), never), undefined);
    assert.equal(
      await barrier.run(
        call('do', 'b'),
        adding(1, () => null),
      ),
      null,
    );
    assert.equal(await barrier.run(call('do', 'b'), never), null);
  },
  'a result that is not JSON changes nothing': async ({ barrier, adding, balance }) => {
    const unstorable = adding(1, () => ({ big: 1n }));
    await assert.rejects(barrier.attempt(call('do'), unstorable), InvalidPayloadError);
    assert.equal(await balance(), 0);
    assert.equal((await barrier.attempt(call('do'), adding(1))).type, 'performed');
  },
  'steps and sagas are kept apart, whatever their names are': async ({ barrier, adding, balance }) => {
    const names = ['a', 'a/b', "'; DROP TABLE x; --", '__proto__', '%', '🪸', '"', 'A', 'a ', '["a"]'];
    let expected = 0;
    for (const saga of names) {
      for (const step of names) {
        await barrier.attempt(
          call('do', step, saga),
          adding(1, () => expected),
        );
        expected += 1;
      }
    }
    assert.equal(await balance(), expected);
    assert.equal(await barrier.run(call('do', 'a/b', 'a'), never), 1);
  },
  'a call that names no step is refused before anything is done': async ({ barrier }) => {
    const bad = [
      { saga: '' },
      { step: '' },
      { step: 'a\0b' },
      { saga: 'x'.repeat(201) },
      { operation: 'redo' },
    ];
    for (const change of bad) {
      const badCall = { ...call('do'), ...change } as BarrierCall;
      await assert.rejects(barrier.attempt(badCall, never), InvalidOptionsError);
    }
  },
};

const undoing: BarrierTests = {
  'an undo gets what the step returned, and takes effect once': async ({
    barrier,
    other,
    adding,
    balance,
  }) => {
    await barrier.run(
      call('do'),
      adding(5, () => ({ id: 'r1' })),
    );
    let done: unknown;
    const outcome = await other.attempt(call('undo'), (transaction, context) => {
      done = context.done;
      return adding(-5, () => 'undone')(transaction, context);
    });
    assert.deepEqual(done, { id: 'r1' });
    assert.deepEqual(outcome, { type: 'performed', result: 'undone' });
    assert.deepEqual(await barrier.attempt(call('undo'), never), { type: 'repeated', result: 'undone' });
    assert.equal(await balance(), 0);
  },
  'an undo of what never came does nothing, and its do is refused for ever': async (stage) => {
    const { barrier, other, balance } = stage;
    assert.deepEqual(await barrier.attempt(call('undo'), never), { type: 'nothing' });
    assert.equal(await other.run(call('undo'), never), undefined);
    for (const late of [barrier, other]) {
      const outcome = await late.attempt(call('do'), never);
      assert.equal(outcome.type === 'refused' && outcome.by, 'undo');
    }
    const conclusive = (error: unknown): boolean => error instanceof RefusedError && error.conclusive;
    await assert.rejects(barrier.run(call('do'), never), conclusive);
    assert.equal((await barrier.attempt(call('undo'), never)).type, 'nothing');
    assert.equal(await balance(), 0);
  },
  'a do that is repeated after its undo is answered and does nothing': async ({
    barrier,
    adding,
    balance,
  }) => {
    await barrier.run(
      call('do'),
      adding(5, () => 'r'),
    );
    await barrier.run(call('undo'), adding(-5));
    assert.deepEqual(await barrier.attempt(call('do'), never), { type: 'repeated', result: 'r' });
    assert.equal(await balance(), 0);
  },
  'of a do and an undo that race, either both take effect or none does': async (stage) => {
    const { barrier, other, adding, balance } = stage;
    const steps = Array.from({ length: 20 }, (_, n) => `step${n}`);
    const races = steps.map(async (step, n) => {
      const doing = barrier.attempt(call('do', step), adding(1));
      if (n % 3 === 0) await stage.advance(n % 2);
      const [done, undone] = await Promise.all([doing, other.attempt(call('undo', step), adding(-1))]);
      assert.equal(done.type === 'performed', undone.type === 'performed', `${done.type} and ${undone.type}`);
      assert.equal(done.type === 'refused', undone.type === 'nothing', `${done.type} and ${undone.type}`);
    });
    await Promise.all(races);
    assert.equal(await balance(), 0);
  },
};

const failing: BarrierTests = {
  'work that throws changes nothing, and is done by the next call': async ({ barrier, adding, balance }) => {
    const boom = new Error('boom');
    const failed = adding(1, () => {
      throw boom;
    });
    await assert.rejects(barrier.attempt(call('do'), failed), boom);
    assert.equal(await balance(), 0);
    assert.equal((await barrier.attempt(call('do'), adding(1))).type, 'performed');
    assert.equal(await balance(), 1);
  },
  'after work that threw, an undo has nothing to take back': async ({ barrier, adding }) => {
    const failed = adding(1, () => {
      throw new Error('boom');
    });
    await assert.rejects(barrier.attempt(call('do'), failed));
    assert.equal((await barrier.attempt(call('undo'), never)).type, 'nothing');
    assert.equal((await barrier.attempt(call('do'), never)).type, 'refused');
  },
  'an undo that throws, or refuses, is done by the next call': async ({ barrier, adding, balance }) => {
    await barrier.run(call('do'), adding(5));
    await assert.rejects(barrier.attempt(call('undo'), adding(-5, refuseSoldOut)), RefusedError);
    assert.equal(await balance(), 5);
    assert.equal((await barrier.attempt(call('undo'), adding(-5))).type, 'performed');
    assert.equal(await balance(), 0);
  },
  'a refusal takes back what the work did, and is the answer for ever': async ({
    barrier,
    other,
    adding,
    balance,
  }) => {
    const refused = { type: 'refused', by: 'work', reason: 'sold out' };
    assert.deepEqual(await barrier.attempt(call('do'), adding(1, refuseSoldOut)), refused);
    assert.deepEqual(await other.attempt(call('do'), never), refused);
    await assert.rejects(
      barrier.run(call('do'), never),
      (error) => error instanceof RefusedError && error.conclusive,
    );
    assert.equal((await barrier.attempt(call('undo'), never)).type, 'nothing');
    assert.deepEqual(await other.attempt(call('do'), never), refused);
    assert.equal(await balance(), 0);
  },
};

const keeping: BarrierTests = {
  'a call that asks for something else under the same name is a conflict': async ({
    barrier,
    adding,
    balance,
  }) => {
    const print = (operation: 'do' | 'undo', fingerprint?: string): BarrierCall => ({
      ...call(operation),
      fingerprint,
    });
    await barrier.run(print('do', 'one'), adding(1));
    assert.deepEqual(await barrier.attempt(print('do', 'two'), never), { type: 'conflict' });
    await assert.rejects(barrier.run(print('do', 'two'), never), InvalidPayloadError);
    assert.equal((await barrier.attempt(print('do', 'one'), never)).type, 'repeated');
    assert.equal((await barrier.attempt(print('do'), never)).type, 'repeated');
    assert.equal((await barrier.attempt(print('undo', 'three'), adding(-1))).type, 'performed');
    assert.equal((await barrier.attempt(print('undo', 'four'), never)).type, 'conflict');
    assert.equal(await balance(), 0);
  },
  'starting again, and at the same time, keeps what is there': async ({ barrier, other, adding }) => {
    await barrier.run(
      call('do'),
      adding(1, () => 'r'),
    );
    await Promise.all([barrier.start(), other.start(), barrier.start()]);
    assert.equal(await barrier.run(call('do'), never), 'r');
  },
  'purging deletes the marks of a step together, when both are old': async (stage) => {
    const { barrier, adding, wallTime, advance } = stage;
    await barrier.run(call('do', 'old'), adding(1));
    await barrier.run(call('undo', 'old'), adding(-1));
    await barrier.run(call('do', 'half'), adding(1));
    await advance(50);
    const between = wallTime();
    await advance(50);
    await barrier.run(call('undo', 'half'), adding(-1));
    await barrier.run(call('do', 'new'), adding(1));
    assert.equal(await barrier.purge(between, 1_000), 2);
    assert.equal((await barrier.attempt(call('do', 'old'), adding(1))).type, 'performed');
    assert.equal((await barrier.attempt(call('undo', 'half'), never)).type, 'repeated');
    assert.equal((await barrier.attempt(call('do', 'half'), never)).type, 'repeated');
    assert.equal((await barrier.attempt(call('do', 'new'), never)).type, 'repeated');
  },
};

/** Declare the tests of a SagaBarrier adapter. */
export function sagaBarrierConformance<Transaction>(
  options: SagaBarrierConformanceOptions<Transaction>,
): void {
  const { api, name, create } = options;
  const it = declaredIt(api, options.except);
  api.describe(`SagaBarrier: ${name}`, () => {
    for (const [title, body] of Object.entries({ ...once, ...undoing, ...failing, ...keeping })) {
      it(title, async () => {
        const harness = await create();
        try {
          await Promise.all([harness.barrier.start(), harness.other.start()]);
          await body(stageOf(harness as SagaBarrierHarness<unknown>));
        } finally {
          await harness.close();
        }
      });
    }
  });
}
