/**
 * Long runs on the built package:
 *
 *     npm run soak -- resilience|gateway [--calls=10000000]
 *     npm run soak -- saga [--rounds=500] [--crashes=50]
 *
 * `resilience` makes millions of calls, to see that nothing grows and nothing is left, and prints a row for each
 * twentieth. `saga` kills workers and servers under sagas. The exit code is 1 when something was wrong.
 */
import { getEventListeners } from 'node:events';
import { parseArgs } from 'node:util';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    calls: { type: 'string', default: '10000000' },
    rounds: { type: 'string', default: '500' },
    crashes: { type: 'string', default: '50' },
  },
});
const total = Number(values.calls);
const name = positionals[0] ?? '';
const soaks = { resilience: () => import('./resilience.mjs'), gateway: () => import('./gateway.mjs') };
if (name === 'saga') {
  const { killSagas } = await import('./saga.mjs');
  process.exit(await killSagas(values));
}
if (!Object.hasOwn(soaks, name) || !Number.isInteger(total) || total < 20_000) {
  console.error(
    'usage: npm run soak -- resilience | gateway [--calls=n ≥ 20000] | saga [--rounds=n] [--crashes=n]',
  );
  process.exit(2);
}

/** What the heap may have grown by from the middle of the run to its end: less than any leak of a byte a call. */
const allowance = 1_000_000;

const { soak } = await soaks[name]();
const { signal } = new AbortController();
const stage = await soak(signal);
const rows = [];
const part = Math.floor(total / 20);
console.log('| calls | ns a call | heap, KiB | timers | listeners |\n| --- | --- | --- | --- | --- |');
for (let row = 1; row <= 20; row += 1) {
  const start = performance.now();
  await stage.run(part);
  const cost = ((performance.now() - start) / part) * 1e6;
  globalThis.gc();
  const heap = process.memoryUsage().heapUsed;
  const timers = stage.timers();
  const listeners = getEventListeners(signal, 'abort').length;
  rows.push({ heap, timers, listeners });
  const cells = [row * part, Math.round(cost), Math.round(heap / 1_024), timers, listeners];
  console.log(`| ${cells.join(' | ')} |`);
}
console.log(`\n${stage.summary()}`);

const growth = rows[19].heap - rows[9].heap;
const left = rows.some(({ timers, listeners }) => timers > 0 || listeners > 0);
console.log(`heap from half-way to the end: ${growth < 0 ? '' : '+'}${Math.round(growth / 1_024)} KiB`);
console.log(`timers or listeners left after any part: ${left ? 'yes' : 'none'}`);
const fine = (await stage.stop?.()) ?? true;
// No process.exit: that the process ends by itself is part of the proof.
process.exitCode = growth > allowance || left || !fine ? 1 : 0;
