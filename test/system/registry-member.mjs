/**
 * One process of a cluster that shares a registry of files: registers itself, and prints a line of JSON whenever the set
 * that it sees changes.
 */
import { fileRegistry } from 'holdfast/adapters/file';
import { ServiceRegistry } from 'holdfast/discovery';

const [directory, id, ttl] = process.argv.slice(2);
const registry = await new ServiceRegistry({
  backend: fileRegistry({ directory, pollInterval: 100 }),
  ttl: Number(ttl),
  drainDelay: 300,
}).start();
// Heartbeats alone do not keep a process alive; a service has a server that does.
const alive = setInterval(() => {}, 1_000);
process.once('SIGTERM', async () => {
  await registry.stop();
  clearInterval(alive);
});

await registry.register({ service: 'members', port: 1_000 + (process.pid % 60_000), id });
for await (const { instances, stale } of registry.service('members').watch()) {
  const seen = instances.map((each) => `${each.id} ${each.status}`);
  process.stdout.write(`${JSON.stringify({ seen, stale })}\n`);
}
