/**
 * A sidecar beside an app that knows nothing of holdfast (sidecar-app.js): it starts the app, puts it into a registry,
 * finds the service that it calls, starts it again after `kill -9`, and drains it at the end.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ServiceRegistry, Sidecar } from 'holdfast';
import { fileRegistry } from 'holdfast/adapters/file';

const directory = mkdtempSync(join(tmpdir(), 'holdfast-example-'));

// Another service, in this process: what the app will call as `prices`.
const prices = createServer((_request, response) => response.end('4.20'));
await new Promise<void>((resolve) => prices.listen(0, '127.0.0.1', resolve));
const registry = await new ServiceRegistry({ backend: fileRegistry({ directory }), drainDelay: 0 }).start();
await registry.register({ service: 'prices', port: (prices.address() as AddressInfo).port });

const sidecar = new Sidecar({
  app: {
    name: 'shop',
    port: await freePort(),
    command: [process.execPath, fileURLToPath(new URL('../../examples/sidecar-app.js', import.meta.url))],
    health: '/healthz',
  },
  registry: fileRegistry({ directory }),
  drainDelay: '100ms',
});
sidecar.on('appStarted', ({ pid }) => console.log(`  app runs as process ${pid}`));
sidecar.on('appExited', ({ signal, code, restartIn }) => {
  const next = restartIn === undefined ? 'stays down' : `starts again in ${Math.round(restartIn)} ms`;
  console.log(`  app ended (${signal ?? `code ${code}`}), ${next}`);
});
sidecar.on('appReady', () => console.log('  app is healthy'));
sidecar.on('draining', () => console.log('  draining'));

console.log('The sidecar starts, then the app:');
await sidecar.start();
const { inbound, admin } = sidecar.addresses;

console.log('\nA request through the inbound listener; the app calls `prices` through the outbound one:');
console.log(`  ${await text(inbound.url)}`);

console.log('The app is killed:');
const readyAgain = new Promise((resolve) => sidecar.on('appReady', resolve));
process.kill(sidecar.status.pid!, 'SIGKILL');
await readyAgain;
while (!sidecar.status.registered) await new Promise((resolve) => setTimeout(resolve, 10));
console.log(`  /readyz ${(await fetch(`${admin.url}/readyz`)).status}, ${await text(inbound.url)}`);

console.log('What Prometheus would see:');
for (const line of (await text(`${admin.url}/metrics`)).split('\n')) {
  if (/^holdfast_(http_requests_total|sidecar)/.test(line)) console.log(`  ${line}`);
}

console.log('\nThe sidecar stops, after the app:');
await sidecar.stop();
console.log(`  in the registry: ${JSON.stringify(await registry.services())}`);

await registry.stop();
prices.close();
rmSync(directory, { recursive: true });

async function text(url: string): Promise<string> {
  return (await fetch(url)).text();
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createTcpServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
