import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { memoryConfig } from '../../src/adapters/memory/config.ts';
import { ConfigClient } from '../../src/config/config-client.ts';
import { interpolate } from '../../src/config/interpolate.ts';
import { secret } from '../../src/config/secret.ts';
import type { JsonObject } from '../../src/core/json.ts';

/** `${path}`, without looking like a mistaken template string. */
const ref = (path: string): string => `\${${path}}`;

const valuesOf = (tree: JsonObject): JsonObject => {
  const { values, issues } = interpolate(tree);
  expect(issues).toEqual([]);
  return values;
};

const issueOf = (tree: JsonObject): string => {
  const [issue] = interpolate(tree).issues;
  return `${issue?.path?.join('.')}: ${issue?.message}`;
};

describe('interpolate', () => {
  it('inserts values by path, through others, wherever a text stands', () => {
    expect(
      valuesOf({
        host: 'db1',
        port: 5432,
        db: { url: `pg://${ref('host')}:${ref('port')}/x`, copies: [ref('db.url'), 1], tls: true },
        port2: ref('port'),
        tls: ref(' db.tls '),
        first: ref('db.copies.0'),
      }),
    ).toEqual({
      host: 'db1',
      port: 5432,
      db: { url: 'pg://db1:5432/x', copies: ['pg://db1:5432/x', 1], tls: true },
      port2: 5432,
      tls: true,
      first: 'pg://db1:5432/x',
    });
  });

  it('keeps what is escaped, and what was inserted is not looked at again', () => {
    expect(valuesOf({ a: `$${ref('b')} costs $5 {x}`, c: ref('a') })).toEqual({
      a: `${ref('b')} costs $5 {x}`,
      c: `${ref('b')} costs $5 {x}`,
    });
  });

  it('leaves a tree without placeholders as it is', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (tree) => {
        fc.pre(!/\${|__proto__/.test(JSON.stringify(tree)));
        const values = JSON.parse(JSON.stringify(tree)) as JsonObject;
        expect(valuesOf(values)).toEqual(values);
      }),
    );
  });

  it.each([
    ['a cycle', { a: ref('b'), b: `x${ref('c')}`, c: ref('a') }, 'a: is part of a cycle: a → b → c → a'],
    ['itself', { a: ref('a') }, 'a: is part of a cycle: a → a'],
    ['nothing', { a: { b: ref('canary') } }, 'a.b: has a placeholder that names no value'],
    ['an inherited key', { a: ref('constructor') }, 'a: has a placeholder that names no value'],
    ['no path', { a: ref('') }, 'a: has a placeholder that names no value'],
    ['an object', { a: ref('b'), b: {} }, 'a: has a placeholder that names an object'],
    ['null', { a: ref('b'), b: null }, 'a: has a placeholder that names an object'],
    ['an open end', { a: 'x${canary' }, 'a: has a placeholder without its closing brace'],
  ])('refuses %s', (_what, tree, message) => {
    expect(issueOf(tree)).toContain(message);
    expect(issueOf(tree)).not.toContain('canary');
  });

  it('ends what would grow or lead on without end', () => {
    const doubling = Object.fromEntries(
      Array.from({ length: 40 }, (_, n) => [`a${n}`, n === 0 ? 'ha' : ref(`a${n - 1}`).repeat(2)]),
    );
    expect(issueOf(doubling)).toContain('grows beyond 65536 characters');
    expect(interpolate(doubling).values.a15).toHaveLength(65_536);
    expect(interpolate(doubling).values.a16).toBe(ref('a15').repeat(2));
    // Far more than one text can hold.
    const wide = { long: 'x'.repeat(60_000), a: ref('long').repeat(20_000) };
    expect(issueOf(wide)).toContain('grows beyond 65536 characters');
    const chain = Object.fromEntries(
      Array.from({ length: 2_000 }, (_, n) => [`a${n}`, ref(`a${n + 1}`)]).reverse(),
    );
    expect(issueOf({ first: ref('a0'), ...chain })).toContain('refers through more than 50 others');
  });

  it('is off unless asked for', async () => {
    const options = {
      schema: z.object({ a: z.string() }),
      environment: 'dev',
      sources: [memoryConfig({ a: ref('b'), b: 'x' })],
    };
    const off = await new ConfigClient(options).start();
    expect(off.current.a).toBe(ref('b'));
    const on = await new ConfigClient({ ...options, interpolate: true }).start();
    expect(on.current.a).toBe('x');
  });

  it('does not let a secret out through a field that prints', async () => {
    const sources = [memoryConfig({ password: 'canary', url: `pg://u:${ref('password')}@h` })];
    const leaking = new ConfigClient({
      schema: z.object({ password: secret(), url: z.string() }),
      environment: 'dev',
      interpolate: true,
      sources,
    });
    await expect(leaking.start()).rejects.toThrow(
      'url: takes in the secret password; declare it with secret() too',
    );
    const tight = await new ConfigClient({
      schema: z.object({ password: secret(), url: secret() }),
      environment: 'dev',
      interpolate: true,
      sources,
    }).start();
    expect(tight.current.url.reveal()).toBe('pg://u:canary@h');
  });
});
