/** What a call through a breaker consists of: each contender has one part more than the one before it. */

import { performance } from 'node:perf_hooks';
import { CircuitBreaker, CircuitOpenError } from 'holdfast';
import { bare, time } from '../measure.mjs';

const done = Promise.resolve('done');
const work = () => done;
const failure = new Error('down');
const fail = () => Promise.reject(failure);
const anHour = 3_600_000;

/** Written, never read. */
let _settledAt = 0;
const pass = (result) => result;
const rethrow = (error) => {
  throw error;
};
// biome-ignore lint/suspicious/noThenProperty: it is what a handler returns to reject without throwing
const reject = (error) => ({ then: (_resolve, rejected) => rejected(error) });
const later = (error) => Promise.resolve(reject(error));
const stamped = (handler) => (outcome) => {
  _settledAt = performance.now();
  return handler(outcome);
};
const [passAt, rejectAt] = [stamped(pass), stamped(reject)];

function withoutStack(make) {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return make();
  } finally {
    Error.stackTraceLimit = limit;
  }
}

const parts = {
  'A call that succeeds': {
    [bare]: () => work,
    'then with two handlers': () => () => work().then(pass, reject),
    'a reading of the clock': () => () => work().then(passAt, rejectAt),
    holdfast: () => {
      const breaker = new CircuitBreaker({ name: 'bench' });
      return () => breaker.run(work);
    },
  },
  'A call that fails': {
    [bare]: () => fail,
    'then with a handler that throws': () => () => fail().then(pass, rethrow),
    'a handler that rejects without throwing, instead': () => () => fail().then(pass, reject),
    'a reading of the clock': () => () => fail().then(passAt, rejectAt),
    holdfast: async () => {
      const breaker = new CircuitBreaker({ name: 'bench', failureRate: 1, window: '10m' });
      for (let i = 0; i < 10_000; i += 1) await breaker.run(work);
      return () => breaker.run(fail);
    },
  },
  'A call that an open breaker refuses': {
    [bare]: () => fail,
    'a promise that rejects a microtask later, instead': () => () => later(failure),
    'an Error made for it, without a stack': () => () => later(withoutStack(() => new Error('down'))),
    'its cause': () => () => later(withoutStack(() => new Error('down', { cause: failure }))),
    'the class CircuitOpenError': () => () =>
      later(withoutStack(() => new CircuitOpenError('bench', 'open', anHour, failure))),
    holdfast: () => {
      const breaker = new CircuitBreaker({ name: 'bench', openFor: anHour });
      breaker.trip(failure);
      return () => breaker.run(work);
    },
  },
};

export const suite = {
  name: 'breakdown',
  title: 'Where the time of a breaker goes',
  subject: 'holdfast',
  packages: [],
  scenarios: Object.entries(parts).map(([title, contenders], index) => ({
    name: ['succeeds', 'fails', 'refused'][index],
    title,
    unit: 'ns',
    measure: time,
    contenders,
  })),
  targets: [],
};
