import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { diff, equal } from '../../src/config/diff.ts';
import { frozenCopy } from '../../src/config/freeze.ts';
import { merge } from '../../src/config/merge.ts';
import { formatPath, parsePath } from '../../src/config/path.ts';
import { Secret } from '../../src/config/secret.ts';
import { InvalidPayloadError } from '../../src/core/errors.ts';
import type { JsonObject, JsonValue } from '../../src/core/json.ts';
import { copyJson } from '../../src/core/json-tree.ts';

/** Few keys, so that trees overlap; some of them nasty. */
const key = fc.constantFrom('a', 'b', 'c', 'x.y', '', '["', 'toString', 'hasOwnProperty', '0');
const leaf = fc.oneof(
  fc.constantFrom(null, true, false, 0, 1, 'one', ''),
  fc.array(fc.constantFrom(1, 'x', null)),
);
const tree = fc.letrec<{ node: JsonValue; object: JsonObject }>((tie) => ({
  node: fc.oneof({ maxDepth: 4 }, leaf, tie('object')),
  object: fc.dictionary(key, tie('node'), { maxKeys: 4, noNullPrototype: true }) as fc.Arbitrary<JsonObject>,
})).object;

const runs = { numRuns: 500 };

class Opaque {}

/** What a listener of `changed` could do to follow the configuration. */
function apply(tree: JsonValue, changes: ReturnType<typeof diff>): JsonValue {
  const root = { value: structuredClone(tree) } as Record<string, unknown>;
  for (const { keys, after } of changes) {
    const path = ['value', ...keys];
    const parent = path.slice(0, -1).reduce((at, step) => at[step] as Record<string, unknown>, root);
    if (after === undefined) delete parent[path.at(-1)!];
    else parent[path.at(-1)!] = structuredClone(after);
  }
  return root.value as JsonValue;
}

describe('merge', () => {
  it('lets later layers win, merges objects, and replaces everything else', () => {
    expect(
      merge([
        { a: { x: 1, y: 1 }, list: [1, 2], gone: 5, scalar: 1, object: { x: 1 } },
        { a: { y: 2, z: 2 }, list: [3], gone: null, scalar: { x: 1 }, object: 1 },
      ]),
    ).toEqual({ a: { x: 1, y: 2, z: 2 }, list: [3], gone: null, scalar: { x: 1 }, object: 1 });
    expect(merge([])).toEqual({});
  });

  it('may be done in steps, and an empty layer or the same one again changes nothing', () => {
    fc.assert(
      fc.property(tree, tree, tree, (a, b, c) => {
        expect(merge([merge([a, b]), c])).toEqual(merge([a, b, c]));
        expect(merge([{}, a, {}])).toEqual(a);
        expect(merge([a, a])).toEqual(a);
      }),
      runs,
    );
  });

  it('never shares structure with a layer and never changes one', () => {
    fc.assert(
      fc.property(tree, tree, (a, b) => {
        const [copyA, copyB] = [structuredClone(a), structuredClone(b)];
        const mine = new Set([...objectsIn(a), ...objectsIn(b)]);
        expect(
          objectsIn(merge([frozenCopy(a), frozenCopy(b)])).some((object) => Object.isFrozen(object)),
        ).toBe(false);
        expect(objectsIn(merge([a, b])).some((object) => mine.has(object))).toBe(false);
        expect([a, b]).toEqual([copyA, copyB]);
      }),
      runs,
    );
  });

  it.each(['__proto__', 'constructor', 'prototype'])('leaves out the key %s at any depth', (hostile) => {
    const layer = JSON.parse(
      `{"a":{"${hostile}":{"prototype":{"polluted":1},"polluted":1}},"${hostile}":{"polluted":1}}`,
    );
    const merged = merge([{ a: { b: 1 } }, layer, layer]);
    expect(merged).toEqual({ a: { b: 1 } });
    expect(Object.getPrototypeOf(merged)).toBe(Object.prototype);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    expect(() => copyJson(layer, 'layer')).toThrow(InvalidPayloadError);
  });
});

function objectsIn(value: unknown): object[] {
  if (typeof value !== 'object' || value === null) return [];
  return [value, ...Object.values(value).flatMap(objectsIn)];
}

describe('copyJson', () => {
  it.each([
    ['a date', { a: new Date(0) }],
    ['a function', { a: () => 1 }],
    ['what is not a number', { a: Number.NaN }],
    ['a hole in an array', { a: [undefined] }],
    [
      'a cycle',
      (() => {
        const cycle: Record<string, unknown> = {};
        cycle.a = cycle;
        return cycle;
      })(),
    ],
  ])('refuses %s', (_what, value) => {
    expect(() => copyJson(value, 'values')).toThrow(InvalidPayloadError);
  });

  it('leaves out what is undefined', () => {
    expect(copyJson({ a: undefined, b: 1 }, 'values')).toStrictEqual({ b: 1 });
  });
});

describe('diff', () => {
  it('applied to the one gives the other', () => {
    fc.assert(
      fc.property(tree, tree, (a, b) => {
        const changes = diff(a, b);
        expect(apply(a, changes)).toEqual(b);
        expect(changes.length === 0).toBe(equal(a, b));
        expect(diff(a, structuredClone(a))).toEqual([]);
      }),
      runs,
    );
  });

  it('names the least that differs, and an array as a whole', () => {
    expect(
      diff({ a: { x: 1, y: 1 }, l: [1, 2], r: 1 }, { a: { x: 1, y: 2 }, l: [1, 3], n: { m: 1 } }),
    ).toEqual([
      { keys: ['a', 'y'], before: 1, after: 2 },
      { keys: ['l'], before: [1, 2], after: [1, 3] },
      { keys: ['r'], before: 1, after: undefined },
      { keys: ['n'], before: undefined, after: { m: 1 } },
    ]);
    expect(diff([1], [2])).toEqual([{ keys: [], before: [1], after: [2] }]);
  });

  it.each([
    ['equal secrets', new Secret('a'), new Secret('a'), true],
    ['other secrets', new Secret('a'), new Secret('b'), false],
    ['secrets of other lengths', new Secret('a'), new Secret('aa'), false],
    ['secrets that are objects', new Secret({ a: ['x'] }), new Secret({ a: ['x'] }), true],
    ['other secrets that are objects', new Secret({ a: ['x'] }), new Secret({ a: ['y'] }), false],
    ['a secret and its value', new Secret('a'), 'a', false],
    ['equal dates', new Date(5), new Date(5), true],
    ['other dates', new Date(5), new Date(6), false],
    ['equal URLs', new URL('http://a/'), new URL('http://a/'), true],
    ['other URLs', new URL('http://a/'), new URL('http://b/'), false],
    ['instances whose state cannot be seen', new Opaque(), new Opaque(), false],
    ['undefined and absent', { a: undefined }, {}, true],
    ['null and absent', { a: null }, {}, false],
    ['an array and an object', [], {}, false],
  ])('compares %s', (_what, a, b, expected) => {
    expect(equal(a, b)).toBe(expected);
    expect(equal(b, a)).toBe(expected);
    expect(equal({ in: [a] }, { in: [b] })).toBe(_what === 'undefined and absent' ? true : expected);
  });
});

describe('frozenCopy', () => {
  it('refuses what contains itself', () => {
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    expect(() => frozenCopy(cycle)).toThrow(RangeError);
  });
});

describe('paths', () => {
  it('come back from their text', () => {
    const keys = fc.array(
      fc.oneof(key, fc.constantFrom('\ud800', '\\', '\n', 'ü.'), fc.string({ maxLength: 6 })),
      { minLength: 1, maxLength: 4 },
    );
    fc.assert(
      fc.property(keys, (path) => {
        expect(parsePath(formatPath(path))).toEqual(path);
      }),
      runs,
    );
    expect(formatPath(['limits', 'api.example.com', 'rate'])).toBe('limits["api.example.com"].rate');
    expect(parsePath(formatPath([]))).toEqual([]);
  });

  it.each(['', '.', 'a.', '.a', 'a..b', 'a[b]', 'a["b', 'a"b'])('are not %o', (text) => {
    expect(parsePath(text)).toBeUndefined();
  });
});
