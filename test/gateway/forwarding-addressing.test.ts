import type { IncomingMessage, ServerResponse } from 'node:http';
import { describe, expect, it } from 'vitest';
import { closeAfterEach, exchange, listening, registryOf, statusOf, until, upstream } from './support.ts';

closeAfterEach();

const mirror = (request: IncomingMessage, response: ServerResponse): void =>
  void response.end(JSON.stringify({ url: request.url, headers: request.headers, raw: request.rawHeaders }));

function bodyOf(answer: string): { url: string; headers: Record<string, string>; raw: string[] } {
  return JSON.parse(/\{.*\}/s.exec(answer)![0]);
}

describe('addressing', () => {
  it('rule 14: one canonical path is matched, guarded and forwarded', async () => {
    const { url } = await upstream(mirror);
    const guarded: string[] = [];
    const { port } = await listening({}, (router) =>
      router
        .use((seen) => void guarded.push(`${seen.route} ${seen.path}`))
        .route('/public/*', { url })
        .route('/admin/*', { url, guards: [() => new Response(null, { status: 403 })] }),
    );
    const get = (target: string): Promise<string> => exchange(port, [`GET ${target} HTTP/1.1`, 'Host: a']);
    expect(bodyOf(await get('/public/%61/./b/../c?q=%2e%2e/')).url).toBe('/public/a/c?q=%2e%2e/');
    for (const hidden of ['/public/../admin/x', '/public/%2e%2E/admin', '/%61dmin/x', '/./admin/']) {
      expect(statusOf(await get(hidden))).toBe(403);
    }
    for (const bad of [
      '/public/..%2fadmin',
      '/public\\..\\admin',
      '/public/%252e%252e/admin',
      '/%',
      '/%00',
      '//admin',
    ]) {
      expect(statusOf(await get(bad))).toBe(400);
    }
    expect(guarded[0]).toBe('/public/* /public/a/c');
    expect(guarded.slice(1).every((line) => line.startsWith('/admin/* /admin'))).toBe(true);
  });

  it('rule 15: what a prefix or a rewrite leaves is checked again', async () => {
    const { url } = await upstream(mirror);
    const { port } = await listening({ paths: { doubleSlash: 'merge' } }, (router) =>
      router
        .route('/api/*', { url, stripPrefix: '/api' })
        .route('/v1/users/:id', { url, rewrite: '/people/{id}?v=1' })
        .route('/deep/*', { url, rewrite: '/other/{*}' })
        .route('/free/*', { url, rewrite: (seen) => `/x/${seen.searchParams.get('to')}` }),
    );
    const get = (target: string): Promise<string> => exchange(port, [`GET ${target} HTTP/1.1`, 'Host: a']);
    const stripped = bodyOf(await get('/api/orders?a=b'));
    expect([stripped.url, stripped.headers['x-forwarded-prefix']]).toEqual(['/orders?a=b', '/api']);
    expect(bodyOf(await get('/api')).url).toBe('/');
    expect(bodyOf(await get('/api//..//orders')).url ?? '').not.toContain('//');
    expect(bodyOf(await get('/v1/users/a%20b?x=1')).url).toBe('/people/a%20b?v=1&x=1');
    expect(bodyOf(await get('/deep/a/b%3Fc')).url).toBe('/other/a/b%3Fc');
    expect(bodyOf(await get('/free/?to=ok')).url).toBe('/x/ok?to=ok');
    for (const bad of ['..%2f..%2f..', '%2e%2e/%2e%2e', 'a%5cb', 'a%20b']) {
      expect(statusOf(await get(`/free/?to=${bad}`))).toBe(400);
    }
  });

  it('rule 16: an address of the kind that serves credentials is never called', async () => {
    const registry = registryOf({
      evil: ['http://169.254.169.254:80'],
      mapped: ['http://[::ffff:a9fe:a9fe]:80'],
    });
    const { url, finished } = await listening({ registry }, (router) =>
      router.route('/evil', { service: 'evil' }).route('/mapped', { service: 'mapped' }),
    );
    expect((await fetch(`${url}/evil`)).status).toBe(502);
    expect((await fetch(`${url}/mapped`)).status).toBe(502);
    await until(() => finished.length === 2);
    expect(String(finished[0]?.error)).toContain('deniedUpstreams');
    expect(registry.outcomes.map(({ outcome }) => outcome)).toEqual(['failure', 'failure']);
  });

  it('rule 16: a name is checked by what it resolves to', async () => {
    const { port } = await upstream(mirror);
    const { url } = await listening({ deniedUpstreams: ['127.0.0.0/8', '::1'] }, (router) =>
      router.route('/*', { url: `http://localhost:${port}` }),
    );
    expect((await fetch(url)).status).toBe(502);
    const open = await listening({}, (router) => router.route('/*', { url: `http://localhost:${port}` }));
    expect((await fetch(open.url)).status).toBe(200);
  });

  it('rule 16: the path cannot set the authority, whatever the target says', async () => {
    const { url } = await upstream(mirror);
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    const answer = bodyOf(await exchange(port, ['GET http://127.0.0.1:1/x@evil:80 HTTP/1.1', 'Host: a']));
    expect(answer.url).toBe('/x@evil:80');
    expect(`http://${answer.headers.host}`).toBe(url);
  });

  const spoofed = [
    'X-Forwarded-For: 6.6.6.6',
    'X_Forwarded_For: 6.6.6.6',
    'X-Forwarded-Proto: https',
    'X-Forwarded-Host: evil',
    'X-Forwarded-Prefix: /evil',
    'X-Forwarded-Port: 1',
    'X-Real-IP: 6.6.6.6',
    'Forwarded: for=6.6.6.6',
  ];

  it('rule 17: what a stranger says of where it comes from is dropped, and set by us', async () => {
    const { url } = await upstream(mirror);
    const addresses: string[] = [];
    const { port } = await listening({}, (router) =>
      router.use((seen) => void addresses.push(seen.clientAddress)).route('/*', { url }),
    );
    const { headers } = bodyOf(await exchange(port, ['GET / HTTP/1.1', 'Host: shop', ...spoofed]));
    expect(JSON.stringify(headers)).not.toMatch(/6\.6\.6\.6|evil/);
    expect(headers).toMatchObject({
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': 'shop',
    });
    expect(addresses).toEqual(['127.0.0.1']);
  });

  it('rule 17: a trusted proxy is believed, and only as far as it is trusted', async () => {
    const { url } = await upstream(mirror);
    const seen: string[] = [];
    const { port } = await listening({ trustedProxies: ['127.0.0.1', '10.0.0.0/8'] }, (router) =>
      router.use((it) => void seen.push(it.clientAddress, it.scheme)).route('/*', { url }),
    );
    const { headers } = bodyOf(
      await exchange(port, [
        'GET / HTTP/1.1',
        'Host: shop',
        'X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.0.0.9',
        'X-Forwarded-Proto: https',
        'X-Forwarded-Host: shop.example',
        'Forwarded: for=1.2.3.4',
      ]),
    );
    expect(seen).toEqual(['1.2.3.4', 'https']);
    expect(headers).toMatchObject({
      'x-forwarded-for': '6.6.6.6, 1.2.3.4, 10.0.0.9, 127.0.0.1',
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'shop.example',
      forwarded: 'for=1.2.3.4, for=127.0.0.1;proto=https',
    });
  });

  it('rule 18: routes by host exactly and without regard to case', async () => {
    const { url } = await upstream(mirror);
    const { port } = await listening({}, (router) =>
      router.route('api.example/*', { url }).route('/*', { handle: () => new Response('other') }),
    );
    const get = (host: string): Promise<string> => exchange(port, ['GET / HTTP/1.1', `Host: ${host}`]);
    expect(await get('API.example:8080')).toContain('x-forwarded-host');
    for (const host of ['api.example.evil', 'evil-api.example', 'xapi.example', 'api_example']) {
      expect(await get(host)).toContain('other');
    }
  });

  it('a catch-all takes any host, also of an absolute target, as the name of the service', async () => {
    const { url } = await upstream(mirror);
    const { port } = await listening({ registry: registryOf({ orders: [url] }) }, (router) =>
      router.route('/*', { service: (seen) => seen.host }),
    );
    const answer = bodyOf(await exchange(port, ['GET http://orders/x?y=1 HTTP/1.1', 'Host: ignored']));
    expect([answer.url, answer.headers.host]).toEqual(['/x?y=1', 'orders']);
    expect(bodyOf(await exchange(port, ['GET /x HTTP/1.1', 'Host: Orders:80'])).url).toBe('/x');
    expect(statusOf(await exchange(port, ['GET / HTTP/1.1', 'Host: unknown']))).toBe(503);
    expect(statusOf(await exchange(port, ['GET / HTTP/1.1', 'Host: [::1]']))).toBe(400);
  });

  it('rule 25: identity headers come from guards only, in any spelling', async () => {
    const { url } = await upstream(mirror);
    const { port } = await listening({ identityHeaders: ['x-user-id'] }, (router) =>
      router
        .route('/plain', { url })
        .route('/named', { url, guards: [(it) => it.headers.set('X-User-Id', 'ann')] }),
    );
    const get = (path: string): Promise<string> =>
      exchange(port, [
        `GET ${path} HTTP/1.1`,
        'Host: a',
        'X-User-Id: eve',
        'x_user_id: eve',
        'X-USER_ID: eve',
      ]);
    expect(await get('/plain')).not.toContain('eve');
    const named = bodyOf(await get('/named'));
    expect(named.headers['x-user-id']).toBe('ann');
    expect(JSON.stringify(named)).not.toContain('eve');
  });
});
