/**
 * Requests through the router to upstreams that answer, stall, break off, change the protocol and are not there, from
 * clients that read slowly, leave, also while a guard thinks, and send several at once on a connection. Every answer
 * names the request that it is for: one that came to another request is counted. The router has this process for
 * itself, so that what grows here is its own.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { CircuitBreaker, RequestRouter, ServiceRegistry } from 'holdfast';
import { memoryRegistry } from 'holdfast/adapters/memory';

const peersFile = fileURLToPath(new URL('gateway-peers.mjs', import.meta.url));

async function startRouter(port) {
  const registry = await new ServiceRegistry({ backend: memoryRegistry() }).start();
  const host = '127.0.0.1';
  await registry.register({ id: 'one', service: 'upstream', host, port });
  await registry.register({ id: 'two', service: 'upstream', host, port });
  await registry.register({ id: 'gone', service: 'dead', host, port: 1 });
  const breaker = new CircuitBreaker({ name: 'soak', failureRate: 1, minimumCalls: 1_000_000 });
  const router = new RequestRouter({ registry })
    .route('/dead/*', { service: 'dead' })
    .route('/guarded/*', { service: 'upstream', guards: [() => pause(2)] })
    .route('/switch/*', { service: 'upstream', upgrade: true })
    .route('/*', { service: 'upstream', policy: breaker });
  const { port: front } = await router.listen({ port: 0, host });
  return { registry, router, front };
}

export async function soak() {
  const handlesBefore = process.getActiveResourcesInfo().length;
  const peers = fork(peersFile);
  const ended = once(peers, 'exit');
  const died = ended.then(([code]) => {
    throw new Error(`the clients ended with ${code}`);
  });
  died.catch(() => {});
  const heard = async () => (await Promise.race([once(peers, 'message'), died]))[0];
  const { port } = await heard();
  const { registry, router, front } = await startRouter(port);
  peers.send({ front });
  let counts;

  return {
    async run(count) {
      peers.send({ run: count });
      ({ counts } = await heard());
      // The router learns a moment later than the client that it has left.
      for (let turn = 0; turn < 200 && router.active > 0; turn += 1) await pause(5);
    },
    /** What is still under way when nobody asks any more. */
    timers: () => router.active,
    summary: () =>
      `${JSON.stringify(counts)}, ${Math.round(process.memoryUsage.rss() / 2 ** 20)} MiB resident`,
    /** Whether anything was wrong that the heap does not show. */
    async stop() {
      await router.stop();
      await registry.stop();
      peers.disconnect();
      await ended;
      await pause(100);
      const handles = process.getActiveResourcesInfo().length - handlesBefore;
      console.log(`handles more than at the start: ${handles}`);
      return counts.mixedUp === 0 && counts.unexpected === 0 && handles <= 0;
    },
  };
}
