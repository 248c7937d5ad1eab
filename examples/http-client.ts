/**
 * A service that answers 503 for a while, and a `fetch` with a breaker for each origin that leaves it alone.
 *
 * Run it with `node .build/examples/http-client.js`; it takes about two seconds.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { CircuitBreaker, CircuitOpenError } from 'holdfast';
import { resilientFetch } from 'holdfast/integrations/fetch';

let busy = false;
let asked = 0;
const server = createServer((_, response) => {
  asked += 1;
  if (busy) response.writeHead(503, { 'retry-after': '1' }).end('come back later');
  else response.end('7.50');
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/price`;

const request = resilientFetch({
  breaker: (origin, name) => {
    const breaker = new CircuitBreaker({ name, minimumCalls: 3, openFor: '100ms', halfOpen: { permits: 1 } });
    breaker.on('opened', ({ wait }) => console.log(`    ! ${origin} is left alone for ${wait} ms`));
    breaker.on('closed', () => console.log(`    ✓ ${origin} is well again`));
    return breaker;
  },
  timeout: '1s',
});

async function ask(times: number): Promise<void> {
  for (let i = 0; i < times; i += 1) {
    try {
      const response = await request(url);
      console.log(`${response.status} ${await response.text()}`);
    } catch (error) {
      if (!(error instanceof CircuitOpenError)) throw error;
      console.log(`not asked: next attempt in ${Math.ceil(error.retryAfter)} ms`);
    }
  }
}

console.log('The service is well:');
await ask(2);

console.log('\nIt is busy, and asks to be left alone for a second:');
busy = true;
await ask(5);

console.log('\nA second later it is well:');
busy = false;
await sleep(1_050);
await ask(2);

console.log(`\nThe service was asked ${asked} times.`);
server.closeAllConnections();
server.close();
