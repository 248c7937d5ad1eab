/**
 * The contract of CircuitStore (see its port) as tests. An adapter passes when all of them pass; what it cannot do, it
 * declares with a reason.
 */
import assert from 'node:assert/strict';
import type { CircuitNotice, CircuitStore } from '../../ports/circuit-store.ts';
import { declaredIt, type Exceptions, type TestApi } from './test-api.ts';

/** One fresh, empty store under test. */
export interface CircuitStoreHarness {
  /** The store under test. */
  readonly store: CircuitStore;
  /** Another client of the same store, as another process would have. May be the same object in memory. */
  readonly other: CircuitStore;
  /** Milliseconds since 1970, by the clock that the stores go by. */
  readonly wallTime: () => number;
  /** Let time pass: on a virtual clock by moving it, on a real one by sleeping. Milliseconds. */
  readonly advance: (duration: number) => Promise<void>;
  /** Clean up after the test. Both stores may be closed already. */
  readonly close: () => Promise<void>;
}

/** What {@link circuitStoreConformance} needs. */
export interface CircuitStoreConformanceOptions {
  /** The test runner's functions. */
  readonly api: TestApi;
  /** For the report, such as `redis`. */
  readonly name: string;
  /** A fresh, empty store. */
  readonly create: () => Promise<CircuitStoreHarness>;
  /** What this adapter cannot do, by the test's name, and why. */
  readonly except?: Exceptions;
}

interface Stage extends CircuitStoreHarness {
  /** A notice that is open for an hour unless told otherwise. */
  readonly notice: (change?: Partial<CircuitNotice>) => CircuitNotice;
  /** Wait until the condition holds, at most for the second that the contract gives. */
  readonly within: (condition: () => boolean, what: string) => Promise<void>;
}

const second = 1_000;
const pieces = 50;

/** Everything that a watcher was told. */
function record(store: CircuitStore): { readonly told: CircuitNotice[]; readonly off: () => void } {
  const told: CircuitNotice[] = [];
  return { told, off: store.watch((notice) => void told.push(notice)) };
}

const isOf =
  (breaker: string, state: CircuitNotice['state'] = 'open') =>
  (notice: CircuitNotice): boolean =>
    notice.breaker === breaker && notice.state === state;

const hostileNames = [
  '',
  '__proto__',
  'a"b',
  'https://host:443/[x]',
  '["a","b"]',
  'ünï\n🌿',
  '*',
  'x'.repeat(2_000),
];

const tests: Readonly<Record<string, (stage: Stage) => Promise<void>>> = {
  'an opening reaches a watcher elsewhere within a second, as it was told': async (stage) => {
    const { told } = record(stage.other);
    const notice = stage.notice();
    await stage.store.publish(notice);
    await stage.within(() => told.some(isOf('a')), 'the opening');
    assert.deepEqual(told.find(isOf('a')), notice);
  },
  'one who comes later is told what is open': async (stage) => {
    await stage.store.publish(stage.notice());
    const { told } = record(stage.other);
    await stage.within(() => told.some(isOf('a')), 'the opening');
  },
  'one who comes later is not told what has closed, or whose wait is over': async (stage) => {
    await stage.store.publish(stage.notice());
    await stage.store.publish(stage.notice({ state: 'closed' }));
    await stage.store.publish(stage.notice({ breaker: 'b', until: stage.wallTime() + 50, wait: 50 }));
    await stage.store.publish(stage.notice({ breaker: 'c' }));
    await stage.advance(100);
    const { told } = record(stage.other);
    await stage.within(() => told.some(isOf('c')), 'what is still open');
    assert.deepEqual(
      told.filter((notice) => notice.breaker !== 'c'),
      [],
    );
  },
  'a closing reaches a watcher elsewhere': async (stage) => {
    const { told } = record(stage.other);
    await stage.store.publish(stage.notice());
    await stage.within(() => told.some(isOf('a')), 'the opening');
    await stage.store.publish(stage.notice({ state: 'closed' }));
    await stage.within(() => told.some(isOf('a', 'closed')), 'the closing');
  },
  'a closing ends what its own origin said, and no other': async (stage) => {
    await stage.store.publish(stage.notice({ origin: 'p' }));
    await stage.store.publish(stage.notice({ origin: 'q' }));
    await stage.store.publish(stage.notice({ origin: 'p', state: 'closed' }));
    const { told } = record(stage.other);
    await stage.within(() => told.length > 0, 'the opening of the other origin');
    assert.deepEqual(new Set(told.filter(isOf('a')).map((notice) => notice.origin)), new Set(['q']));
  },
  'the last notice of a breaker and origin is the one that is kept': async (stage) => {
    const last = stage.notice({ reason: 'slow-rate', until: stage.wallTime() + 7_200_000, wait: 7_200_000 });
    await stage.store.publish(stage.notice());
    await stage.store.publish(last);
    const { told } = record(stage.other);
    await stage.within(() => told.some(isOf('a')), 'the opening');
    assert.deepEqual(told.find(isOf('a')), last);
  },
  'names are kept apart, whatever is in them': async (stage) => {
    const { told } = record(stage.other);
    for (const breaker of hostileNames) await stage.store.publish(stage.notice({ breaker }));
    const all = (): boolean => hostileNames.every((breaker) => told.some(isOf(breaker)));
    await stage.within(all, 'every name');
  },
  'a watch that has ended is told nothing, and ends no other': async (stage) => {
    const ended = record(stage.other);
    const going = record(stage.other);
    ended.off();
    ended.off();
    await stage.store.publish(stage.notice());
    await stage.within(() => going.told.some(isOf('a')), 'the opening');
    assert.deepEqual(ended.told, []);
  },
  'closing ends every watch, and may be done twice': async (stage) => {
    const { told } = record(stage.other);
    await stage.other.close();
    await stage.other.close();
    await stage.store.publish(stage.notice());
    await stage.advance(100);
    assert.deepEqual(told, []);
  },
};

function stageOf(harness: CircuitStoreHarness): Stage {
  return {
    ...harness,
    notice: (change) => ({
      breaker: 'a',
      origin: 'p',
      state: 'open',
      until: harness.wallTime() + 3_600_000,
      wait: 3_600_000,
      reason: 'failure-rate',
      ...change,
    }),
    within: async (condition, what) => {
      for (let piece = 0; piece < pieces && !condition(); piece += 1) await harness.advance(second / pieces);
      assert.ok(condition(), `${what} did not come within a second`);
    },
  };
}

/** Declare the tests of a CircuitStore adapter. */
export function circuitStoreConformance(options: CircuitStoreConformanceOptions): void {
  const { api, name, create } = options;
  const it = declaredIt(api, options.except);
  api.describe(`CircuitStore: ${name}`, () => {
    for (const [title, body] of Object.entries(tests)) {
      it(title, async () => {
        const harness = await create();
        try {
          await body(stageOf(harness));
        } finally {
          await harness.close();
        }
      });
    }
  });
}
