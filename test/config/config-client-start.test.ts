import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { memoryConfig } from '../../src/adapters/memory/config.ts';
import { ConfigClient } from '../../src/config/config-client.ts';
import {
  ConfigInvalidError,
  ConfigSourceError,
  InvalidOptionsError,
  NotRunningError,
} from '../../src/core/errors.ts';
import type { ConfigSource } from '../../src/ports/config-source.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { manualSource, schema, setup, values } from './config-client-stage.ts';

describe('ConfigClient', () => {
  describe('at start', () => {
    it('merges the layers, later ones over earlier ones, and gives the typed result of the schema', async () => {
      const { client } = await setup({
        environment: 'prod',
        sources: [
          memoryConfig(
            { ...values, hosts: ['x', 'y'] },
            { environments: { prod: { db: { poolSize: 50 } } } },
          ),
          memoryConfig({ timeoutMs: 200, hosts: ['z'] }),
        ],
      });
      const timeout: number = client.current.timeoutMs;
      expect(timeout).toBe(200);
      expect(client.current).toEqual({
        timeoutMs: 200,
        db: { host: 'localhost', poolSize: 50 },
        hosts: ['z'],
      });
      expect(client.state).toMatchObject({
        environment: 'prod',
        version: 1,
        stale: false,
        lastError: undefined,
      });
    });

    it('freezes the result deeply, and leaves what the schema holds itself alone', async () => {
      const defaults = { nested: { list: [1] } };
      const client = new ConfigClient({
        schema: z.object({
          a: z.object({ b: z.array(z.number()) }),
          c: z.custom<typeof defaults>().default(defaults),
        }),
        environment: 'dev',
        sources: [memoryConfig({ a: { b: [1] } })],
      });
      await client.start();
      expect(() => Object.assign(client.current.a, { b: [] })).toThrow(TypeError);
      expect(() => client.current.a.b.push(2)).toThrow(TypeError);
      expect(() => client.current.c.nested.list.push(2)).toThrow(TypeError);
      expect(Object.isFrozen(defaults.nested)).toBe(false);
      await client.stop();
    });

    it('rejects with every issue, its path and where the value stands; and can be started again', async () => {
      const source = memoryConfig({ timeoutMs: 'soon', db: {} }, { name: 'defaults' });
      const client = new ConfigClient({ schema, environment: 'dev', sources: [source] });
      const error = await client.start().catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(ConfigInvalidError);
      expect((error as ConfigInvalidError).issues).toEqual([
        { path: 'timeoutMs', message: expect.stringContaining('expected number'), source: 'defaults' },
        { path: 'db.host', message: expect.stringContaining('expected string') },
      ]);
      expect(() => client.current).toThrow(NotRunningError);
      source.set(values);
      await client.start();
      expect(client.current.timeoutMs).toBe(100);
      expect(client.state.stale).toBe(false);
      await client.stop();
    });

    it('names each key that a strict schema does not know, with its place', async () => {
      const client = new ConfigClient({
        schema: z.strictObject({ db: z.strictObject({ host: z.string() }) }),
        environment: 'prod',
        sources: [
          memoryConfig({ db: { host: 'h' } }, { environments: { prod: { db: { hots: 'h', port: 1 } } } }),
        ],
      });
      await expect(client.start()).rejects.toMatchObject({
        issues: [
          { path: 'db.hots', source: 'memory (prod)' },
          { path: 'db.port', source: 'memory (prod)' },
        ],
      });
    });

    it('rejects with the error of a source that fails, even when the others are enough', async () => {
      const broken = memoryConfig({}, { name: 'remote' });
      broken.fail(new Error('connection refused'));
      const runtime = testRuntime();
      const client = new ConfigClient({
        schema,
        environment: 'dev',
        sources: [memoryConfig(values), broken],
        runtime,
      });
      const error = await client.start().catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(ConfigSourceError);
      expect((error as Error).message).toBe('configuration source remote: connection refused');
      expect(runtime.clock.pending).toBe(0);
    });

    it('gives up on a source that does not answer', async () => {
      const { source } = manualSource();
      const runtime = testRuntime();
      const client = new ConfigClient({
        schema,
        environment: 'dev',
        sources: [source],
        loadTimeout: '3s',
        runtime,
      });
      const start = expect(client.start()).rejects.toThrow(
        'source manual: could not be loaded: the call did not settle within 3000 ms',
      );
      await runtime.clock.advance(3_000);
      await start;
    });

    it('gives up on a schema that does not settle, and reports one that throws without quoting it', async () => {
      const runtime = testRuntime();
      const options = { environment: 'dev', sources: [memoryConfig(values)], runtime };
      const hanging = new ConfigClient({
        ...options,
        schema: schema.refine(() => new Promise<boolean>(() => {})),
      });
      const start = expect(hanging.start()).rejects.toThrow('did not settle within 10000 ms');
      await runtime.clock.advance(10_000);
      await start;
      const throwing = new ConfigClient({
        ...options,
        schema: schema.transform((config) => new URL(`canary ${config.db.host}`)),
      });
      await expect(throwing.start()).rejects.toThrow(
        '(root): its schema threw TypeError instead of reporting an issue',
      );
    });

    it('reports a schema whose asynchronous part rejects', async () => {
      const client = new ConfigClient({
        schema: schema.refine(() => Promise.reject(new Error('canary'))),
        environment: 'dev',
        sources: [memoryConfig(values)],
      });
      await expect(client.start()).rejects.toThrow('(root): its schema threw Error');
    });

    it.each([
      ['an unknown option', { enviroment: 'dev' }],
      ['no environment', { environment: undefined }],
      ['an environment that would leave its directory', { environment: '../prod' }],
      ['no source', { sources: [] }],
      ['a source that is none', { sources: ['config.yaml'] }],
      ['a schema that is none', { schema: { timeoutMs: 'number' } }],
      ['a negative duration', { coalesce: -1 }],
    ])('refuses %s', (_what, wrong) => {
      const options = { schema, environment: 'dev', sources: [memoryConfig()], ...wrong };
      expect(() => new ConfigClient(options as never)).toThrow(InvalidOptionsError);
    });
  });

  it('refuses values of a source that could reach a prototype', async () => {
    const hostile: ConfigSource = {
      name: 'hostile',
      load: async () => ({
        layers: [{ values: JSON.parse('{"a":{"constructor":{"prototype":{"polluted":true}}}}') }],
        version: '1',
      }),
    };
    const client = new ConfigClient({ schema: z.looseObject({}), environment: 'dev', sources: [hostile] });
    await expect(client.start()).rejects.toThrow('the key "a.constructor" is not allowed');
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });
});
