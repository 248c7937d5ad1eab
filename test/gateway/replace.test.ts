import { describe, expect, it } from 'vitest';
import { memoryConfig } from '../../src/adapters/memory/config.ts';
import { ConfigClient } from '../../src/config/config-client.ts';
import { InvalidOptionsError } from '../../src/core/errors.ts';
import { z } from '../../src/core/options.ts';
import { RequestRouter } from '../../src/gateway/request-router.ts';
import type { RouteDefinition } from '../../src/gateway/route-set.ts';
import type { RoutesReplaced } from '../../src/gateway/router-events.ts';
import { CircuitBreaker } from '../../src/resilience/circuit-breaker.ts';
import { closeAfterEach, listening, onCleanup, until, upstream } from './support.ts';

closeAfterEach();

const answering =
  (text: string): RouteDefinition['handle'] =>
  () =>
    new Response(text);

async function text(router: RequestRouter, path: string): Promise<string> {
  const response = await router.fetch(new Request(`http://a${path}`));
  return response.ok ? response.text() : String(response.status);
}

describe('replace', () => {
  it('puts a whole table in the place of another', async () => {
    const told: RoutesReplaced[] = [];
    const router = new RequestRouter()
      .route('/a', { handle: answering('a') })
      .route('/b', { handle: answering('b') });
    router.on('replaced', (event) => told.push(event));
    router.replace([
      { pattern: '/b', handle: answering('new b') },
      { pattern: '/c', handle: answering('c') },
    ]);
    expect([await text(router, '/a'), await text(router, '/b'), await text(router, '/c')]).toEqual([
      '404',
      'new b',
      'c',
    ]);
    expect(told).toEqual([{ added: ['/b', '/c'], removed: ['/a', '/b'], kept: 0 }]);
    router.route('/d', { handle: answering('d') });
    expect(await text(router, '/d')).toBe('d');
  });

  it.each<[unknown, string]>([
    [[{ pattern: '/x', url: 'http://a' }, { pattern: '/y' }], 'routes.1.options'],
    [
      [
        { pattern: '/x', url: 'http://a' },
        { pattern: '/x', url: 'http://b' },
      ],
      'routes.1.pattern',
    ],
    [[{ pattern: '/x', url: 'http://a', timeouts: { connect: 'soon' } }], 'routes.0.timeouts.connect'],
    [[{ url: 'http://a' }], 'routes.0.pattern'],
    [[{ pattern: '/x', url: 'http://a', colour: 'red' }], 'routes.0.colour'],
    [[{ pattern: '/x', url: 'http://a', guards: ['nobody'] }], 'routes.0.guards.0'],
    [[null], 'routes.0.options'],
    [{ '/x': {} }, 'routes: got an object'],
  ])('refuses %j whole, and keeps what there is', async (routes, field) => {
    const router = new RequestRouter().route('/a', { handle: answering('a') });
    expect(() => router.replace(routes as never)).toThrow(InvalidOptionsError);
    expect(() => router.replace(routes as never)).toThrow(field);
    expect([await text(router, '/a'), await text(router, '/x')]).toEqual(['a', '404']);
  });

  it('keeps a route that is declared as before, with what it remembers', async () => {
    let asked = 0;
    const { url } = await upstream((_request, response) => {
      asked += 1;
      response.writeHead(500).end();
    });
    const breaker = new CircuitBreaker({ name: 'a', consecutiveFailures: 1, openFor: '1h' });
    const router = new RequestRouter({ policies: { a: breaker } });
    onCleanup(() => router.stop({ timeout: 0 }));
    const told: RoutesReplaced[] = [];
    router.on('replaced', (event) => told.push(event));
    const data = (extra: object[] = []): RouteDefinition[] =>
      structuredClone([
        { pattern: '/a', url, policy: 'a', when: { headers: { x: false } } },
        ...extra,
      ]) as RouteDefinition[];
    router.replace(data());
    expect([await text(router, '/a'), await text(router, '/a')]).toEqual(['500', '503']);
    router.replace(data([{ pattern: '/b', url }]));
    expect(await text(router, '/a')).toBe('503');
    expect([asked, told.map(({ kept }) => kept)]).toEqual([1, [0, 1]]);
  });

  it('takes a route for another one when any part of it differs, however deep', () => {
    const told: RoutesReplaced[] = [];
    const router = new RequestRouter({ guards: { a: () => {}, b: () => {} } });
    router.on('replaced', (event) => told.push(event));
    const route = { pattern: '/x', url: 'http://a', guards: ['a'], when: { headers: { x: ['1', '2'] } } };
    const others = [
      { ...route, guards: ['b'] },
      { ...route, guards: ['b'], when: { headers: { x: ['1', '3'] } } },
    ];
    for (const one of [route, route, ...others]) router.replace([one]);
    expect(told.map(({ kept }) => kept)).toEqual([0, 1, 0, 0]);
  });

  it('does not see later changes of what it was given', async () => {
    const router = new RequestRouter();
    const routes = [{ pattern: '/a', redirect: { to: '/one' } }];
    router.replace(routes);
    const told: RoutesReplaced[] = [];
    router.on('replaced', (event) => told.push(event));
    routes[0]!.redirect.to = '/two';
    router.replace(routes);
    expect(told).toEqual([{ added: ['/a'], removed: ['/a'], kept: 0 }]);
  });

  it('follows the configuration, by name where data has no functions', async () => {
    const { url } = await upstream((request, response) => response.end(`to ${request.url}`));
    const source = memoryConfig({ routes: [{ pattern: '/a/*', url, guards: ['closed'] }] });
    const schema = z.object({ routes: z.array(z.custom<RouteDefinition>()) });
    const config = await new ConfigClient({ schema, environment: 'test', sources: [source] }).start();
    onCleanup(() => config.stop());
    const guards = { closed: () => new Response('closed') };
    const router = new RequestRouter({ guards, handlers: { hello: () => new Response('hello') } });
    onCleanup(() => router.stop({ timeout: 0 }));

    router.replace(config.current.routes);
    config.select(
      (c) => c.routes,
      (routes) => router.replace(routes),
    );

    expect(await text(router, '/a/x')).toBe('closed');
    source.set({
      routes: [
        { pattern: '/a/*', url, stripPrefix: '/a' },
        { pattern: '/hello', handle: 'hello' },
      ],
    });
    await until(() => config.current.routes.length === 2);
    expect([await text(router, '/a/x'), await text(router, '/hello')]).toEqual(['to /x', 'hello']);
    source.set({ routes: [{ pattern: 'nonsense' }] });
    await until(() => config.current.routes.length === 1);
    expect(await text(router, '/hello')).toBe('hello');
  });

  it('loses no request while it swaps under load, and lets those under way finish', async () => {
    const waiting: (() => void)[] = [];
    const main = await upstream((request, response) => {
      if (request.url === '/slow') waiting.push(() => response.end('old'));
      else response.end(request.url);
    });
    const { url, router } = await listening({}, (it) => it.route('/*', { url: main.url }));
    const slow = fetch(`${url}/slow`).then((response) => response.text());
    await until(() => waiting.length === 1);
    const answers: string[] = [];
    let going = true;
    const client = async (): Promise<void> => {
      while (going) {
        const response = await fetch(`${url}/item`);
        answers.push(`${response.status} ${await response.text()}`);
      }
    };
    const clients = Array.from({ length: 3 }, client);
    for (let swaps = 1; swaps <= 20; swaps += 1) {
      // Odd tables answer here, even ones forward; each among others.
      const own = swaps % 2 === 1 ? { handle: answering('here') } : { url: main.url };
      const others = Array.from({ length: 10 }, (_, index) => ({
        pattern: `/other/${swaps}/${index}`,
        url: main.url,
      }));
      router.replace([{ pattern: '/*', ...own }, ...others]);
      const before = answers.length;
      // Each table has at least one request to itself: no more were under way before it than there are clients.
      await until(() => answers.length > before + clients.length, 'answers by the new table');
    }
    going = false;
    await Promise.all(clients);
    expect(new Set(answers)).toEqual(new Set(['200 here', '200 /item']));
    waiting[0]!();
    expect(await slow).toBe('old');
  });
});
