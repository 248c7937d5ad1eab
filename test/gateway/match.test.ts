import { describe, expect, it } from 'vitest';
import { InvalidOptionsError } from '../../src/core/errors.ts';
import { RequestHeaders } from '../../src/gateway/http/headers.ts';
import type { Question } from '../../src/gateway/routes/candidate.ts';
import { compileConditions } from '../../src/gateway/routes/conditions.ts';
import { matchOf } from '../../src/gateway/routes/find-route.ts';
import { RouteTable } from '../../src/gateway/routes/match.ts';
import { parsePattern } from '../../src/gateway/routes/pattern.ts';

function asked(method: string, host: string, path: string, headers: string[] = [], query = ''): Question {
  const searchParams = new URLSearchParams(query);
  return { method, host, path, headers: new RequestHeaders(headers), searchParams, scheme: 'http' };
}

function table(...patterns: string[]): (method: string, host: string, path: string) => string | undefined {
  const routes = new RouteTable<string>();
  for (const pattern of patterns) routes.add(pattern, pattern);
  return (method, host, path) => routes.find(asked(method, host, path))?.route;
}

describe('parsePattern', () => {
  it.each([
    ['/a', [], '', '/a'],
    ['GET /a', ['GET'], '', '/a'],
    ['GET,POST Api.Example.com/a/:id', ['GET', 'POST'], 'api.example.com', '/a/:id'],
    ['*.example.com/*', [], '*.example.com', '/*'],
    ['*/a', [], '', '/a'],
    ['[::1]/a', [], '[::1]', '/a'],
  ])('%s', (pattern, methods, host, path) => {
    expect(parsePattern(pattern)).toMatchObject({ methods, host, path });
  });

  it.each([
    ...['', 'a', 'get /a', 'GET', 'GET  ', 'host:80/a', '/a b', 'GET,/a', '/a#b', 'GET /a/{id}'],
    ...[
      'NONSENSE /a',
      '/a*',
      '/*/a',
      '/a/:',
      '/:a:b',
      '/:a/:a',
      '/a//b',
      '/a/../b',
      '/a%2fb',
      '/a%',
      '/:id(a+)',
    ],
  ])('refuses %j', (pattern) => {
    expect(() => parsePattern(pattern)).toThrow(InvalidOptionsError);
  });
});

describe('RouteTable', () => {
  it('prefers the more specific path, whatever the order and the method', () => {
    for (const patterns of [
      ['GET /*', '/orders/*', '/orders/:id', 'PUT /orders/new'],
      ['PUT /orders/new', '/orders/:id', '/orders/*', 'GET /*'],
    ]) {
      const find = table(...patterns);
      expect(find('GET', '', '/orders/7')).toBe('/orders/:id');
      expect(find('PUT', '', '/orders/new')).toBe('PUT /orders/new');
      expect(find('GET', '', '/orders/new')).toBe('/orders/:id');
      expect(find('GET', '', '/orders/a/b')).toBe('/orders/*');
      expect(find('GET', '', '/else')).toBe('GET /*');
      expect(find('POST', '', '/else')).toBeUndefined();
    }
  });

  it('prefers, of equals, the route that names the method', () => {
    const find = table('/a', 'POST /a');
    expect([find('POST', '', '/a'), find('GET', '', '/a')]).toEqual(['POST /a', '/a']);
  });

  it('serves the bare prefix of a wildcard, unless it is declared', () => {
    expect(table('/orders/*')('GET', '', '/orders')).toBe('/orders/*');
    expect(table('/orders/*')('GET', '', '/orders/')).toBe('/orders/*');
    expect(table('/orders/*')('GET', '', '/ordersx')).toBeUndefined();
    expect(table('/orders/*', '/orders')('GET', '', '/orders')).toBe('/orders');
    expect(table('/orders', '/orders/*')('GET', '', '/orders')).toBe('/orders');
  });

  it('serves HEAD by GET, and TRACE only by name', () => {
    expect(table('GET /a')('HEAD', '', '/a')).toBe('GET /a');
    expect(table('GET /a', 'HEAD /a')('HEAD', '', '/a')).toBe('HEAD /a');
    expect(table('/a')('TRACE', '', '/a')).toBeUndefined();
    expect(table('TRACE /a')('TRACE', '', '/a')).toBe('TRACE /a');
  });

  it('matches hosts exactly, then below a domain, then all (rule 18)', () => {
    const find = table('api.example.com/*', '*.example.com/*', '/*');
    expect(find('GET', 'api.example.com', '/')).toBe('api.example.com/*');
    expect(find('GET', 'b.c.example.com', '/')).toBe('*.example.com/*');
    expect(find('GET', 'example.com', '/')).toBe('/*');
    expect(find('GET', 'api.example.com.evil.org', '/')).toBe('/*');
    expect(find('GET', 'notexample.com', '/')).toBe('/*');
    expect(find('GET', '__proto__', '/')).toBe('/*');
  });

  it('gives decoded params', () => {
    const routes = new RouteTable<string>();
    routes.add('/users/:id/*', 'x');
    expect(matchOf(routes, asked('GET', '', '/users/a%20b/c/d%C3%A9'))?.params).toEqual({
      id: 'a b',
      '*': 'c/dé',
    });
  });

  it('knows the methods of a path', () => {
    const routes = new RouteTable<string>();
    routes.add('GET,POST /a', 'x');
    routes.add('DELETE shop.example/a', 'y');
    expect(routes.methodsOf(asked('GET', '', '/a'))).toEqual(['GET', 'HEAD', 'POST']);
    expect(routes.methodsOf(asked('GET', 'shop.example', '/a'))).toEqual(['DELETE', 'GET', 'HEAD', 'POST']);
    expect(routes.methodsOf(asked('GET', '', '/b'))).toEqual([]);
  });

  it('compares what a path means, however it is escaped', () => {
    const find = table('/a@b/caf\u00e9', '/tel::7', '/v:major.:minor', '/:file.json', '/:any');
    expect(find('GET', '', '/a@b/caf%C3%A9')).toBe('/a@b/caf\u00e9');
    expect(find('GET', '', '/a%40b/caf%C3%A9')).toBe('/a@b/caf\u00e9');
    expect(find('GET', '', '/tel:7')).toBe('/tel::7');
    expect(find('GET', '', '/v1.2')).toBe('/v:major.:minor');
    expect(find('GET', '', '/x.json')).toBe('/:file.json');
    expect(find('GET', '', '/.json')).toBe('/:any');
    expect(find('GET', '', '/')).toBeUndefined();
  });

  it('goes on to a less specific route while method or conditions do not fit', () => {
    const routes = new RouteTable<string>();
    routes.add('POST /a/b', 'named');
    routes.add('/a/:id', 'beta', { conditions: compileConditions({ headers: { 'x-beta': true } }) });
    routes.add('/a/*', 'rest');
    const find = (method: string, headers: string[] = []): string | undefined =>
      routes.find(asked(method, '', '/a/b', headers))?.route;
    expect([find('POST'), find('GET'), find('GET', ['X-Beta', '1'])]).toEqual(['named', 'rest', 'beta']);
  });

  it('puts priority before all else, and refuses only what can never be chosen', () => {
    const routes = new RouteTable<string>();
    const beta = compileConditions({ query: { beta: '1' } });
    routes.add('shop.example/a', 'exact');
    routes.add('/*', 'first', { priority: 1 });
    routes.add('/*', 'last', { priority: -1 });
    routes.add('/*', 'beta', { priority: 1, conditions: beta });
    const find = (path: string, query = ''): string | undefined =>
      routes.find(asked('GET', 'shop.example', path, [], query))?.route;
    expect([find('/a'), find('/a', 'beta=1'), find('/b')]).toEqual(['first', 'beta', 'first']);
    expect(() => routes.add('GET,PUT /*', 'x', { priority: 1 })).not.toThrow();
    expect(() => routes.add('PUT /*', 'x', { priority: 1 })).toThrow('declared already');
    expect(() => routes.add('/*', 'x', { priority: 1, conditions: beta })).toThrow('declared already');
    expect(() => new RouteTable().add('/:a', 'x')).not.toThrow();
    routes.add('/:a', 'x');
    expect(() => routes.add('/:b', 'y')).toThrow('declared already');
  });
});
