import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ProblemError } from '../../src/core/errors.ts';
import { canonicalPath, fillTemplate, type PathRules, withoutPrefix } from '../../src/gateway/http/path.ts';

const lax: PathRules = { doubleSlash: 'merge', semicolon: 'keep' };

describe('canonicalPath', () => {
  it.each([
    ['/', '/'],
    ['/a/b', '/a/b'],
    ['/a/', '/a/'],
    ['/%61%2D%7e', '/a-~'],
    ['/a%20b%c3%a9', '/a%20b%C3%A9'],
    ['/a/./b/../c', '/a/c'],
    ['/a/%2e%2E/b', '/b'],
    ['/a/..', '/'],
    ['/a/b/.', '/a/b/'],
    ['/...', '/...'],
    ['/..a/.b', '/..a/.b'],
    ['/100%25', '/100%25'],
    ['/a%3Fb%23c', '/a%3Fb%23c'],
  ])('%s → %s', (raw, canonical) => {
    expect(canonicalPath(raw)).toBe(canonical);
  });

  it.each([
    '',
    'a',
    '*',
    '/%',
    '/%4',
    '/%zz',
    '/%00',
    '/%0d%0a',
    '/%7f',
    '/a%2fb',
    '/a%2Fb',
    '/a%5cb',
    '/a\\b',
    '/a\\..\\b',
    '/a#b',
    '/a b',
    '/é',
    '/..',
    '/a/../..',
    '/%2e%2e/a',
    '/a/..;/b',
    '/a/%2e%2e;x/b',
    '/a/..%3b/b',
    '/%252e%252e/',
    '/a%252fb',
    '/a%25252fb',
    '/a%255cb',
    '/%2500',
    '/%E0%A4%A',
    '/%c0%ae%c0%ae/',
    '/%ff',
  ])('refuses %j, also by lax rules', (raw) => {
    expect(() => canonicalPath(raw)).toThrow(ProblemError);
    expect(() => canonicalPath(raw, lax)).toThrow(ProblemError);
  });

  it('treats // and ; as it is told', () => {
    expect(() => canonicalPath('//host/a')).toThrow('empty segment');
    expect(() => canonicalPath('/a;b=c')).toThrow('semicolon');
    expect(canonicalPath('//host///a/', lax)).toBe('/host/a/');
    expect(canonicalPath('/a;b=c', lax)).toBe('/a;b=c');
  });

  const piece = fc.constantFrom(
    ...[
      '/',
      '//',
      '.',
      '..',
      '...',
      ';',
      '%',
      '%2e',
      '%2F',
      '%5C',
      '%25',
      '2e',
      '2f',
      '5c',
      '00',
      '\\',
      'a',
      'Z',
    ],
    ...[
      '%41',
      '%7E',
      '%c3%a9',
      '%20',
      '~',
      '-',
      '*',
      ':',
      '@',
      '%3b',
      '%3B',
      '#',
      '?',
      '%00',
      '%ff',
      'é',
      ' ',
    ],
  );
  const path = fc.array(piece, { maxLength: 12 }).map((pieces) => `/${pieces.join('')}`);
  const rules = fc.record({
    doubleSlash: fc.constantFrom('reject' as const, 'merge' as const),
    semicolon: fc.constantFrom('reject' as const, 'keep' as const),
  });

  it('is idempotent and never yields what two servers could read differently', () => {
    fc.assert(
      fc.property(path, rules, (raw, chosen) => {
        let canonical: string;
        try {
          canonical = canonicalPath(raw, chosen);
        } catch (error) {
          expect(error).toBeInstanceOf(ProblemError);
          return;
        }
        expect(canonicalPath(canonical, chosen)).toBe(canonical);
        expect(canonical).toMatch(/^\/[\x21-\x7e]*$/);
        expect(canonical).not.toMatch(/\\|\/\/|[#?]/);
        // However often a server behind decodes it, and whether or not it cuts parameters off.
        let decoded = canonical;
        for (let round = 0; round < 4; round += 1) {
          const bare = decoded.replace(/;[^/]*/g, '');
          for (const segment of bare.split('/')) expect(['.', '..']).not.toContain(segment);
          expect(decoded).not.toMatch(/\\|\0/);
          expect(decoded.split('/').length).toBe(canonical.split('/').length);
          const before = decoded;
          decoded = decoded.replace(/%([0-9a-f]{2})/gi, (_, hex) =>
            String.fromCharCode(Number.parseInt(hex, 16)),
          );
          if (decoded === before) break;
        }
      }),
      { numRuns: 5_000, seed: 7 },
    );
  });
});

describe('withoutPrefix', () => {
  it.each([
    ['/api/orders', '/api', '/orders'],
    ['/api', '/api', '/'],
    ['/api/', '/api', '/'],
    ['/api/x', '/api/', '/x'],
    ['/apiary', '/api', '/apiary'],
    ['/other', '/api', '/other'],
    ['/a%40b/x', '/a@b', '/x'],
    ['/a@b/x%20y', '/a%40b', '/x%20y'],
    ['/caf%C3%A9', '/café', '/'],
    ['/a%40bc/x', '/a@b', '/a%40bc/x'],
    ['/a%40b', '/a@b/c', '/a%40b'],
    ['/100%25/x', '/100%', '/x'],
  ])('%s without %s is %s', (full, prefix, rest) => {
    expect(withoutPrefix(full, prefix)).toBe(rest);
  });
});

describe('fillTemplate', () => {
  it('keeps a value inside its segment, whatever it is', () => {
    const fill = (value: unknown): string => fillTemplate('/users/{id}?of={id}', () => value);
    expect(fill('a/../b?c#d&e')).toBe('/users/a%2F..%2Fb%3Fc%23d%26e?of=a%2F..%2Fb%3Fc%23d%26e');
    expect(fill(7)).toBe('/users/7?of=7');
    for (const bad of [undefined, null, '', '.', '..', {}, []]) expect(() => fill(bad)).toThrow(ProblemError);
    fc.assert(
      fc.property(fc.string({ unit: 'binary-ascii', minLength: 1 }), (value) => {
        if (value === '.' || value === '..') return;
        expect(fill(value)).toMatch(/^\/users\/[^/?#\\]+\?of=[^/?#&\\]+$/);
      }),
      { seed: 3 },
    );
  });

  it('keeps the slashes of the wildcard only', () => {
    expect(fillTemplate('/x/{*}', () => 'a/b c/d')).toBe('/x/a/b%20c/d');
  });
});
