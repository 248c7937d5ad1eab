import { describe, expect, it } from 'vitest';
import { InvalidOptionsError } from '../../src/core/errors.ts';
import { parsePattern, RouteTable } from '../../src/gateway/match.ts';

function table(...patterns: string[]): (method: string, host: string, path: string) => string | undefined {
  const routes = new RouteTable<string>();
  for (const pattern of patterns) routes.add(pattern, pattern);
  return (method, host, path) => routes.find(method, host, path)?.route;
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
    expect(parsePattern(pattern)).toEqual({ methods, host, path });
  });

  it.each(['', 'a', 'get /a', 'GET', 'GET  ', 'host:80/a', '/a b', 'GET,/a', '/a#b', 'GET /a/{id}'])(
    'refuses %j',
    (pattern) => {
      expect(() => parsePattern(pattern)).toThrow(InvalidOptionsError);
    },
  );
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
    expect(routes.find('GET', '', '/users/a%20b/c/d%C3%A9')?.params).toEqual({ id: 'a b', '*': 'c/dé' });
  });

  it('knows the methods of a path', () => {
    const routes = new RouteTable<string>();
    routes.add('GET,POST /a', 'x');
    routes.add('DELETE shop.example/a', 'y');
    expect(routes.methodsOf('', '/a')).toEqual(['GET', 'HEAD', 'POST']);
    expect(routes.methodsOf('shop.example', '/a')).toEqual(['DELETE', 'GET', 'HEAD', 'POST']);
    expect(routes.methodsOf('', '/b')).toEqual([]);
  });
});
