import type { IncomingMessage, ServerResponse } from 'node:http';
import { describe, expect, it } from 'vitest';
import { InvalidOptionsError } from '../../src/core/errors.ts';
import type { Guard } from '../../src/gateway/exchange/exchange.ts';
import { RequestRouter } from '../../src/gateway/request-router.ts';
import type { RouteOptions } from '../../src/gateway/router-options.ts';
import { retry } from '../../src/resilience/retry.ts';
import { closeAfterEach, json, listening, raw, registryOf, until, upstream } from './support.ts';

closeAfterEach();

const signedIn =
  (subject: string): Guard =>
  (exchange) => {
    exchange.principal = { subject, claims: { sub: subject } };
  };

const mirror = (request: IncomingMessage, response: ServerResponse): void => {
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ url: request.url, headers: request.headers }));
};

type Compose = NonNullable<RouteOptions['compose']>;

async function composed(
  services: Record<string, (request: IncomingMessage, response: ServerResponse) => void>,
  compose: Compose,
  options: Partial<RouteOptions> = {},
): Promise<{
  readonly url: string;
  readonly port: number;
  readonly registry: ReturnType<typeof registryOf>;
}> {
  const urls: Record<string, string[]> = {};
  for (const [name, listener] of Object.entries(services)) urls[name] = [(await upstream(listener)).url];
  const registry = registryOf(urls);
  const { url, port } = await listening({ registry, limits: { part: 1_000 } }, (router) =>
    router.route('/me/:id', { compose, ...options }),
  );
  return { url: `${url}/me/7`, port, registry };
}

describe('compose', () => {
  it('asks several services at once and answers with one object', async () => {
    let waiting = 0;
    let release = (): void => {};
    const both = new Promise<void>((resolve) => {
      release = resolve;
    });
    const meet = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      waiting += 1;
      if (waiting === 2) release();
      await both;
      mirror(request, response);
    };
    const { url, registry } = await composed(
      { users: meet, orders: meet },
      { profile: 'users:/users/{sub}', orders: 'orders:/orders?user={sub}&of={id}' },
      { guards: [signedIn('ann|b&c')] },
    );
    const response = await fetch(url, { headers: { authorization: 'Bearer x', 'accept-encoding': 'gzip' } });
    expect(response.headers.get('content-type')).toContain('application/json');
    const { profile, orders } = await json(response);
    expect([profile?.url, orders?.url]).toEqual(['/users/ann%7Cb%26c', '/orders?user=ann%7Cb%26c&of=7']);
    expect(profile?.headers).toMatchObject({ authorization: 'Bearer x', accept: 'application/json' });
    expect(profile?.headers['accept-encoding']).toBeUndefined();
    expect(response.headers.get('holdfast-partial')).toBeNull();
    await until(() => registry.open === 0);
    expect(registry.outcomes.map(({ outcome }) => outcome)).toEqual(['success', 'success']);
  });

  it.each([
    [
      'a status',
      (_: IncomingMessage, response: ServerResponse) => void response.writeHead(404).end('{}'),
      502,
    ],
    ['no JSON', (_: IncomingMessage, response: ServerResponse) => void response.end('<html>'), 502],
    [
      'a prototype',
      (_: IncomingMessage, response: ServerResponse) => void response.end('{"__proto__":{}}'),
      502,
    ],
    [
      'too much',
      (_: IncomingMessage, response: ServerResponse) => void response.end(`"${'x'.repeat(2_000)}"`),
      502,
    ],
    ['nothing in time', () => {}, 504],
  ])(
    'a required part that gives %s fails the whole; an optional one is left out and named',
    async (_name, bad, status) => {
      const part = { service: 'bad', path: '/', timeout: status === 504 ? 60 : '10s' } as const;
      const services = { users: mirror, bad };
      const required = await composed(services, { profile: 'users:/u', extra: part });
      const failed = await fetch(required.url);
      expect(failed.status).toBe(status);
      expect((await json(failed)).detail).toContain('(extra)');
      const optional = await composed(services, {
        profile: 'users:/u',
        extra: { ...part, optional: true },
        more: { ...part, fallback: [] },
      });
      const response = await fetch(optional.url);
      expect(response.status).toBe(200);
      expect(response.headers.get('holdfast-partial')).toBe('extra, more');
      const body = await json(response);
      expect(Object.keys(body)).toEqual(['profile', 'more']);
      expect(body.more).toEqual([]);
      await until(() => optional.registry.open === 0 && required.registry.open === 0, 'the picks to end');
    },
  );

  it('a required service without instances is 503', async () => {
    const { url } = await composed({}, { profile: 'users:/u' });
    expect((await fetch(url)).status).toBe(503);
  });

  it('a part whose value is missing is refused, not asked for', async () => {
    let calls = 0;
    const count = (): void => {
      calls += 1;
    };
    const { url } = await composed({ users: count }, { profile: 'users:/users/{sub}' });
    expect((await fetch(url)).status).toBe(400);
    expect(calls).toBe(0);
  });

  it.each(['a/../../admin', '..', 'a\\b', ''])(
    'a claim %j never becomes more than one segment',
    async (subject) => {
      const urls: (string | undefined)[] = [];
      const note = (request: IncomingMessage, response: ServerResponse): void => {
        urls.push(request.url);
        mirror(request, response);
      };
      const { url } = await composed(
        { users: note },
        { p: 'users:/users/{sub}' },
        { guards: [signedIn(subject)] },
      );
      expect((await fetch(url)).status).toBe(400);
      expect(urls).toEqual([]);
    },
  );

  it('runs each part under the policy of the route', async () => {
    let calls = 0;
    const flaky = (_: IncomingMessage, response: ServerResponse): void => {
      calls += 1;
      response.writeHead(calls === 1 ? 503 : 200).end('1');
    };
    const { url } = await composed(
      { users: flaky },
      { n: 'users:/' },
      { policy: retry({ attempts: 2, backoff: 0 }) },
    );
    expect(await (await fetch(url)).json()).toEqual({ n: 1 });
  });

  it('a failed part, and a client that goes away, abort the others', async () => {
    let aborted = 0;
    let arrived = 0;
    const hang = (_: IncomingMessage, response: ServerResponse): void => {
      arrived += 1;
      response.on('close', () => {
        aborted += 1;
      });
    };
    const bad = (_: IncomingMessage, response: ServerResponse): void => void response.writeHead(500).end();
    const failing = await composed({ slow: hang, bad }, { a: 'slow:/', b: 'bad:/' });
    expect((await fetch(failing.url)).status).toBe(502);
    await until(() => aborted === arrived, 'the other part to be aborted');
    const before = { arrived, aborted };
    const hanging = await composed({ slow: hang }, { a: 'slow:/', b: 'slow:/' });
    const client = raw(hanging.port, 'GET /me/7 HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => arrived === before.arrived + 2);
    client.socket.destroy();
    await until(() => aborted === before.aborted + 2);
    expect(hanging.registry.outcomes.map(({ outcome }) => outcome)).toEqual(['cancelled', 'cancelled']);
  });

  it.each([
    [{}, 'compose'],
    [{ a: 'users' }, 'compose.a'],
    [{ a: 'http://evil/x' }, 'compose.a'],
    [{ a: { service: 'users', path: 'x' } }, 'compose'],
    [{ a: { service: 'users', path: '//evil/x' } }, 'compose.a'],
    [{ 'a b': 'users:/' }, 'compose'],
    [JSON.parse('{"__proto__":"users:/"}'), 'compose'],
  ])('refuses %o', (compose, field) => {
    const router = new RequestRouter({ registry: registryOf({}) });
    expect(() => router.route('/', { compose })).toThrow(InvalidOptionsError);
    expect(() => router.route('/', { compose })).toThrow(field);
  });
});
