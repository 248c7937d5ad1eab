import { describe, expect, it } from 'vitest';
import { InvalidOptionsError } from '../../src/core/errors.ts';
import { RequestRouter } from '../../src/gateway/request-router.ts';
import type { RouteOptions } from '../../src/gateway/router-options.ts';
import { closeAfterEach, onCleanup, upstream } from './support.ts';

closeAfterEach();

async function located(
  pattern: string,
  redirect: RouteOptions['redirect'],
  asked: string,
): Promise<[number, string | null]> {
  const router = new RequestRouter().route(pattern, { redirect });
  const response = await router.fetch(new Request(asked));
  return [response.status, response.headers.get('location')];
}

describe('redirect', () => {
  it.each<[string, RouteOptions['redirect'], string, number, string | null]>([
    ['/old/:id', '/new/{id}', 'http://a/old/7', 308, '/new/7'],
    ['/old/*', '/new/{*}', 'http://a/old/x/y%20z?q=1', 308, '/new/x/y%20z?q=1'],
    ['/old/*', '/new/{*}?from=old', 'http://a/old/x?q=1', 308, '/new/x?from=old&q=1'],
    [
      '/old/*',
      { to: 'https://b.example:8443/{*}', status: 301 },
      'http://a/old/x',
      301,
      'https://b.example:8443/x',
    ],
    ['/*', { to: 'https://b.example', status: 302 }, 'http://a/x', 302, 'https://b.example/'],
    ['/*', { scheme: 'https' }, 'http://a:8080/x?y', 308, 'https://a/x?y'],
    ['/*', { scheme: 'https', port: 8443 }, 'http://a:8080/x', 308, 'https://a:8443/x'],
    ['/*', { port: 8081 }, 'http://a:8080/x', 308, 'http://a:8081/x'],
    ['/*', { to: '/y', scheme: 'https', status: 307 }, 'http://a/x', 307, 'https://a/y'],
    // Values only ever become text of one segment: none can name a host or break out of a line.
    ['/old/:to', '/{to}', 'http://a/old/evil.example', 308, '/evil.example'],
    ['/old/*', '/{*}', 'http://a/old/%0d%0aSet-Cookie:a', 400, null],
    ['/old/:to', '/{to}', 'http://a/old/%E2%80%8B', 308, '/%E2%80%8B'],
    ['/old/*', '/{*}/x', 'http://a/old', 400, null],
  ])('%s by %j: %s', async (pattern, redirect, asked, status, location) => {
    expect(await located(pattern, redirect, asked)).toEqual([status, location]);
  });

  it.each<RouteOptions['redirect']>([
    ...['', '//evil.example', 'evil.example/', 'ftp://a/', 'https://user@a/', '/a#b', 'https://{host}/'],
    ...[
      {},
      { status: 308 as const },
      { to: 'https://a/', scheme: 'https' as const },
      { status: 200 as never, to: '/' },
    ],
  ])('refuses %j', (redirect) => {
    expect(() => new RequestRouter().route('/', { redirect })).toThrow(InvalidOptionsError);
  });

  it('leaves the path as it was when only prefixes change', async () => {
    const { url } = await upstream((request, response) => response.end(request.url));
    const router = new RequestRouter()
      .route('/api/*', { url, stripPrefix: '/api' })
      .route('/old/*', { url, stripPrefix: '/old', addPrefix: '/v2/' })
      .route('/plain/*', { url, addPrefix: '/base' });
    onCleanup(() => router.stop({ timeout: 0 }));
    const ask = async (path: string): Promise<string> =>
      (await router.fetch(new Request(`http://a${path}`))).text();
    expect(await ask('/api/x?y')).toBe('/x?y');
    expect(await ask('/api')).toBe('/');
    expect(await ask('/old/x/?y')).toBe('/v2/x/?y');
    expect(await ask('/old')).toBe('/v2');
    expect(await ask('/plain/x')).toBe('/base/plain/x');
    expect(await ask('/old/%2e%2e/api/secret')).toBe('/secret');
  });
});
