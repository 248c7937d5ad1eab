/** The shop's front door: routing by name, tokens, a rate limit that follows the configuration, retries where safe. */
import { type Guard, jwt, RequestRouter, rateLimit, retry } from 'holdfast';
import { openRegistry, tell } from './service.ts';
import { loadSettings } from './settings.ts';

const settings = await loadSettings();
const registry = await openRegistry();

const limiter = (perSecond: number): Guard => rateLimit({ limit: perSecond, per: '1s' });
let limit = limiter(settings.current.gateway.requestsPerSecond);
settings.select(
  (current) => current.gateway.requestsPerSecond,
  (now) => {
    limit = limiter(now);
    tell('config', { requestsPerSecond: now });
  },
);
settings.on('rejected', ({ issues }) => tell('config-rejected', { issues }));

const signedIn = jwt({
  secret: settings.current.gateway.jwtSecret.reveal(),
  issuer: 'shop',
  audience: 'shop',
  algorithms: ['HS256'],
});

const router = new RequestRouter({ registry })
  .use((exchange) => limit(exchange))
  .route('POST /orders', { service: 'orders', guards: [signedIn] })
  .route('GET /orders/:id', { service: 'orders' })
  .route('GET /stock/:sku', { service: 'inventory', policy: retry({ attempts: 3, backoff: { base: 10 } }) })
  .route('GET /warehouse/*', { service: 'warehouse' })
  .route('GET /overview/:id', {
    compose: { order: 'orders:/orders/{id}', stock: 'inventory:/stock/kelp' },
  });

const { port } = await router.listen({ port: Number(process.env.RUN_PORT ?? 0), host: '127.0.0.1' });
tell('ready', { service: 'gateway', port });

process.once('SIGTERM', async () => {
  await router.stop({ timeout: '5s' });
  await registry.stop();
  await settings.stop();
  process.exit(0);
});
