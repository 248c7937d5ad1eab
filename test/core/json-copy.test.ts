import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidPayloadError } from '../../src/core/errors.ts';
import { parseJson, stringifyJson } from '../../src/core/json.ts';
import { toJson } from '../../src/core/json-copy.ts';

const unlimited = Number.POSITIVE_INFINITY;
const odd = fc.constantFrom<unknown>(5n, Number.NaN, () => 1, Symbol('x'), new Map(), undefined, -0);
const values = fc.object({
  maxDepth: 4,
  values: [fc.string(), fc.double(), fc.boolean(), fc.constant(null), fc.date(), odd],
});

function outcome(make: () => unknown): unknown {
  try {
    return { json: make() };
  } catch (error) {
    return error instanceof InvalidPayloadError ? error.message : error;
  }
}

describe('toJson', () => {
  it('is what the text of a value is read back as, and refuses what has none, by the same path', () => {
    fc.assert(
      fc.property(values, (value) => {
        expect(outcome(() => toJson(value, 'it', unlimited))).toEqual(
          outcome(() => parseJson(stringifyJson(value, 'it'), 'it')),
        );
      }),
    );
  });

  it('gives a copy that nobody can change', () => {
    const value = { list: [{ a: 1 }], at: new Date(0) };
    const copy = toJson(value, 'it', unlimited) as unknown as { list: { a: number }[] };
    value.list[0]!.a = 2;
    expect(copy).toEqual({ list: [{ a: 1 }], at: '1970-01-01T00:00:00.000Z' });
    expect(() => copy.list.push({ a: 3 })).toThrow(TypeError);
  });

  it('takes what is exactly as long as it may be, in bytes of JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        // A key that is refused, however long it is.
        fc.pre(!JSON.stringify(value).includes('"__proto__"'));
        const size = Buffer.byteLength(JSON.stringify(value));
        expect(() => toJson(value, 'it', size)).not.toThrow();
        expect(() => toJson(value, 'it', size - 1)).toThrow(`${size - 1} are allowed`);
      }),
    );
  });
});
