import { describe, expect, it } from 'vitest';
import { InvalidOptionsError } from '../../src/core/errors.ts';
import {
  describe as describeValue,
  durationOption,
  functionOption,
  methodsOption,
  nameOption,
  parseOptions,
  runtimeOption,
  z,
} from '../../src/core/options.ts';

const schema = z.strictObject({
  name: nameOption(),
  failureRate: z.number().gt(0).max(1).default(0.5),
  openFor: durationOption(1).default(5_000),
  halfOpen: z.strictObject({ permits: z.int().min(1) }).optional(),
  mode: z.enum(['count', 'time']).optional(),
  tags: z.array(z.string().max(3)).max(2).optional(),
  password: z.string().optional(),
  store: methodsOption('a store', 'get', 'set').optional(),
  onFull: functionOption().optional(),
  retry: z.union([z.boolean(), z.strictObject({ attempts: z.int() })]).optional(),
  runtime: runtimeOption(),
});

const names = Object.keys(schema.shape);

function issuesOf(input: unknown): string[] {
  try {
    parseOptions('CircuitBreaker', schema, input);
  } catch (error) {
    if (!(error instanceof InvalidOptionsError)) throw error;
    expect(error.owner).toBe('CircuitBreaker');
    return error.issues.map((i) => `${i.field}: got ${i.received}; accepts ${i.accepts}`);
  }
  return [];
}

describe('parseOptions', () => {
  it('gives the parsed options with their defaults', () => {
    expect(parseOptions('CircuitBreaker', schema, { name: 'payments', openFor: '2s' })).toEqual({
      name: 'payments',
      failureRate: 0.5,
      openFor: 2_000,
    });
  });

  it.each([
    [undefined, 'options: got nothing; accepts an object'],
    [null, 'options: got null; accepts an object'],
    ['payments', 'options: got "payments"; accepts an object'],
    [{}, 'name: got nothing; accepts a string'],
    [{ failureRat: 1 }, `failureRat: got an unknown option; accepts one of ${names.join(', ')}`],
    [
      { halfOpen: { permit: 1, permits: 1 } },
      'halfOpen.permit: got an unknown option; accepts one of permits',
    ],
    [{ failureRate: 0 }, 'failureRate: got 0; accepts > 0'],
    [{ failureRate: 2 }, 'failureRate: got 2; accepts ≤ 1'],
    [{ failureRate: Number.NaN }, 'failureRate: got NaN; accepts a number'],
    [{ failureRate: '0.5' }, 'failureRate: got "0.5"; accepts a number'],
    [{ halfOpen: { permits: 1.5 } }, 'halfOpen.permits: got 1.5; accepts a whole number'],
    [{ halfOpen: { permits: 0 } }, 'halfOpen.permits: got 0; accepts ≥ 1'],
    [{ halfOpen: [] }, 'halfOpen: got an array; accepts an object'],
    [{ mode: 'both' }, 'mode: got "both"; accepts "count" | "time"'],
    [{ tags: ['a', 'long'] }, 'tags.1: got "long"; accepts ≤ 3 characters'],
    [{ tags: ['a', 'b', 'c'] }, 'tags: got an array; accepts ≤ 2 items'],
    [{ store: { get() {} } }, 'store: got an object; accepts a store (an object with get(), set())'],
    [{ onFull: 'drop' }, 'onFull: got "drop"; accepts a function'],
    [{ retry: 3 }, 'retry: got 3; accepts a boolean, or an object'],
    [{ runtime: 5 }, 'runtime: got 5; accepts an object with any of clock, random, id, telemetry'],
    [{ openFor: '5 s' }, /^openFor: got "5 s"; accepts milliseconds .*; at least 1 ms$/],
    [{ name: '../etc' }, /^name: got "..\/etc"; accepts a name of 1 to 128 letters/],
  ])('says of %o what is wrong with it', (input, expected) => {
    const complete =
      typeof input === 'object' && input && Object.keys(input).length > 0 ? { name: 'a', ...input } : input;
    expect(issuesOf(complete)).toEqual([
      expected instanceof RegExp ? expect.stringMatching(expected) : expected,
    ]);
  });

  it('names every issue at once', () => {
    expect(issuesOf({ failureRate: -1, mode: 'x', oops: 1 })).toHaveLength(4);
  });

  it.each(['', 'a b', '-a', 'a/b', 'a\n', '..', '__proto__', 'é', 'a'.repeat(129)])(
    'takes no name such as %o',
    (name) => {
      expect(issuesOf({ name })).toHaveLength(1);
    },
  );
});

describe('what stands in an error message', () => {
  it('is never a secret', () => {
    for (const input of [{ password: 5 }, { password: { secret: 'hunter2' } }]) {
      expect(issuesOf({ name: 'a', ...input })[0]).not.toMatch(/5|hunter2/);
    }
    expect(describeValue('hunter2', 'apiKey')).toBe('a redacted value');
    expect(describeValue('postgres://shop:hunter2@db:5432/shop', 'url')).toBe('"postgres://…@db:5432/shop"');
    expect(describeValue('postgres://shop:p@ss@db', 'url')).toBe('"postgres://…@db"');
  });

  it('is short', () => {
    expect(describeValue('x'.repeat(10_000)).length).toBeLessThan(70);
    expect(describeValue(10n)).toBe('10');
    expect(describeValue(Symbol('s'))).toBe('Symbol(s)');
    expect(describeValue(() => {})).toBe('a function');
  });
});
