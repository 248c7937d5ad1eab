/**
 * A dependency breaks and recovers, and a circuit breaker keeps the damage small.
 *
 * Run it with `node .build/examples/circuit-breaker.js`; it takes about three seconds.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { CircuitBreaker, CircuitOpenError, fallback, pipeline, retry, timeout } from 'holdfast';

/** The dependency: answers within 20 ms, or hangs while it is down. */
let down = false;
let asked = 0;
async function fetchPrice(sku: string, signal: AbortSignal): Promise<string> {
  asked += 1;
  await sleep(down ? 60_000 : 20, undefined, { signal });
  return `${sku} costs 7.50`;
}

const breaker = new CircuitBreaker({
  name: 'prices',
  failureRate: 0.5,
  window: '10s',
  minimumCalls: 4,
  openFor: '500ms',
  halfOpen: { permits: 2 },
});
breaker.on('opened', ({ reason, wait }) => console.log(`    ! opened (${reason}), probes in ${wait} ms`));
breaker.on('halfOpened', ({ permits }) => console.log(`    ? half-open: ${permits} probes may pass`));
breaker.on('closed', ({ from }) => console.log(`    ✓ closed again (was ${from})`));

// The first is the outermost: each attempt asks the breaker, and may take 100 ms.
const price = pipeline(
  fallback((error) =>
    error instanceof CircuitOpenError ? 'no price (rejected at once)' : 'no price (too slow)',
  ),
  retry({ attempts: 2, backoff: '10ms', retryIf: (error) => !(error instanceof CircuitOpenError) }),
  breaker,
  timeout('100ms'),
);

async function buy(times: number): Promise<void> {
  for (let n = 1; n <= times; n += 1) {
    const before = performance.now();
    const answer = await price.run(({ signal }) => fetchPrice('kelp', signal));
    console.log(`    ${answer} after ${Math.round(performance.now() - before)} ms`);
  }
}

console.log('1. The service is well.');
await buy(3);

console.log('2. It hangs. Callers wait for two timeouts each, until the breaker opens.');
down = true;
await buy(5);

console.log('3. Still down when the probes pass: it opens again.');
await sleep(500);
await buy(2);

console.log('4. It is well again. Two probes succeed, and the breaker closes.');
down = false;
await sleep(500);
await buy(3);

const { totals } = breaker.metrics;
console.log(`The service was asked ${asked} times; the breaker spared it ${totals.rejected} calls.`);
