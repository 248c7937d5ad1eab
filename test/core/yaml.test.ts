import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidPayloadError } from '../../src/core/errors.ts';
import { parseYaml } from '../../src/core/yaml.ts';

const parse = (text: string): unknown => parseYaml(text, 'orders.yaml');

/** "Billion laughs": each line holds nine of the line before. */
const bomb = [
  'a0: &a0 [ha]',
  ...Array.from({ length: 9 }, (_, n) => `a${n + 1}: &a${n + 1} [${`*a${n},`.repeat(9)}]`),
];

describe('parseYaml', () => {
  it('reads what people write', () => {
    expect(
      parse('db:\n  host: localhost\n  ports: [1, 2]\non: yes\nsince: 2026-01-31\nbig: 1e3\nnone:\n'),
    ).toEqual({
      db: { host: 'localhost', ports: [1, 2] },
      on: 'yes',
      since: '2026-01-31',
      big: 1_000,
      none: null,
    });
    expect(parse('')).toBeNull();
    expect(parse('base: &base { size: 5 }\ncopy: *base')).toEqual({ base: { size: 5 }, copy: { size: 5 } });
  });

  it.each([
    ['a prototype key', '__proto__:\n  admin: true'],
    ['a prototype key deep down', 'a:\n  - b: { __proto__: { admin: true } }'],
    ['a key twice', 'a: 1\na: 2'],
    ['a tag of another language', 'a: !!js/function "() => 1"'],
    ['a local tag', 'a: !env HOME'],
    ['an alias bomb', bomb.join('\n')],
    ['an alias without an anchor', 'a: *b'],
    ['20,000 open brackets', '['.repeat(20_000)],
    [
      '20,000 levels of indentation',
      Array.from({ length: 2_000 }, (_, n) => `${' '.repeat(n)}a:`).join('\n'),
    ],
    ['a tab as indentation', 'a:\n\tb: 1'],
    ['two documents', 'a: 1\n---\nb: 2'],
    ['infinity', 'a: .inf'],
    ['what is not a number', 'a: .nan'],
    ['an open quote', 'a: "b'],
  ])('refuses %s', (_what, text) => {
    expect(() => parse(text)).toThrow(InvalidPayloadError);
    expect(() => parse(text)).toThrow(/^orders\.yaml: is not acceptable YAML: ./);
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
  });

  it('says where', () => {
    expect(() => parse('a: 1\nb: 2\nb: 3\n')).toThrow('line 3');
  });

  it('reads JSON, but for the keys that it refuses', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        const text = JSON.stringify(value);
        fc.pre(!text.includes('__proto__'));
        expect(parse(text)).toEqual(JSON.parse(text));
      }),
    );
  });

  it('never throws anything else', () => {
    const snippet = fc.constantFrom(
      'a',
      ':',
      ' ',
      '\n',
      '- ',
      '{',
      '}',
      '[',
      ']',
      '&a',
      '*a',
      '!',
      '|',
      '"',
      '#',
      '<<: ',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(snippet).map((parts) => parts.join('')),
        ),
        (text) => {
          try {
            parse(text);
          } catch (error) {
            expect(error).toBeInstanceOf(InvalidPayloadError);
          }
        },
      ),
    );
  });
});
