import { expect, it } from 'vitest';
import { memoryRegistry } from '../../src/adapters/memory/registry.ts';
import { adminRouter, type SidecarStatus } from '../../src/sidecar/admin.ts';
import { parseSidecarOptions } from '../../src/sidecar/settings.ts';
import { prometheus } from '../../src/telemetry/prometheus.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';

const status: SidecarStatus = { app: 'up', pid: 1, restarts: 0, registered: true, draining: false };

it('rule 26: administration listens on loopback unless it is told otherwise', () => {
  const registry = memoryRegistry();
  const app = { name: 'orders', port: 3_000 };
  expect(parseSidecarOptions({ registry, app }).admin).toMatchObject({ host: '127.0.0.1' });
  expect(parseSidecarOptions({ registry, app, admin: { host: '0.0.0.0' } }).admin).toMatchObject({
    host: '0.0.0.0',
  });
});

it('rule 26: it asks for no token, so nothing can be changed by it, by no method and on no path', async () => {
  const router = adminRouter('orders', () => status, prometheus(), testRuntime());
  const ask = async (method: string, path: string): Promise<number> =>
    (await router.fetch(new Request(`http://admin${path}`, { method }))).status;
  for (const path of ['/healthz', '/healthz/outbound', '/readyz', '/metrics']) {
    expect([await ask('GET', path), await ask('HEAD', path)]).toEqual([200, 200]);
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) expect(await ask(method, path)).toBe(405);
  }
  for (const path of ['/', '/routes', '/config', '/quit', '/drain', '/healthz/x']) {
    for (const method of ['GET', 'POST', 'DELETE']) expect(await ask(method, path)).toBe(404);
  }
});
