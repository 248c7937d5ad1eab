/** The policies of holdfast beside opossum, cockatiel and p-retry, in the same situations. */
import * as cockatiel from 'cockatiel';
import { Bulkhead, CircuitBreaker, pipeline, retry, timeout } from 'holdfast';
import Opossum from 'opossum';
import pRetry from 'p-retry';
import {
  allocation,
  allocationFlags,
  heap,
  holdsLeft,
  listenersLeft,
  time,
  timersLeft,
} from '../measure.mjs';

const done = Promise.resolve('done');
const work = () => done;
const failure = new Error('down');
const fail = () => Promise.reject(failure);
const anHour = 3_600_000;
const { handleAll } = cockatiel;

/** No limit in time, unless a scenario is about one. */
const opossum = (action, options = {}) => new Opossum(action, { name: 'bench', timeout: false, ...options });
const sampling = (options = {}) => ({
  halfOpenAfter: anHour,
  breaker: new cockatiel.SamplingBreaker({ threshold: 0.5, duration: 10_000, ...options }),
});
const consecutive = () => ({ halfOpenAfter: anHour, breaker: new cockatiel.ConsecutiveBreaker(5) });

const closed = {
  bare: () => work,
  holdfast: () => {
    const breaker = new CircuitBreaker({ name: 'bench' });
    return () => breaker.run(work);
  },
  opossum: () => {
    const breaker = opossum(work);
    return () => breaker.fire();
  },
  'cockatiel consecutive': () => {
    const breaker = cockatiel.circuitBreaker(handleAll, consecutive());
    return () => breaker.execute(work);
  },
  'cockatiel sampling': () => {
    const breaker = cockatiel.circuitBreaker(handleAll, sampling());
    return () => breaker.execute(work);
  },
};

const limited = {
  bare: () => work,
  holdfast: () => {
    const policy = pipeline(new CircuitBreaker({ name: 'bench' }), timeout('1s'));
    return () => policy.run(work);
  },
  opossum: () => {
    const breaker = opossum(work, { timeout: 1_000 });
    return () => breaker.fire();
  },
  cockatiel: () => {
    const policy = cockatiel.wrap(
      cockatiel.circuitBreaker(handleAll, consecutive()),
      cockatiel.timeout(1_000, cockatiel.TimeoutStrategy.Aggressive),
    );
    return () => policy.execute(work);
  },
};

const retried = {
  bare: () => work,
  holdfast: () => {
    const policy = retry({ attempts: 3 });
    return () => policy.run(work);
  },
  'p-retry': () => () => pRetry(work, { retries: 2 }),
  cockatiel: () => {
    const policy = cockatiel.retry(handleAll, { maxAttempts: 2 });
    return () => policy.execute(work);
  },
};

/** Ten thousand successes, so that the failures that follow never reach 100 % and no breaker opens. */
async function fill(succeed) {
  for (let i = 0; i < 10_000; i += 1) await succeed();
}

const failing = {
  bare: () => fail,
  'holdfast, time window': async () => {
    const breaker = new CircuitBreaker({ name: 'bench', failureRate: 1, window: '10m' });
    await fill(() => breaker.run(work));
    return () => breaker.run(fail);
  },
  'holdfast, count window': async () => {
    // Every other call succeeds uncounted in time, since a window of failures only would open it.
    const breaker = new CircuitBreaker({ name: 'bench', window: { calls: 10_000 } });
    breaker.force('metrics-only');
    await fill(() => breaker.run(work));
    return () => breaker.run(fail);
  },
  opossum: async () => {
    let action = work;
    const options = { errorThresholdPercentage: 100, rollingCountTimeout: 600_000 };
    const breaker = opossum(() => action(), { ...options, rollingPercentilesEnabled: false });
    await fill(() => breaker.fire());
    action = fail;
    // Each failure costs as much as there are calls in its window: few, so that they stay about 10,000.
    return { call: () => breaker.fire(), most: 30 };
  },
  cockatiel: async () => {
    const options = sampling({ threshold: 0.999_999, duration: 600_000 });
    const breaker = cockatiel.circuitBreaker(handleAll, options);
    await fill(() => breaker.execute(work));
    return () => breaker.execute(fail);
  },
};

const open = {
  bare: () => fail,
  holdfast: () => {
    const breaker = new CircuitBreaker({ name: 'bench', openFor: anHour });
    breaker.trip(failure);
    return () => breaker.run(work);
  },
  opossum: () => {
    const breaker = opossum(work, { resetTimeout: anHour });
    breaker.open();
    return () => breaker.fire();
  },
  cockatiel: async () => {
    const breaker = cockatiel.circuitBreaker(handleAll, consecutive());
    for (let i = 0; i < 5; i += 1) await breaker.execute(fail).catch(() => {});
    return () => breaker.execute(work);
  },
};

const composed = {
  bare: () => work,
  holdfast: () => {
    const policy = pipeline(
      retry({ attempts: 3 }),
      new CircuitBreaker({ name: 'bench' }),
      timeout('1s'),
      new Bulkhead({ name: 'bench', limit: 10 }),
    );
    return () => policy.run(work);
  },
  'p-retry with opossum': () => {
    const breaker = opossum(work, { timeout: 1_000, capacity: 10 });
    const attempt = () => breaker.fire();
    return () => pRetry(attempt, { retries: 2 });
  },
  cockatiel: () => {
    const policy = cockatiel.wrap(
      cockatiel.retry(handleAll, { maxAttempts: 2 }),
      cockatiel.circuitBreaker(handleAll, consecutive()),
      cockatiel.timeout(1_000, cockatiel.TimeoutStrategy.Aggressive),
      cockatiel.bulkhead(10),
    );
    return () => policy.execute(work);
  },
};

const idle = {
  holdfast: (i) => new CircuitBreaker({ name: `bench-${i}` }),
  opossum: (i) => opossum(work, { name: `bench-${i}` }),
  'cockatiel consecutive': () => cockatiel.circuitBreaker(handleAll, consecutive()),
  'cockatiel sampling': () => cockatiel.circuitBreaker(handleAll, sampling()),
};

/** A thousand breakers, each called once with a limit. */
const thousand = async (make) => {
  const calls = Array.from({ length: 1_000 }, (_, i) => make(i));
  await Promise.all(calls.map((call) => call()));
};

const afterwards = {
  holdfast: () =>
    thousand((i) => {
      const policy = pipeline(new CircuitBreaker({ name: `bench-${i}` }), timeout('10s'));
      return () => policy.run(work);
    }),
  opossum: () =>
    thousand((i) => {
      const breaker = opossum(work, { name: `bench-${i}`, timeout: 10_000 });
      return () => breaker.fire();
    }),
  cockatiel: () =>
    thousand(() => {
      const policy = cockatiel.wrap(
        cockatiel.circuitBreaker(handleAll, consecutive()),
        cockatiel.timeout(10_000, cockatiel.TimeoutStrategy.Aggressive),
      );
      return () => policy.execute(work);
    }),
};

const signalled = {
  holdfast: (signal) => {
    const policy = pipeline(retry(), new CircuitBreaker({ name: 'bench' }), timeout('10s'));
    return thousand(() => () => policy.run(work, { signal }));
  },
  cockatiel: (signal) => {
    const policy = cockatiel.wrap(
      cockatiel.retry(handleAll, { maxAttempts: 2 }),
      cockatiel.circuitBreaker(handleAll, consecutive()),
      cockatiel.timeout(10_000, cockatiel.TimeoutStrategy.Aggressive),
    );
    return thousand(() => () => policy.execute(work, signal));
  },
};

export const suite = {
  name: 'resilience',
  title: 'Resilience',
  subject: 'holdfast',
  packages: ['opossum', 'cockatiel', 'p-retry'],
  scenarios: [
    { name: 'closed', title: 'A closed breaker', unit: 'ns', measure: time, contenders: closed },
    {
      name: 'timeout',
      title: 'A closed breaker and a timeout',
      unit: 'ns',
      measure: time,
      contenders: limited,
    },
    { name: 'retry', title: 'A retry that is not needed', unit: 'ns', measure: time, contenders: retried },
    {
      name: 'failing',
      title: 'A failing call, 10,000 calls in the window',
      unit: 'ns',
      subject: 'holdfast, time window',
      measure: time,
      contenders: failing,
    },
    { name: 'open', title: 'An open breaker', unit: 'ns', measure: time, contenders: open },
    {
      name: 'composed',
      title: 'Retry, breaker, timeout and bulkhead',
      unit: 'ns',
      measure: time,
      contenders: composed,
    },
    {
      name: 'closed-bytes',
      title: 'Allocated by a call: a closed breaker',
      unit: 'bytes',
      measure: allocation,
      flags: allocationFlags,
      contenders: closed,
    },
    {
      name: 'composed-bytes',
      title: 'Allocated by a call: retry, breaker, timeout and bulkhead',
      unit: 'bytes',
      measure: allocation,
      flags: allocationFlags,
      contenders: composed,
    },
    {
      name: 'heap',
      title: 'Kept by one of 10,000 idle breakers',
      unit: 'bytes',
      measure: heap,
      contenders: idle,
    },
    {
      name: 'timers',
      title: 'Timers left by 1,000 breakers with a timeout, after one call each',
      unit: 'timers',
      measure: timersLeft,
      contenders: afterwards,
    },
    {
      name: 'listeners',
      title: "Listeners left on the caller's signal after 1,000 calls",
      unit: 'listeners',
      measure: listenersLeft,
      contenders: signalled,
    },
    {
      name: 'holds',
      title: 'What keeps the process alive after one call of each of 1,000 breakers',
      unit: 'resources',
      measure: holdsLeft,
      contenders: afterwards,
    },
  ],
  targets: [
    {
      scenario: 'closed',
      says: 'closed, above bare',
      value: (r) => r.above('holdfast'),
      limit: 45,
      unit: 'ns',
    },
    {
      scenario: 'closed',
      says: "closed, above bare, as a share of cockatiel's cheapest",
      value: (r) => r.ratioAbove('holdfast', r.cheapest('cockatiel')),
      limit: 1 / 2,
      unit: '',
    },
    {
      scenario: 'closed',
      says: "closed, above bare, as a share of opossum's",
      value: (r) => r.ratioAbove('holdfast', 'opossum'),
      limit: 1 / 6,
      unit: '',
    },
    {
      scenario: 'timeout',
      says: 'closed with timeout',
      value: (r) => r.median('holdfast'),
      limit: 500,
      unit: 'ns',
    },
    {
      scenario: 'failing',
      says: 'failing, 10,000 calls in the window',
      value: (r) => Math.max(r.median('holdfast, time window'), r.median('holdfast, count window')),
      limit: 800,
      unit: 'ns',
    },
    {
      scenario: 'open',
      says: "open, as a share of opossum's",
      value: (r) => r.ratio('holdfast', 'opossum'),
      limit: 1 / 3,
      unit: '',
    },
    {
      scenario: 'open',
      says: "open, as a share of cockatiel's",
      value: (r) => r.ratio('holdfast', 'cockatiel'),
      limit: 1 / 3,
      unit: '',
    },
    {
      scenario: 'open',
      says: 'open, above bare, as a share of the cheaper rival',
      value: (r) => Math.max(r.ratioAbove('holdfast', 'opossum'), r.ratioAbove('holdfast', 'cockatiel')),
      limit: 1 / 3,
      unit: '',
    },
    {
      scenario: 'composed',
      says: 'retry, breaker, timeout and bulkhead',
      value: (r) => r.median('holdfast'),
      limit: 1_200,
      unit: 'ns',
    },
    {
      scenario: 'heap',
      says: 'an idle breaker',
      value: (r) => r.median('holdfast'),
      limit: 1_024,
      unit: 'bytes',
    },
    {
      scenario: 'timers',
      says: 'timers left by 1,000 breakers; equal time limits share one',
      value: (r) => r.median('holdfast'),
      limit: 1,
      unit: '',
    },
    { scenario: 'listeners', says: 'listeners left', value: (r) => r.median('holdfast'), limit: 0, unit: '' },
    {
      scenario: 'holds',
      says: 'what keeps the process alive',
      value: (r) => r.median('holdfast'),
      limit: 0,
      unit: '',
    },
  ],
};
