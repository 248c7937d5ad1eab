/**
 * The contract of RateStore (see its port) as tests. An adapter passes when all of them pass; what it cannot do, it
 * declares with a reason.
 */
import assert from 'node:assert/strict';
import type { GcraDecision, GcraLimit } from '../../core/gcra.ts';
import type { RateStore } from '../../ports/rate-store.ts';
import { declaredIt, type Exceptions, type TestApi } from './test-api.ts';

/** One fresh, empty store under test. */
export interface RateStoreHarness {
  /** The store under test. */
  readonly store: RateStore;
  /** Another client of the same store, as another process would have. May be the same object in memory. */
  readonly other: RateStore;
  /** Let time pass: on a virtual clock by moving it, on a real one by sleeping. Milliseconds. */
  readonly advance: (duration: number) => Promise<void>;
  /** Clean up after the test. */
  readonly close: () => Promise<void>;
}

/** What {@link rateStoreConformance} needs. */
export interface RateStoreConformanceOptions {
  /** The test runner's functions. */
  readonly api: TestApi;
  /** For the report, such as `redis`. */
  readonly name: string;
  /** A fresh, empty store. */
  readonly create: () => Promise<RateStoreHarness>;
  /**
   * The period to wait for in tests, in milliseconds: on a real clock as short as its tests can be told apart from a
   * slow machine. Default 10,000.
   */
  readonly period?: number;
  /** What this adapter cannot do, by the test's name, and why. */
  readonly except?: Exceptions;
}

interface Stage extends RateStoreHarness {
  /** Five an hour: nothing is given back during a test. */
  readonly slow: GcraLimit;
  /** Two per period, which the test waits for. */
  readonly quick: GcraLimit;
}

/** Keys that a store may trip over. */
const hostileKeys = [
  '',
  ' ',
  '__proto__',
  'constructor',
  "'; DROP TABLE rates; --",
  'a:b:*',
  'ünï\n🌿',
  'x'.repeat(2_000),
];

async function takeMany(
  store: RateStore,
  key: string,
  rule: GcraLimit,
  count: number,
): Promise<GcraDecision[]> {
  const decisions: GcraDecision[] = [];
  for (let n = 0; n < count; n += 1) decisions.push(await store.take(key, rule));
  return decisions;
}

const tests: Readonly<Record<string, (stage: Stage) => Promise<void>>> = {
  'a burst is allowed, counted down, and then refused': async ({ store, slow }) => {
    const decisions = await takeMany(store, 'a', slow, 6);
    assert.deepEqual(
      decisions.map((d) => [d.allowed, d.remaining]),
      [4, 3, 2, 1, 0].map((left) => [true, left] as [boolean, number]).concat([[false, 0]]),
    );
  },
  'a decision says when the next is allowed and when all are': async ({ store, quick }) => {
    const [first, second, third] = await takeMany(store, 'a', quick, 3);
    const interval = quick.period / quick.limit;
    assert.deepEqual([first?.retryAfter, second?.retryAfter], [0, 0]);
    assert.ok((first?.resetAfter ?? 0) > 0 && (first?.resetAfter ?? 0) <= interval);
    assert.ok((third?.retryAfter ?? 0) > 0 && (third?.retryAfter ?? 0) <= interval);
    assert.ok((third?.resetAfter ?? 0) > interval && (third?.resetAfter ?? 0) <= quick.period);
  },
  'what was refused is allowed after its retryAfter': async ({ store, quick, advance }) => {
    const decisions = await takeMany(store, 'a', quick, 3);
    await advance(decisions[2]?.retryAfter ?? 0);
    assert.equal((await store.take('a', quick)).allowed, true);
  },
  'a refused request costs nothing': async ({ store, quick, advance }) => {
    await takeMany(store, 'a', quick, 2);
    for (const refused of await takeMany(store, 'a', quick, 50)) assert.equal(refused.allowed, false);
    await advance(quick.period);
    const decisions = await takeMany(store, 'a', quick, 2);
    assert.deepEqual(
      decisions.map((d) => d.allowed),
      [true, true],
    );
  },
  'concurrent requests of several clients are allowed no more than the rule says': async ({
    store,
    other,
    slow,
  }) => {
    const asked = Array.from({ length: 40 }, async (_, n) => (n % 2 === 0 ? store : other).take('a', slow));
    const allowed = (await Promise.all(asked)).filter((d) => d.allowed);
    assert.equal(allowed.length, 5);
  },
  'clients of one store count together': async ({ store, other, slow }) => {
    await takeMany(store, 'a', slow, 5);
    assert.equal((await other.take('a', slow)).allowed, false);
  },
  'keys are counted apart, whatever is in them': async ({ store, slow }) => {
    for (const key of hostileKeys) {
      const decisions = await takeMany(store, key, slow, 6);
      assert.deepEqual(
        decisions.map((d) => d.allowed),
        [true, true, true, true, true, false],
        JSON.stringify(key),
      );
    }
  },
  'a cost weighs, and one above the burst is never allowed': async ({ store, slow }) => {
    assert.equal((await store.take('a', slow, 6)).allowed, false);
    assert.deepEqual(pickOf(await store.take('a', slow, 4)), { allowed: true, remaining: 1 });
    assert.deepEqual(pickOf(await store.take('a', slow, 2)), { allowed: false, remaining: 1 });
    assert.deepEqual(pickOf(await store.take('a', slow)), { allowed: true, remaining: 0 });
  },
  'the burst may be other than the limit': async ({ store, slow }) => {
    const decisions = await takeMany(store, 'a', { ...slow, burst: 2 }, 3);
    assert.deepEqual(
      decisions.map((d) => d.allowed),
      [true, true, false],
    );
  },
};

function pickOf({ allowed, remaining }: GcraDecision): Pick<GcraDecision, 'allowed' | 'remaining'> {
  return { allowed, remaining };
}

/** Declare the tests of a RateStore adapter. */
export function rateStoreConformance(options: RateStoreConformanceOptions): void {
  const { api, name, create, period = 10_000 } = options;
  const it = declaredIt(api, options.except);
  const slow: GcraLimit = { limit: 5, period: 3_600_000 };
  const quick: GcraLimit = { limit: 2, period };
  api.describe(`RateStore: ${name}`, () => {
    for (const [title, body] of Object.entries(tests)) {
      it(title, async () => {
        const harness = await create();
        try {
          await body({ ...harness, slow, quick });
        } finally {
          await harness.close();
        }
      });
    }
  });
}
