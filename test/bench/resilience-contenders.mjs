/** What the resilience suite measures: holdfast and the others, set up for each situation. */
import * as cockatiel from 'cockatiel';
import { Bulkhead, CircuitBreaker, pipeline, retry, timeout } from 'holdfast';
import Opossum from 'opossum';
import pRetry from 'p-retry';

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

export const closed = {
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

/** In a process of its own, where no window of time is in the way. */
export const closedByCount = {
  bare: () => work,
  holdfast: () => {
    const breaker = new CircuitBreaker({ name: 'bench', window: { calls: 100 } });
    return () => breaker.run(work);
  },
  'cockatiel consecutive': closed['cockatiel consecutive'],
};

export const limited = {
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

export const retried = {
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

export const failing = {
  bare: () => fail,
  'holdfast, time window': async () => {
    const breaker = new CircuitBreaker({ name: 'bench', failureRate: 1, window: '10m' });
    await fill(() => breaker.run(work));
    return () => breaker.run(fail);
  },
  'holdfast, count window': async () => {
    // Forced, since a window of failures only would open it.
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

export const open = {
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

export const composed = {
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

export const idle = {
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

export const afterwards = {
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

export const signalled = {
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
