/** A gateway in front of three services: tokens, retries where safe, one answer out of two, new routes, limits, a drain. */
import { createHmac } from 'node:crypto';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { jwt, RequestRouter, rateLimit, retry, ServiceRegistry } from 'holdfast';
import { memoryRegistry } from 'holdfast/adapters/memory';

const say = (text: string): void => console.log(text);

const registry = await new ServiceRegistry({ backend: memoryRegistry() }).start();
const servers: { close(): void; closeAllConnections(): void }[] = [];
const urls = new Map<string, string>();

/** Start an instance of a service on a free port and register it. */
async function start(service: string, id: string, listener: RequestListener): Promise<void> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  servers.push(server);
  const { port } = server.address() as AddressInfo;
  urls.set(id, `http://127.0.0.1:${port}`);
  await registry.register({ service, id, host: '127.0.0.1', port });
}

let broken = true;
await start('orders', 'orders-1', (request, response) => {
  if (broken) return void response.writeHead(503).end();
  response.end(JSON.stringify({ from: 'orders-1', asked: request.url }));
});
await start('orders', 'orders-2', (request, response) => {
  response.end(JSON.stringify({ from: 'orders-2', asked: request.url, user: request.headers['x-user-id'] }));
});
await start('users', 'users-1', (request, response) => {
  response.end(JSON.stringify({ name: 'Ann', asked: request.url }));
});
await start('slow', 'slow-1', (_request, response) => {
  setTimeout(() => response.end('"finished at leisure"'), 300);
});

const secret = 'a secret of at least thirty-two bytes';
const signedIn = jwt({ issuer: 'example', audience: 'shop', secret, forward: { 'x-user-id': 'sub' } });

const router = new RequestRouter({ registry, identityHeaders: ['x-user-id'] })
  .use(rateLimit({ limit: 40, per: '1m' }))
  .route('GET /orders/*', {
    service: 'orders',
    guards: [signedIn],
    policy: retry({ attempts: 3, backoff: { base: 5 } }),
  })
  .route('GET /me', {
    guards: [signedIn],
    compose: {
      profile: 'users:/users/{sub}',
      orders: 'orders:/orders?user={sub}',
      advice: { service: 'advisor', path: '/for/{sub}', optional: true },
    },
  });

let failures = 0;
router.on('upstreamFailed', ({ instance, status, attempt }) => {
  failures += 1;
  say(`      attempt ${attempt}: ${instance} answered ${status}, so another instance is tried`);
});

const { url } = await router.listen({ port: 0, host: '127.0.0.1' });

/** A token as an identity provider would sign it. */
function tokenFor(subject: string): string {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const exp = Math.floor(Date.now() / 1_000) + 60;
  const claims = { iss: 'example', aud: 'shop', sub: subject, exp };
  const text = `${encode({ alg: 'HS256' })}.${encode(claims)}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}

async function get(path: string, headers: Record<string, string> = {}): Promise<Response> {
  const response = await fetch(url + path, { headers });
  const partial = response.headers.get('holdfast-partial');
  say(`   ${response.status} ${await response.text()}${partial ? `   (left out: ${partial})` : ''}`);
  return response;
}

say('1. Without a token');
await get('/orders/7');

const authorization = `Bearer ${tokenFor('ann')}`;
say('2. With one, while orders-1 fails; the user id that the client made up is replaced');
while (failures === 0) await get('/orders/7', { authorization, 'x-user-id': 'eve' });
broken = false;

say('3. Two services in one answer; the third is not running, and not needed');
await get('/me', { authorization });

say('4. Paths that servers read in different ways are refused, and unknown ones');
await get('/orders/..%2fadmin');
await get('/nowhere');

say('5. New routes while it runs: half of the users try orders-2, and explain says where a request would go');
router.replace([
  {
    pattern: 'GET /orders/*',
    split: [
      { service: 'orders', weight: 1 },
      { url: urls.get('orders-2')!, weight: 1 },
    ],
    sticky: { header: 'x-user' },
    guards: [signedIn],
  },
  { pattern: '/old/*', redirect: '/orders/{*}' },
]);
const explained = await router.explain({ url: `${url}/old/7` });
say(`   ${explained.route} leads to ${explained.destination?.url}: ${explained.why.join(', ')}`);
await get('/orders/8', { authorization, 'x-user': 'ann' });

say('6. Too many requests');
let refused: Response | undefined;
while (refused === undefined) {
  const response = await fetch(`${url}/orders/9`, { headers: { authorization } });
  await response.arrayBuffer();
  if (response.status === 429) refused = response;
}
say(
  `   429, come back in ${refused.headers.get('retry-after')} s · RateLimit ${refused.headers.get('ratelimit')}`,
);

say('7. A stop waits for what is under way');
const calm = new RequestRouter({ registry }).route('GET /slow', { service: 'slow' });
const slow = calm.fetch(new Request('http://gateway/slow')).then((response) => response.text());
await new Promise((resolve) => setTimeout(resolve, 50));
await Promise.all([calm.stop(), slow.then((text) => say(`   ${text}`))]);

await router.stop();
await registry.stop();
for (const server of servers) {
  server.close();
  server.closeAllConnections();
}
say('Stopped.');
