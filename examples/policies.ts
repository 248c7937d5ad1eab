/**
 * A dependency falls ill: what a retry budget, hedging, an adaptive limit and coalescing each do about it.
 *
 * Run it with `node .build/examples/policies.js`; it takes about three seconds.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { timeout } from 'holdfast';
import { adaptiveLimit, chaos, coalesce, hedge, pipeline, RetryBudget, retry } from 'holdfast/resilience';

/** How often the dependency was called while `body` ran. */
let requests = 0;
const dependency = async (): Promise<string> => {
  requests += 1;
  await sleep(5);
  return 'ok';
};

async function count(title: string, body: () => Promise<unknown>): Promise<void> {
  requests = 0;
  const startedAt = performance.now();
  await body();
  console.log(`${title}: ${requests} requests, ${Math.round((performance.now() - startedAt) / 10) * 10} ms`);
}

const many = (calls: number, call: () => Promise<unknown>): Promise<unknown> =>
  Promise.allSettled(Array.from({ length: calls }, call));

console.log('1. It is down. Three layers of retries make 27 attempts of each call:');
const down = async (): Promise<never> => {
  requests += 1;
  throw new Error('down');
};
const layers = (budget?: RetryBudget): (() => Promise<unknown>) => {
  const inner = retry({ backoff: 0 });
  const middle = retry({ backoff: 0 });
  const outer = retry({ backoff: 0, budget });
  // The inner layers know nothing of the budget: they inherit it.
  return () => outer.run(() => middle.run(() => inner.run(down)));
};
await count('   100 calls without a budget', () => many(100, layers()));
await count('   100 calls with a budget of 20 %', () => many(100, layers(new RetryBudget({ free: 0 }))));

console.log('2. One call in ten takes 300 ms instead of 5. Hedging asks again after 20 ms:');
const sometimesSlow = async ({ signal }: { readonly signal: AbortSignal }): Promise<string> => {
  requests += 1;
  await sleep(requests % 10 === 5 ? 300 : 5, undefined, { signal });
  return 'ok';
};
const hedged = hedge({ delay: 20 });
for (const [name, call] of [
  ['as it is', () => sometimesSlow({ signal: new AbortController().signal })],
  ['hedged', () => hedged.run(sometimesSlow)],
] as const) {
  await count(`   20 calls, one after the other, ${name}`, async () => {
    for (let n = 0; n < 20; n += 1) await call();
  });
}

console.log('3. It hangs. The limit of calls at once comes down by itself:');
const limit = adaptiveLimit({ name: 'sick', window: 20 });
limit.on('changed', ({ from, to }) => console.log(`   limit ${from} → ${to}`));
const hanging = pipeline(limit, timeout(20), chaos({ enabled: true, hang: { probability: 1 } }));
for (let round = 0; round < 6; round += 1) await many(20, () => hanging.run(dependency));

console.log('4. A hundred callers want the same thing at once:');
const load = coalesce({ ttl: '1s' }).wrap(dependency);
await count('   100 calls, coalesced', () => many(100, () => load()));
