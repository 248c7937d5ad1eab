/** Everything on that a service would have on. `LOG=1` adds an access log, `ROUTES` further routes. */
import { CircuitBreaker, RequestRouter, ServiceRegistry } from 'holdfast';
import { memoryRegistry } from 'holdfast/adapters/memory';
import { accessLog, combineTelemetry, prometheus } from 'holdfast/telemetry';

const { hostname, port } = new URL(process.env.UPSTREAM);
const registry = await new ServiceRegistry({ backend: memoryRegistry() }).start();
for (const id of ['one', 'two']) {
  await registry.register({ id, service: 'upstream', host: hostname, port: Number(port) });
}
const metrics = prometheus();
// As it is by default, to the standard output; that goes nowhere here.
const telemetry =
  process.env.LOG === '1' ? combineTelemetry(metrics.telemetry, accessLog()) : metrics.telemetry;

const router = new RequestRouter({ registry, runtime: { telemetry }, limits: { connections: 128 } });
for (let index = 0; index < Number(process.env.ROUTES ?? 0); index += 1) {
  router.route(`/tenants/${index}/orders/:id`, { service: 'upstream' });
}
router.route('/*', {
  service: 'upstream',
  policy: new CircuitBreaker({ name: 'upstream' }),
  timeouts: { connect: '1s', firstByte: '5s', idle: '30s' },
});
await router.listen({ port: Number(process.env.PORT), host: '127.0.0.1' });
process.send('listening');
