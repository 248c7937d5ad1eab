/**
 * Two registries stand for two processes: one runs three instances of a service, the other calls them. One instance
 * fails, the registry itself goes away for a while, and at the end the service says goodbye.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ServiceRegistry } from 'holdfast';
import { memoryRegistry } from 'holdfast/adapters/memory';

/** A server that answers with its name, or with 500 once it is broken. */
async function serve(name: string, isBroken: () => boolean): Promise<{ server: Server; port: number }> {
  const server = createServer((_request, response) => {
    response.statusCode = isBroken() ? 500 : 200;
    response.end(name);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, port: (server.address() as AddressInfo).port };
}

const cluster = memoryRegistry();
const theirs = await new ServiceRegistry({ backend: cluster, ttl: '5s', drainDelay: '300ms' }).start();
const ours = await new ServiceRegistry({ backend: cluster }).start();
ours.on('changed', ({ snapshot }) => {
  const set = snapshot.instances.map(({ id, status }) => `${id} ${status}`);
  console.log(`  the set is now: ${set.join(', ') || '(empty)'}`);
});
ours.on('contactLost', () => console.log('  the registry is away; what we know is stale, and stays in use'));
ours.on('contactRegained', () => console.log('  the registry is back'));

const broken = new Set<string>();
const servers: Server[] = [];
for (const id of ['red', 'green', 'blue']) {
  const { server, port } = await serve(id, () => broken.has(id));
  servers.push(server);
  await theirs.register({ service: 'colours', id, port });
}

const colours = ours.service('colours');
await colours.whenAvailable({ timeout: '2s' });

/** Make many calls, ten at a time, and count who answered. */
async function callMany(total: number): Promise<void> {
  const counts: Record<string, number> = {};
  const call = async (): Promise<void> => {
    const answer = await colours
      .run(async (instance, { signal }) => {
        const response = await fetch(instance.url, { signal });
        const name = await response.text();
        if (!response.ok) throw new Error(`${name} answered ${response.status}`);
        return name;
      })
      .catch(() => 'failed');
    counts[answer] = (counts[answer] ?? 0) + 1;
  };
  for (let made = 0; made < total; made += 10) await Promise.all(Array.from({ length: 10 }, call));
  console.log(' ', counts);
}

console.log('300 calls, all instances well:');
await callMany(300);

console.log('green answers 500 from now on; calls soon avoid it:');
broken.add('green');
await callMany(300);

console.log('nobody reaches the registry:');
cluster.partition();
await callMany(300);
cluster.heal();
for await (const { stale } of colours.watch()) if (!stale) break;

console.log('the service stops: draining first, then gone');
await theirs.stop();
await ours.stop();
for (const server of servers) server.close();
