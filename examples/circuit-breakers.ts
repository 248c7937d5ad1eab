/**
 * A breaker for each host, in two processes that tell each other what has opened, and a third that comes later and
 * goes on from what was written down. Here the processes are three objects; between real ones the store would be
 * `redisCircuitStore({ client })`.
 */
import { memoryCircuitStore } from 'holdfast/adapters/memory';
import { CircuitBreaker, CircuitBreakers, CircuitSharing } from 'holdfast/resilience';

const store = memoryCircuitStore();

async function startProcess(name: string): Promise<{ breakers: CircuitBreakers; sharing: CircuitSharing }> {
  const breakers = new CircuitBreakers({ name: 'hosts', consecutiveFailures: 3, openFor: '300ms' });
  breakers.on('opened', ({ key, reason }) => console.log(`${name}: ${key} opened, because of ${reason}`));
  breakers.on('closed', ({ key }) => console.log(`${name}: ${key} closed`));
  const sharing = await new CircuitSharing({ store }).add(breakers).start();
  return { breakers, sharing };
}

const [one, two] = [await startProcess('one'), await startProcess('two')];
const host = 'api.example.com';
let isDown = true;
const call = async (): Promise<string> => {
  if (isDown) throw new Error('connect ECONNREFUSED');
  return 'hello';
};

two.breakers.for(host);
for (let n = 0; n < 3; n += 1) await one.breakers.run(host, call).catch(() => {});
await two.breakers.run(host, call).catch((error: Error) => console.log(`two: ${error.message}`));
console.log(one.breakers.for(host).explain());

const written = JSON.stringify(one.breakers.for(host).exportState());
const third = new CircuitBreaker({ name: 'hosts', initialState: JSON.parse(written) });
console.log(`three: begins ${third.state}, as it was written down`);

isDown = false;
await new Promise((resolve) => setTimeout(resolve, 350));
for (const { breakers } of [one, two]) {
  for (let probe = 0; probe < 3; probe += 1) await breakers.run(host, call);
}
console.log(`two: ${await two.breakers.run(host, call)}`);

for (const { sharing } of [one, two]) await sharing.stop();
await store.close();
