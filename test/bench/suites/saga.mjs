/** A saga of three steps on holdfast, on DBOS Transact and by hand, on the same Postgres; and without a server. */
import { embedded, onPostgres } from '../saga-contenders.mjs';
import { againstPostgres, asleep, inProcess } from '../saga-measure.mjs';

const partsOf = (name, where, withCommits) => [
  { name: `${name}-throughput`, part: 'throughput', title: `${where}: sagas a second`, unit: 'sagas/s' },
  { name: `${name}-p50`, part: 'p50', title: `${where}: how long one takes, the median`, unit: 'ms' },
  {
    name: `${name}-p99`,
    part: 'p99',
    title: `${where}: how long one takes, the slowest of a hundred`,
    unit: 'ms',
  },
  ...(withCommits
    ? [{ name: `${name}-commits`, part: 'commits', title: `${where}: commits a saga`, unit: 'commits' }]
    : []),
];
const concurrencies = [1, 16, 128];
const under = (concurrency) => (concurrency === 1 ? 'one at a time' : `${concurrency} at a time`);

export const suite = {
  name: 'saga',
  title: 'Sagas',
  subject: 'holdfast',
  packages: ['@dbos-inc/dbos-sdk', 'pg', 'better-sqlite3'],
  notes:
    'By the wall clock, since the disk counts: contenders take turns of a moment, round after round. Postgres has its default durability and shares the processors with its clients; each contender has 20 connections, and holdfast has `prepare` on. The saga has three steps that do nothing but answer.',
  scenarios: [
    ...concurrencies.map((concurrency) => ({
      name: `postgres-${concurrency}`,
      measure: againstPostgres(concurrency),
      contenders: onPostgres,
      parts: partsOf(`postgres-${concurrency}`, `Postgres, ${under(concurrency)}`, true),
    })),
    ...concurrencies.map((concurrency) => ({
      name: `embedded-${concurrency}`,
      measure: inProcess(concurrency),
      contenders: embedded,
      subject: 'SQLite, synchronous=FULL',
      parts: partsOf(`embedded-${concurrency}`, `Embedded, ${under(concurrency)}`, false),
    })),
    {
      name: 'asleep',
      measure: asleep,
      contenders: {},
      parts: [
        { name: 'asleep-heap', part: 'heap', title: '100,000 sagas that sleep, in memory: heap', unit: 'MB' },
        {
          name: 'asleep-timers',
          part: 'timers',
          title: '100,000 sagas that sleep, in memory: timers',
          unit: 'timers',
        },
      ],
    },
  ],
  targets: [
    {
      scenario: 'postgres-128-throughput',
      says: 'Postgres, 128 at a time: times DBOS Transact',
      value: (r) => r.ratio('holdfast', 'DBOS Transact'),
      atLeast: 20,
      unit: '×',
    },
    {
      scenario: 'postgres-128-throughput',
      says: 'Postgres, 128 at a time: times what is written by hand with autocommit',
      value: (r) => r.ratio('holdfast', 'by hand, autocommit'),
      atLeast: 3,
      unit: '×',
    },
    {
      scenario: 'postgres-1-p50',
      says: 'Postgres, one at a time: the median, times by hand with one statement a step',
      value: (r) => r.ratio('holdfast', 'by hand, one statement a step'),
      limit: 1,
      unit: '×',
    },
    {
      scenario: 'embedded-128-throughput',
      says: 'SQLite, 128 at a time',
      value: (r) => r.median('SQLite, synchronous=FULL'),
      atLeast: 20_000,
      unit: 'sagas/s',
    },
    {
      scenario: 'embedded-128-throughput',
      says: 'Memory, 128 at a time',
      value: (r) => r.median('memory'),
      atLeast: 100_000,
      unit: 'sagas/s',
    },
    {
      scenario: 'asleep-heap',
      says: '100,000 sagas that sleep',
      value: (r) => r.median('holdfast'),
      limit: 200,
      unit: 'MB',
    },
    {
      scenario: 'asleep-timers',
      says: '100,000 sagas that sleep',
      value: (r) => r.median('holdfast'),
      limit: 10,
      unit: 'timers',
    },
  ],
};
