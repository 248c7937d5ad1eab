/**
 * How sagas are measured: by the wall, since what counts is the disk and the server as well. Contenders take turns in
 * rounds, each for a moment with so many sagas under way at a time, so that a busy machine meets all of them alike.
 */
import { sleepers } from './saga-contenders.mjs';
import { alive } from './timers.mjs';

const quantile = (sorted, part) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];

/** Keep `concurrency` sagas under way for `duration` milliseconds; how long each took, and all. */
async function drive(run, prefix, concurrency, duration) {
  const latencies = [];
  const start = performance.now();
  let begun = 0;
  const client = async () => {
    while (performance.now() - start < duration) {
      const from = performance.now();
      begun += 1;
      await run(`${prefix}-${begun}`);
      latencies.push(performance.now() - from);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, client));
  return { latencies: latencies.sort((a, b) => a - b), took: performance.now() - start };
}

/** What the transactions of one moment cost the server: each that writes takes a number. */
async function transactionsBy(count, work) {
  const before = await count();
  const result = await work();
  return { ...result, transactions: (await count()) - before };
}

async function rounds(contenders, surroundings, { concurrency, long, count }) {
  const made = [];
  for (const [name, make] of Object.entries(contenders)) {
    made.push({ name, ...(await make({ ...surroundings, concurrency })) });
  }
  const parts = { throughput: {}, p50: {}, p99: {}, commits: {} };
  for (const of of Object.values(parts)) for (const { name } of made) of[name] = [];
  for (const { run } of made) await drive(run, 'warm', concurrency, 1_000);
  const times = long ? 15 : 5;
  for (let round = 0; round < times; round += 1) {
    for (let turn = 0; turn < made.length; turn += 1) {
      const { name, run } = made[(round + turn) % made.length];
      const driven = () => drive(run, `${round}`, concurrency, long ? 3_000 : 1_500);
      const { latencies, took, transactions } = await transactionsBy(count, driven);
      parts.throughput[name].push((latencies.length / took) * 1_000);
      parts.p50[name].push(quantile(latencies, 0.5));
      parts.p99[name].push(quantile(latencies, 0.99));
      parts.commits[name].push(transactions / latencies.length);
    }
  }
  for (const { stop } of made) await stop();
  return parts;
}

/** Rounds on a Postgres server that is started for them. */
export function againstPostgres(concurrency) {
  return async (contenders, { long }) => {
    // Compiled by the command, since they are TypeScript.
    const { startServer } = await import('../../.build/bench/servers/server.js');
    const { postgres } = await import('../../.build/bench/servers/postgres.js');
    const { default: pg } = await import('pg');
    // A server's processes keep nobody alive.
    const hold = setInterval(() => {}, 1_000);
    const server = await startServer(postgres);
    const client = new pg.Client({ connectionString: server.url.href });
    try {
      await client.connect();
      // Asking takes a number, too.
      const count = async () =>
        Number((await client.query('SELECT pg_current_xact_id()::text AS id')).rows[0].id) - 0.5;
      return await rounds(contenders, { url: server.url.href }, { concurrency, long, count });
    } finally {
      await client.end();
      await server.stop();
      clearInterval(hold);
    }
  };
}

/** Rounds in this process. */
export function inProcess(concurrency) {
  return async (contenders, { long }) => {
    const { commits, ...parts } = await rounds(contenders, {}, { concurrency, long, count: async () => 0 });
    return parts;
  };
}

/** Heap and timers of a hundred thousand sagas that sleep. */
export async function asleep() {
  const count = 100_000;
  globalThis.gc();
  const before = process.memoryUsage().heapUsed;
  const timers = alive();
  const { runner } = await sleepers(count);
  // What is on its way out of the queues goes first.
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setTimeout(resolve, 20));
  globalThis.gc();
  const result = {
    heap: { holdfast: [(process.memoryUsage().heapUsed - before) / 1e6] },
    timers: { holdfast: [timers()] },
  };
  await runner.stop();
  return result;
}
