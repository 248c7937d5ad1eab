import assert from 'node:assert';
import { inspect } from 'node:util';
import { serialize } from 'node:v8';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { Secret, secret } from '../../src/config/secret.ts';
import { canary, everyPrint } from './secret-prints.ts';

describe('Secret', () => {
  const hidden = new Secret(canary);

  it('gives its value to reveal, and to nothing else', () => {
    expect(hidden.reveal()).toBe(canary);
    const prints = [
      everyPrint(hidden),
      everyPrint({ a: [hidden], [Symbol('s')]: hidden }),
      everyPrint(new Map([[hidden, hidden]])),
      everyPrint(new Error(`${hidden}`, { cause: hidden })),
      `${hidden}`,
      [hidden, hidden].join(),
      String(hidden.valueOf()),
      JSON.stringify({ ...hidden }),
      JSON.stringify(Object.getOwnPropertyDescriptors(hidden)),
      serialize(structuredClone(hidden)).toString('latin1'),
      messageOfFailure(() => assert.deepStrictEqual({ hidden }, { hidden: 5 })),
      messageOfFailure(() => expect({ hidden }).toEqual({ hidden: 5 })),
    ];
    for (const print of prints) expect(print).not.toContain(canary);
    expect(`${hidden} ${JSON.stringify(hidden)} ${inspect(hidden)}`).toBe('[secret] "[secret]" [secret]');
  });

  it('cannot be changed, nor what it holds', () => {
    const held = new Secret({ list: ['a'] });
    expect(() => Object.assign(held, { reveal: () => 'x' })).toThrow(TypeError);
    expect(() => held.reveal().list.push('b')).toThrow(TypeError);
  });
});

function messageOfFailure(action: () => void): string {
  try {
    action();
  } catch (error) {
    return everyPrint(error);
  }
  throw new Error('it should have failed');
}

describe('secret()', () => {
  const issuesOf = (schema: z.ZodType, value: unknown): string[] =>
    schema.safeParse(value).error?.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`) ?? [];

  it('makes a typed Secret of what the inner schema gives, inside zod objects', async () => {
    const schema = z.object({
      password: secret(),
      pin: secret(z.coerce.number()),
      key: secret(z.string().transform((text) => Buffer.from(text, 'hex'))).optional(),
      later: secret(z.string().refine(async () => true)),
    });
    const result = await schema.parseAsync({ password: canary, pin: '12', later: 'x' });
    const password: string = result.password.reveal();
    const pin: number = result.pin.reveal();
    expect([password, pin, result.key, result.later.reveal()]).toEqual([canary, 12, undefined, 'x']);
  });

  it('takes any Standard Schema', () => {
    const evenLength = {
      '~standard': {
        version: 1 as const,
        vendor: 'ours',
        validate: (value: unknown) =>
          String(value).length % 2 === 0
            ? { value: String(value) }
            : { issues: [{ message: `odd: ${JSON.stringify(value)}`, path: [{ key: 'deep' }] }] },
      },
    };
    const schema = z.object({ a: secret(evenLength) });
    expect(schema.parse({ a: 'ab' }).a.reveal()).toBe('ab');
    expect(issuesOf(schema, { a: 'a"c' })).toEqual([
      'a.deep: is not acceptable (the message quoted the secret)',
    ]);
  });

  it('says what is wrong without quoting', () => {
    expect(issuesOf(z.object({ a: secret() }), {})).toEqual([
      'a: Invalid input: expected string, received undefined',
    ]);
    expect(issuesOf(z.object({ a: secret() }), { a: '' })).toHaveLength(1);
    expect(issuesOf(z.object({ a: secret(z.string().min(20)) }), { a: canary })).toEqual([
      'a: Too small: expected string to have >=20 characters',
    ]);
    const quoting = [
      z.string().refine(() => false, { error: (issue) => `not ${issue.input}` }),
      z.string().transform((text) => new URL(text)),
      z.object({ user: z.string(), password: z.string() }).refine(() => false, {
        error: (issue) => `not ${(issue.input as { password: string }).password}`,
      }),
    ];
    return Promise.all(
      quoting.map(async (inner, index) => {
        const value = index === 2 ? { user: 'u', password: canary } : canary;
        const { error } = await z.object({ a: secret(inner as z.ZodType) }).safeParseAsync({ a: value });
        expect(error?.issues).toHaveLength(1);
        expect(everyPrint(error)).not.toContain(canary);
      }),
    );
  });
});
