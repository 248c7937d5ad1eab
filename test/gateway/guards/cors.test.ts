import { describe, expect, it } from 'vitest';
import { InvalidOptionsError } from '../../../src/core/errors.ts';
import { type CorsOptions, cors } from '../../../src/gateway/guards/cors.ts';
import { RequestRouter } from '../../../src/gateway/request-router.ts';

function routed(
  options: CorsOptions,
): (method: string, headers: Record<string, string>) => Promise<Response> {
  const router = new RequestRouter().use(cors(options)).route('POST /orders', {
    guards: [() => new Response('no token', { status: 401 })],
    handle: () => new Response('never'),
  });
  return (method, headers) => router.fetch(new Request('http://a/orders', { method, headers }));
}

const preflight = (origin: string): Record<string, string> => ({
  origin,
  'access-control-request-method': 'POST',
});

describe('cors', () => {
  it('of a route takes the place of the router’s, and says each thing once', async () => {
    const origins = ['https://shop.example'];
    const router = new RequestRouter()
      .use(cors({ origins, credentials: true, exposed: ['x-total'] }))
      .route('/same', { guards: [cors({ origins })], handle: () => new Response() })
      .route('/none', {
        guards: [cors({ origins: ['https://other.example'] })],
        handle: () => new Response(),
      });
    const ask = async (path: string): Promise<(string | null)[]> => {
      const headers = { origin: 'https://shop.example' };
      const answer = await router.fetch(new Request(`http://a${path}`, { headers }));
      return ['origin', 'credentials'].map((what) => answer.headers.get(`access-control-allow-${what}`));
    };
    expect(await ask('/same')).toEqual(['https://shop.example', null]);
    expect(await ask('/none')).toEqual([null, null]);
  });

  it('answers preflights before any other guard, though the route knows only POST', async () => {
    const ask = routed({ origins: ['https://shop.example'], credentials: true, maxAge: '1m' });
    const allowed = await ask('OPTIONS', preflight('https://shop.example'));
    expect(allowed.status).toBe(204);
    expect(Object.fromEntries(allowed.headers)).toMatchObject({
      'access-control-allow-origin': 'https://shop.example',
      'access-control-allow-credentials': 'true',
      'access-control-allow-methods': 'GET, HEAD, POST, PUT, PATCH, DELETE',
      'access-control-max-age': '60',
      vary: 'Origin',
    });
    const refused = await ask('OPTIONS', preflight('https://shop.example.evil'));
    expect([refused.status, refused.headers.get('vary')]).toEqual([204, 'Origin']);
    expect([...refused.headers.keys()].join()).not.toContain('access-control');
  });

  it('lets the page read answers, refusals included', async () => {
    const ask = routed({ origins: (origin) => origin.endsWith('.example'), exposed: ['x-total'] });
    const response = await ask('POST', { origin: 'https://a.example' });
    expect([response.status, response.headers.get('access-control-allow-origin')]).toEqual([
      401,
      'https://a.example',
    ]);
    expect(response.headers.get('access-control-expose-headers')).toBe('x-total');
    expect((await ask('POST', { origin: 'null' })).headers.get('access-control-allow-origin')).toBeNull();
    expect((await ask('POST', {})).headers.get('vary')).toBe('Origin');
  });

  it('an OPTIONS that is no preflight is an ordinary request', async () => {
    expect((await routed({ origins: '*' })('OPTIONS', {})).status).toBe(405);
    const without = await routed({ origins: '*' })('OPTIONS', { 'access-control-request-method': 'POST' });
    expect(without.status).toBe(405);
  });

  it.each([
    [{ origins: '*', credentials: true }, 'credentials'],
    [{ origins: ['https://a/'] }, 'origins'],
    [{ origins: ['a.example'] }, 'origins'],
    [{}, 'origins'],
  ])('rule 25: refuses the options %o', (options, field) => {
    expect(() => cors(options as never)).toThrow(InvalidOptionsError);
    expect(() => cors(options as never)).toThrow(field);
  });
});
