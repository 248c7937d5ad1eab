import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidPayloadError } from '../../src/core/errors.ts';
import { isPlainObject, isSafeKey, parseJson, stringifyJson } from '../../src/core/json.ts';

const parse = (text: string): unknown => parseJson(text, 'the body');
const stringify = (value: unknown): string => stringifyJson(value, 'the input');

describe('parseJson', () => {
  it('reads back whatever stringifyJson wrote', () => {
    fc.assert(
      fc.property(
        fc
          .jsonValue({ noUnicodeString: false } as never)
          .filter((v) => !JSON.stringify(v).includes('__proto__')),
        (value) => {
          // JSON has no -0.
          expect(parse(stringify(value))).toEqual(JSON.parse(JSON.stringify(value)));
        },
      ),
    );
  });

  it.each(['{"__proto__":{"admin":true}}', '[{"a":{"__proto__":1}}]', '{"\\u005f_proto__":1}'])(
    'refuses %s',
    (text) => {
      expect(() => parse(text)).toThrow(
        'the body: is not acceptable JSON: the key "__proto__" is not allowed',
      );
    },
  );

  it('changes no prototype', () => {
    expect(parse('{"constructor":{"prototype":{"admin":true}}}')).toEqual({
      constructor: { prototype: { admin: true } },
    });
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
  });

  it.each([
    '',
    ' ',
    '{',
    '{"a":1',
    'undefined',
    "{'a':1}",
    '[1,]',
    '{"a":1}{',
    'NaN',
    '0x10',
    '\u0000',
    '\ufeff{}',
  ])('refuses %o', (text) => {
    expect(() => parse(text)).toThrow(InvalidPayloadError);
  });

  it('survives 100,000 levels', () => {
    expect(() => parse('['.repeat(100_000))).toThrow(InvalidPayloadError);
    expect(() => parse(`${'['.repeat(100_000)}${']'.repeat(100_000)}`)).toThrow(InvalidPayloadError);
  });

  it.each([
    'hunter2',
    '{"password": hunter2}',
    '{"password":"hunter2"',
    '{"password":"hunter2" "b"}',
    '{hunter2:1}',
    '"hunter2',
  ])('quotes nothing of the document %s', (text) => {
    let thrown: unknown;
    try {
      parse(text);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(InvalidPayloadError);
    expect(JSON.stringify([String(thrown), (thrown as Error).cause ?? null])).not.toContain('hunter2');
  });

  it('never throws anything else', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          parse(text);
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidPayloadError);
        }
      }),
    );
  });
});

describe('stringifyJson', () => {
  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  const deep = (levels: number): unknown => (levels === 0 ? 1 : [deep(levels - 1)]);

  it.each([
    [{ a: { b: 10n } }, 'a.b is a bigint'],
    [[1, { at: Number.NaN }], '[1].at is NaN'],
    [Number.POSITIVE_INFINITY, 'the value itself is Infinity'],
    [{ f: () => {} }, 'f is a function'],
    [[Symbol('s')], '[0] is a symbol'],
    [[1, undefined], '[1] is undefined'],
    [new Array(2), '[0] is undefined'],
    [cycle, 'self contains itself'],
    [new Map(), 'the value itself is an instance of Map'],
    [{ e: new Error('x') }, 'e is an instance of Error'],
    [JSON.parse('{"__proto__":1}'), 'the value itself has the key "__proto__"'],
    [deep(300), 'is nested deeper than 200 levels'],
    [{ toJSON: () => 10n }, 'cannot be stored as JSON'],
    [
      {
        toJSON: () => {
          throw new Error('no');
        },
      },
      'no',
    ],
  ])('refuses %o', (value, why) => {
    expect(() => stringify(value)).toThrow(InvalidPayloadError);
    expect(() => stringify(value)).toThrow(why);
  });

  it('takes shared references, dates, missing values and objects without a prototype', () => {
    const shared = { a: 1 };
    expect(stringify({ x: shared, y: [shared, shared] })).toBe('{"x":{"a":1},"y":[{"a":1},{"a":1}]}');
    expect(stringify({ at: new Date(0), gone: undefined })).toBe('{"at":"1970-01-01T00:00:00.000Z"}');
    expect(stringify(Object.assign(Object.create(null), { a: 1 }))).toBe('{"a":1}');
    expect(stringify(undefined)).toBe('null');
    expect(stringify(deep(200))).toHaveLength(401);
  });
});

describe('keys and objects', () => {
  it('are told apart', () => {
    expect(['__proto__', 'constructor', 'prototype', 'proto', ''].map(isSafeKey)).toEqual([
      false,
      false,
      false,
      true,
      true,
    ]);
    expect([{}, Object.create(null)].map(isPlainObject)).toEqual([true, true]);
    expect([[], null, new Date(), new (class {})(), 'x', () => {}].map(isPlainObject)).toEqual(
      Array(6).fill(false),
    );
  });
});
