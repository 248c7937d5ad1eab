import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { envConfig } from '../../src/adapters/env.ts';
import { memoryConfig } from '../../src/adapters/memory/config.ts';
import { ConfigClient } from '../../src/config/config-client.ts';
import { secret } from '../../src/config/secret.ts';
import { type ConfigInvalidError, ConfigSourceError, InvalidOptionsError } from '../../src/core/errors.ts';

const load = async (env: Record<string, string | undefined>, separator?: string): Promise<unknown> => {
  const content = await envConfig({ prefix: 'ORDERS_', separator, env }).load({ environment: 'dev' });
  return content.layers[0]?.values;
};

describe('envConfig', () => {
  it('reads the variables of its prefix into paths of camelCase keys', async () => {
    const env = {
      PATH: '/bin',
      ORDERS: 'not ours',
      ORDERS_UNSET: undefined,
      ORDERS_TIMEOUT: 'x',
      ORDERS_DB__POOL_SIZE: '5',
      ORDERS_DB__READ_ONLY_HOST2: 'h',
      ORDERS_db__userName: 'u',
      ORDERS_snake_case: '',
    };
    expect(await load(env)).toEqual({
      timeout: 'x',
      db: { poolSize: 5, readOnlyHost2: 'h', userName: 'u' },
      snake_case: '',
    });
    expect(await load({ 'ORDERS_DB.HOST': 'h' }, '.')).toEqual({ db: { host: 'h' } });
  });

  it.each([
    ['true', true],
    ['false', false],
    ['null', null],
    ['0', 0],
    ['-1.5', -1.5],
    ['["a",1]', ['a', 1]],
    ['{"a":{"b":1}}', { a: { b: 1 } }],
    ['', ''],
    [' 5', ' 5'],
    ['007', '007'],
    ['1.0', '1.0'],
    ['1e3', '1e3'],
    ['+1', '+1'],
    ['-0', '-0'],
    ['0x10', '0x10'],
    ['12345678901234567890', '12345678901234567890'],
    ['NaN', 'NaN'],
    ['Infinity', 'Infinity'],
    ['True', 'True'],
    ['yes', 'yes'],
    ['[broken', '[broken'],
    ['{"__proto__":{"polluted":true}}', '{"__proto__":{"polluted":true}}'],
    ['{"a":{"constructor":1}}', '{"a":{"constructor":1}}'],
  ])('reads %o as %o', async (text, value) => {
    expect(await load({ ORDERS_X: text })).toStrictEqual({ x: value });
  });

  it('loses nothing of a number', () => {
    return fc.assert(
      fc.asyncProperty(fc.oneof(fc.double(), fc.integer(), fc.string()), async (value) => {
        const { x } = (await load({ ORDERS_X: String(value) })) as { x: unknown };
        if (typeof x === 'number') expect(String(x)).toBe(String(value));
        else expect(['string', 'boolean', 'object']).toContain(typeof x);
      }),
    );
  });

  it('sets a value inside the JSON of another variable, whatever their order', async () => {
    const inside = { ORDERS_DB__HOST: 'b' };
    const whole = { ORDERS_DB: '{"host":"a","port":1}' };
    expect(await load({ ...inside, ...whole })).toEqual({ db: { host: 'b', port: 1 } });
    expect(await load({ ...whole, ...inside })).toEqual({ db: { host: 'b', port: 1 } });
  });

  it.each([
    [
      'a value above another',
      { ORDERS_DB: 'x', ORDERS_DB__HOST: 'h' },
      'ORDERS_DB and ORDERS_DB__HOST contradict',
    ],
    ['two names of one path', { ORDERS_POOL_SIZE: '1', ORDERS_poolSize: '2' }, 'contradict'],
    ['an empty part', { ORDERS_A____B: '1' }, 'ORDERS_A____B has a misplaced underscore'],
    ['only the prefix', { ORDERS_: '1' }, 'misplaced underscore'],
    ['a prototype', { ORDERS_X____proto____polluted: '1' }, 'misplaced'],
    ['a constructor', { ORDERS_constructor__prototype__polluted: '1' }, 'the key "constructor"'],
    ['a constructor in capitals', { ORDERS_CONSTRUCTOR: '1' }, 'the key "constructor"'],
  ])('refuses %s', async (_what, env, message) => {
    const result = load(env);
    await expect(result).rejects.toThrow(ConfigSourceError);
    await expect(result).rejects.toThrow(message);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it.each([
    [undefined],
    [{}],
    [{ prefix: '' }],
    [{ prefix: '9' }],
    [{ prefix: 'A_', separator: '' }],
    [{ prefix: 'A_', env: 5 }],
  ])('refuses the options %o', (options) => {
    expect(() => envConfig(options as never)).toThrow(InvalidOptionsError);
  });

  it('reads process.env by default, anew at each load', async () => {
    const source = envConfig({ prefix: 'HOLDFAST_TEST_ENV_' });
    try {
      process.env.HOLDFAST_TEST_ENV_SIZE = '1';
      expect((await source.load({ environment: 'dev' })).layers[0]?.values).toEqual({ size: 1 });
      process.env.HOLDFAST_TEST_ENV_SIZE = '2';
      expect((await source.load({ environment: 'dev' })).layers[0]?.values).toEqual({ size: 2 });
    } finally {
      delete process.env.HOLDFAST_TEST_ENV_SIZE;
    }
  });
});

describe('text that reads like something else', () => {
  const start = <T>(
    schema: z.ZodType<T>,
    env: Record<string, string>,
    below: object = {},
  ): Promise<ConfigClient<T>> =>
    new ConfigClient({
      schema,
      environment: 'dev',
      sources: [memoryConfig(below), envConfig({ prefix: 'A_', env })],
    }).start();

  it('is given to a schema that wants text as text, and as what it reads like to one that wants that', async () => {
    const schema = z.object({
      password: secret(),
      version: z.string(),
      flag: z.string(),
      list: z.string(),
      nested: z.record(z.string(), z.string()),
      port: z.number(),
      tls: z.boolean(),
      tags: z.array(z.string()),
      coerced: z.coerce.number(),
    });
    const client = await start(schema, {
      A_PASSWORD: '12345',
      A_VERSION: '2',
      A_FLAG: 'true',
      A_LIST: '[1]',
      A_NESTED__A: '1',
      A_PORT: '80',
      A_TLS: 'false',
      A_TAGS: '["a"]',
      A_COERCED: '1e3',
    });
    expect({ ...client.current, password: client.current.password.reveal() }).toEqual({
      password: '12345',
      version: '2',
      flag: 'true',
      list: '[1]',
      nested: { a: '1' },
      port: 80,
      tls: false,
      tags: ['a'],
      coerced: 1000,
    });
  });

  it('is found below the path of an issue, such as that of a union', async () => {
    const schema = z.object({
      store: z.union([z.object({ id: z.string() }), z.object({ path: z.string() })]),
    });
    expect((await start(schema, { A_STORE__ID: '5' })).current).toEqual({ store: { id: '5' } });
  });

  it('is reported with both objections when the text does not help, and with the variable', async () => {
    const schema = z.object({
      port: z.number().max(10),
      host: z.string(),
      small: z.string().max(1),
      other: z.boolean(),
    });
    const error = await start(schema, { A_PORT: '80', A_HOST: '5', A_SMALL: '55', A_OTHER: 'yes' }).catch(
      (e: unknown) => e,
    );
    expect((error as ConfigInvalidError).issues).toEqual([
      {
        path: 'port',
        message: expect.stringMatching(/<=10 \(and as text: .*expected number/),
        source: 'environment variable A_PORT',
      },
      {
        path: 'small',
        message: expect.stringMatching(/received number \(and as text: .*<=1 characters/),
        source: 'environment variable A_SMALL',
      },
      {
        path: 'other',
        message: expect.stringContaining('expected boolean'),
        source: 'environment variable A_OTHER',
      },
    ]);
  });

  it('does not touch what another layer gave', async () => {
    const schema = z.object({ a: z.string(), b: z.string() });
    await expect(start(schema, { A_A: '5' }, { b: 5 })).rejects.toMatchObject({
      issues: [{ path: 'b', source: 'memory' }],
    });
  });

  it('survives a check of the whole, and its failure', async () => {
    const schema = z
      .object({ min: z.number(), max: z.number() })
      .refine(({ min, max }) => min <= max, { error: 'min is above max' });
    expect((await start(schema, { A_MIN: '1', A_MAX: '2' })).current).toEqual({ min: 1, max: 2 });
    await expect(start(schema, { A_MIN: '3', A_MAX: '2' })).rejects.toMatchObject({
      issues: [{ path: '(root)', message: 'min is above max' }],
    });
  });
});
