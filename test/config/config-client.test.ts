import { afterEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { type MemoryConfig, memoryConfig } from '../../src/adapters/memory/config.ts';
import type { ConfigEvents } from '../../src/config/client-events.ts';
import type { ConfigClientOptions } from '../../src/config/client-options.ts';
import { ConfigClient } from '../../src/config/config-client.ts';
import {
  ConfigInvalidError,
  ConfigSourceError,
  InvalidOptionsError,
  NotRunningError,
} from '../../src/core/errors.ts';
import type { ConfigContent, ConfigSource } from '../../src/ports/config-source.ts';
import { type TestRuntime, testRuntime } from '../../src/testing/test-runtime.ts';

const schema = z.object({
  timeoutMs: z.number().max(10_000),
  db: z.object({ host: z.string(), poolSize: z.number().default(4) }),
  hosts: z.array(z.string()).default(['a']),
});
type Config = z.output<typeof schema>;

const values = { timeoutMs: 100, db: { host: 'localhost' } };

type Heard = { [K in keyof ConfigEvents]: ConfigEvents[K][] };

interface Setup {
  readonly runtime: TestRuntime;
  readonly source: MemoryConfig;
  readonly client: ConfigClient<Config>;
  readonly heard: Heard;
}

async function setup(options: Partial<ConfigClientOptions<Config>> = {}): Promise<Setup> {
  const runtime = testRuntime();
  const source = memoryConfig(values);
  const client = new ConfigClient({ schema, environment: 'dev', sources: [source], runtime, ...options });
  const heard = listen(client);
  await client.start();
  return { runtime, source, client, heard };
}

function listen(client: ConfigClient<Config>): Heard {
  const heard: Heard = { changed: [], rejected: [], recovered: [], interrupted: [] };
  client.on('changed', (event) => heard.changed.push(event));
  client.on('rejected', (event) => heard.rejected.push(event));
  client.on('recovered', (event) => heard.recovered.push(event));
  client.on('interrupted', (event) => heard.interrupted.push(event));
  return heard;
}

/** A source whose loads are answered by hand. */
function manualSource(): { source: ConfigSource; answer: (values: object) => void; waiting: () => number } {
  const pending: ((content: ConfigContent) => void)[] = [];
  return {
    source: { name: 'manual', load: () => new Promise((resolve) => pending.push(resolve)) },
    answer: (answered) => pending.shift()?.({ layers: [{ values: answered as never }], version: 'x' }),
    waiting: () => pending.length,
  };
}

afterEach(() => vi.restoreAllMocks());

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

  describe('when a source changes', () => {
    it('swaps the whole configuration at once and tells what changed', async () => {
      const { client, source, runtime, heard } = await setup();
      const before = client.current;
      source.set({ timeoutMs: 200, db: { host: 'db1', poolSize: 4 }, hosts: ['a', 'b'] });
      await runtime.clock.advance(50);
      expect(before).toEqual({ timeoutMs: 100, db: { host: 'localhost', poolSize: 4 }, hosts: ['a'] });
      expect(client.current).toEqual({ timeoutMs: 200, db: { host: 'db1', poolSize: 4 }, hosts: ['a', 'b'] });
      expect(heard.changed).toEqual([
        {
          version: 2,
          changes: [
            { path: 'timeoutMs', before: 100, after: 200 },
            { path: 'db.host', before: 'localhost', after: 'db1' },
            { path: 'hosts', before: ['a'], after: ['a', 'b'] },
          ],
        },
      ]);
      expect(runtime.events.map((event) => `${event.primitive} ${event.name} ${event.type}`)).toEqual([
        'config-client config changed',
      ]);
    });

    it('takes changes that come close together over as one', async () => {
      const [first, second] = [memoryConfig(values), memoryConfig({})];
      const { client, runtime, heard } = await setup({ sources: [first, second] });
      first.set({ ...values, timeoutMs: 1 });
      await runtime.clock.advance(10);
      second.set({ timeoutMs: 2 });
      await runtime.clock.advance(10);
      first.set({ ...values, hosts: ['b'] });
      await runtime.clock.advance(200);
      expect(client.current).toMatchObject({ timeoutMs: 2, hosts: ['b'] });
      expect(heard.changed).toHaveLength(1);
      expect(heard.changed[0]?.changes.map((change) => change.path)).toEqual(['timeoutMs', 'hosts']);
    });

    it('keeps the same object and says nothing when nothing changed, whatever the schema makes anew', async () => {
      const runtime = testRuntime();
      const source = memoryConfig({ url: 'http://a/', other: 1 });
      const client = await new ConfigClient({
        schema: z.object({ url: z.string().transform((url) => new URL(url)) }),
        environment: 'dev',
        sources: [source],
        runtime,
      }).start();
      const before = client.current;
      const told = vi.fn();
      client.on('changed', told);
      source.set({ url: 'http://a/', other: 1 });
      await client.reload();
      source.set({ url: 'http://a/', other: 2 });
      await client.reload();
      expect(client.current).toBe(before);
      expect(told).not.toHaveBeenCalled();
      source.set({ url: 'http://b/' });
      await client.reload();
      expect(told).toHaveBeenCalledOnce();
      expect(client.current.url.host).toBe('b');
    });

    it('keeps the last good one when the new one is invalid, says so once, and recovers', async () => {
      const { client, source, runtime, heard } = await setup();
      const before = client.current;
      source.set({ ...values, timeoutMs: 20_000 });
      await runtime.clock.advance(50);
      source.set({ ...values, timeoutMs: 30_000 });
      await runtime.clock.advance(200);
      expect(client.current).toBe(before);
      expect(client.state).toMatchObject({ version: 1, stale: true });
      expect(client.state.lastError).toBeInstanceOf(ConfigInvalidError);
      expect(heard.rejected).toEqual([
        {
          version: 1,
          issues: [{ path: 'timeoutMs', message: expect.stringContaining('<=10000'), source: 'memory' }],
          error: expect.any(ConfigInvalidError),
        },
      ]);
      source.set(values);
      await runtime.clock.advance(200);
      expect(client.state).toMatchObject({ version: 1, stale: false, lastError: undefined });
      expect(heard.recovered).toEqual([{ version: 1 }]);
      expect(heard.changed).toEqual([]);
    });

    it('shows listeners the state as it is when they are told', async () => {
      const { client, source } = await setup();
      const seen: unknown[] = [];
      client.on('rejected', () => seen.push(['rejected', client.state.stale, client.state.version]));
      client.on('changed', () => seen.push(['changed', client.state.stale, client.state.version]));
      client.on('recovered', () => seen.push(['recovered', client.state.stale, client.state.version]));
      source.set({});
      await client.reload();
      source.set({ ...values, timeoutMs: 5 });
      await client.reload();
      expect(seen).toEqual([
        ['rejected', true, 1],
        ['changed', false, 2],
        ['recovered', false, 2],
      ]);
    });

    it('keeps the last good one of a source that fails, takes over the others, and tries again by itself', async () => {
      const [local, remote] = [memoryConfig(values), memoryConfig({ timeoutMs: 7 }, { name: 'remote' })];
      let down = false;
      const flaky: ConfigSource = {
        ...remote,
        name: 'remote',
        load: (scope) => (down ? Promise.reject(new Error('gone')) : remote.load(scope)),
        watch: (scope) => remote.watch(scope),
      };
      const { client, runtime, heard } = await setup({ sources: [local, flaky] });
      down = true;
      local.set({ ...values, hosts: ['b'] });
      const state = await client.reload();
      expect(client.current).toMatchObject({ timeoutMs: 7, hosts: ['b'] });
      expect(state).toMatchObject({ version: 2, stale: true, sources: [{ stale: false }, { stale: true }] });
      expect(heard.rejected).toMatchObject([
        {
          issues: [
            {
              path: '(root)',
              source: 'remote',
              message: 'configuration source remote: could not be loaded: gone',
            },
          ],
        },
      ]);
      await runtime.clock.advance(5_000);
      expect(heard.rejected).toHaveLength(1);
      down = false;
      await runtime.clock.advance(60_000);
      expect(client.state.stale).toBe(false);
      expect(heard.recovered).toHaveLength(1);
    });

    it('tells that a source fails, though what it held before was refused, too', async () => {
      const { source, client, runtime, heard } = await setup();
      source.set({ timeoutMs: 'soon' });
      await runtime.clock.advance(1_000);
      source.fail(new Error('half of it is missing'));
      await runtime.clock.advance(1_000);
      expect(heard.rejected.map(({ error }) => error.constructor)).toEqual([
        ConfigInvalidError,
        ConfigSourceError,
      ]);
      expect(client.state.lastError?.message).toContain('half of it is missing');
      expect(heard.rejected[1]?.issues.map(({ path }) => path)).toEqual(['(root)', 'timeoutMs', 'db']);
    });

    it('never goes back to an older load, and never has two under way', async () => {
      const { source, answer, waiting } = manualSource();
      const runtime = testRuntime();
      const client = new ConfigClient({ schema, environment: 'dev', sources: [source], runtime });
      const started = client.start();
      answer(values);
      await started;
      const reloads = [client.reload(), client.reload(), client.reload()];
      await runtime.clock.advance(0);
      expect(waiting()).toBe(1);
      answer({ ...values, timeoutMs: 1 });
      await runtime.clock.advance(0);
      expect(client.current.timeoutMs).toBe(1);
      expect(waiting()).toBe(1);
      answer({ ...values, timeoutMs: 2 });
      await Promise.all(reloads);
      expect(client.current.timeoutMs).toBe(2);
      expect(waiting()).toBe(0);
    });

    it('ignores the answer of a load that took too long', async () => {
      const { source, answer } = manualSource();
      const runtime = testRuntime();
      const client = new ConfigClient({
        schema,
        environment: 'dev',
        sources: [source],
        loadTimeout: '1s',
        runtime,
      });
      const started = client.start();
      answer(values);
      await started;
      const slow = client.reload();
      await runtime.clock.advance(1_000);
      expect((await slow).stale).toBe(true);
      const again = client.reload();
      await runtime.clock.advance(0);
      answer({ ...values, timeoutMs: 1 });
      answer({ ...values, timeoutMs: 2 });
      await again;
      await runtime.clock.advance(100);
      expect(client.current.timeoutMs).toBe(2);
    });

    it('takes over a change that came while it was starting', async () => {
      const { source: slow, answer } = manualSource();
      const quick = memoryConfig(values);
      const runtime = testRuntime();
      const client = new ConfigClient({ schema, environment: 'dev', sources: [quick, slow], runtime });
      const started = client.start();
      await runtime.clock.advance(500);
      quick.set({ ...values, timeoutMs: 5 });
      await runtime.clock.advance(500);
      expect(() => client.current).toThrow(NotRunningError);
      answer({ hosts: ['slow'] });
      await started;
      await runtime.clock.advance(500);
      expect(client.current).toMatchObject({ timeoutMs: 5, hosts: ['slow'] });
    });
  });

  it('takes over what was loaded while the first configuration was being checked', async () => {
    const runtime = testRuntime();
    const source = memoryConfig(values);
    const gates: ((open: boolean) => void)[] = [];
    const slow = schema.refine(() => new Promise<boolean>((resolve) => gates.push(resolve)));
    const client = new ConfigClient({ schema: slow, environment: 'dev', sources: [source], runtime });
    const started = client.start();
    await runtime.clock.advance(0);
    source.set({ ...values, timeoutMs: 5 });
    await runtime.clock.advance(100);
    gates.shift()?.(true);
    await started;
    expect(client.current.timeoutMs).toBe(100);
    await runtime.clock.advance(50);
    gates.shift()?.(true);
    await runtime.clock.advance(0);
    expect(client.current.timeoutMs).toBe(5);
    await client.stop();
  });

  describe('watching', () => {
    it('takes a watch up again that breaks, and loads then', async () => {
      const runtime = testRuntime();
      const inner = memoryConfig(values);
      let watches = 0;
      const source: ConfigSource = {
        name: 'fragile',
        load: (scope) => inner.load(scope),
        async *watch() {
          watches += 1;
          if (watches % 2 === 0) throw new Error('connection lost');
          yield;
          throw new Error('connection lost');
        },
      };
      const client = new ConfigClient({ schema, environment: 'dev', sources: [source], runtime });
      const heard = listen(client);
      await client.start();
      inner.set({ ...values, timeoutMs: 9 });
      await runtime.clock.advance(120_000);
      expect(watches).toBeGreaterThan(5);
      expect(client.current.timeoutMs).toBe(9);
      expect(heard.rejected).toEqual([]);
      expect(heard.interrupted[0]).toMatchObject({ source: 'fragile', error: expect.any(ConfigSourceError) });
      await client.stop();
      const seen = watches;
      await runtime.clock.advance(120_000);
      expect(watches).toBe(seen);
      expect(runtime.clock.pending).toBe(0);
    });

    it('finds what changed while a watch was broken, though the new watch is silent', async () => {
      const runtime = testRuntime();
      const inner = memoryConfig(values);
      let watches = 0;
      const source: ConfigSource = {
        name: 'broken once',
        load: (scope) => inner.load(scope),
        async *watch({ signal }) {
          watches += 1;
          if (watches === 1) throw new Error('connection lost');
          await new Promise((resolve) => signal.addEventListener('abort', resolve));
        },
      };
      const client = new ConfigClient({ schema, environment: 'dev', sources: [source], runtime });
      await client.start();
      inner.set({ ...values, timeoutMs: 9 });
      await runtime.clock.advance(1_000);
      expect(watches).toBe(2);
      expect(client.current.timeoutMs).toBe(9);
      await client.stop();
    });

    it('is not driven mad by a watch that yields without end', async () => {
      const runtime = testRuntime();
      const load = vi.fn(async () => ({ layers: [{ values }], version: '1' }));
      const source: ConfigSource = {
        name: 'chatty',
        load,
        async *watch() {
          // Not without end, so that what does not pace itself fails here instead of spinning.
          for (let left = 10_000; left > 0; left -= 1) yield;
        },
      };
      const client = await new ConfigClient({
        schema,
        environment: 'dev',
        sources: [source],
        runtime,
      }).start();
      await runtime.clock.advance(1_000);
      expect(load.mock.calls.length).toBeLessThan(50);
      await client.stop();
    });

    it('survives a watch that never works, says so once, and polls meanwhile', async () => {
      const runtime = testRuntime();
      let watches = 0;
      const source: ConfigSource = {
        ...memoryConfig(values),
        name: 'odd',
        load: async () => ({ layers: [{ values }], version: '1' }),
        watch: () => {
          watches += 1;
          if (watches % 2 === 0) throw new Error('not today');
          return {
            [Symbol.asyncIterator]: () => ({
              next: () => Promise.reject(new Error('not today')),
              return: () => {
                throw new Error('not even that');
              },
            }),
          };
        },
      };
      const client = new ConfigClient({ schema, environment: 'dev', sources: [source], runtime });
      const heard = listen(client);
      await client.start();
      await runtime.clock.advance(100_000);
      expect(watches).toBeGreaterThan(5);
      expect(heard.interrupted).toHaveLength(1);
      expect(client.state).toMatchObject({ stale: false, sources: [{ watching: false, stale: false }] });
      expect(client.state.sources[0]?.lastError?.message).toContain('odd: cannot be watched: not today');
      await client.stop();
    });
  });

  describe('select', () => {
    it('calls only when the selected part has deeply changed, until unsubscribed', async () => {
      const { client, source } = await setup();
      const calls: [unknown, unknown][] = [];
      const off = client.select(
        (config) => config.db,
        (now, before) => calls.push([now, before]),
      );
      source.set({ ...values, timeoutMs: 1 });
      await client.reload();
      expect(calls).toEqual([]);
      source.set({ ...values, db: { host: 'b' } });
      await client.reload();
      expect(calls).toEqual([
        [
          { host: 'b', poolSize: 4 },
          { host: 'localhost', poolSize: 4 },
        ],
      ]);
      off();
      off();
      source.set(values);
      await client.reload();
      expect(calls).toHaveLength(1);
    });

    it('reports what a selector or listener throws, and goes on with the others', async () => {
      const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
      const { client, source } = await setup();
      const seen: number[] = [];
      client.on('changed', () => {
        throw new Error('listener');
      });
      client.select(
        () => {
          throw new Error('selector');
        },
        () => {},
      );
      client.select(
        (c) => c.timeoutMs,
        async () => {
          throw new Error('async');
        },
      );
      client.select(
        (c) => c.timeoutMs,
        () => seen.push(client.current.timeoutMs),
      );
      source.set({ ...values, timeoutMs: 1 });
      await client.reload();
      expect(seen).toEqual([1]);
      await vi.waitFor(() => expect(warn).toHaveBeenCalledTimes(3));
    });
  });

  describe('explain', () => {
    it('says which source gave a value and what it overrode', async () => {
      const { client } = await setup({
        environment: 'prod',
        sources: [
          memoryConfig(
            { ...values, db: { host: 'a', poolSize: 5 } },
            { name: 'base', environments: { prod: { db: { poolSize: 50 } } } },
          ),
          memoryConfig({ db: { poolSize: 60 } }, { name: 'top' }),
        ],
      });
      expect(client.explain('db.poolSize')).toEqual({
        path: 'db.poolSize',
        value: 60,
        source: 'top',
        origin: 'top',
        overridden: [
          { source: 'base', origin: 'base (prod)', value: 50 },
          { source: 'base', origin: 'base', value: 5 },
        ],
      });
      expect(client.explain('hosts')).toMatchObject({ value: ['a'], source: undefined, overridden: [] });
      expect(client.explain('db.nothing')).toMatchObject({ value: undefined, source: undefined });
      expect(client.explain('constructor')).toMatchObject({ value: undefined });
      expect(() => client.explain('db..host')).toThrow(InvalidOptionsError);
    });
  });

  describe('its life', () => {
    it('stops idempotently, keeps its last value, and leaves nothing behind', async () => {
      const { client, source, runtime, heard } = await setup();
      source.set({ ...values, timeoutMs: 1 });
      await Promise.all([client.stop(), client.stop(), client[Symbol.asyncDispose]()]);
      await runtime.clock.advance(1_000);
      expect(client.current.timeoutMs).toBe(100);
      expect(heard.changed).toEqual([]);
      expect(runtime.clock.pending).toBe(0);
      await expect(client.reload()).rejects.toThrow(NotRunningError);
      await expect(client.start()).rejects.toThrow(NotRunningError);
    });

    it('can be stopped before and during its start', async () => {
      const early = new ConfigClient({ schema, environment: 'dev', sources: [memoryConfig(values)] });
      await early.stop();
      await expect(early.start()).rejects.toThrow(NotRunningError);
      const runtime = testRuntime();
      const late = new ConfigClient({
        schema,
        environment: 'dev',
        sources: [manualSource().source],
        runtime,
      });
      const start = expect(late.start()).rejects.toThrow(NotRunningError);
      await late.stop();
      await start;
      expect(runtime.clock.pending).toBe(0);
    });

    it('does not wait for ever for a source that does not let go', async () => {
      const runtime = testRuntime();
      const source: ConfigSource = {
        name: 'clinging',
        load: async () => ({ layers: [{ values }], version: '1' }),
        watch: () => ({
          [Symbol.asyncIterator]: () => ({
            next: () => new Promise(() => {}),
            return: () => new Promise(() => {}),
          }),
        }),
      };
      const client = await new ConfigClient({
        schema,
        environment: 'dev',
        sources: [source],
        runtime,
      }).start();
      const stopped = client.stop({ timeout: '2s' });
      await runtime.clock.advance(2_000);
      await stopped;
    });

    it('loads on reload what a source without a watch has now', async () => {
      const inner = memoryConfig(values);
      const { client } = await setup({ sources: [{ name: 'still', load: (scope) => inner.load(scope) }] });
      inner.set({ ...values, timeoutMs: 3 });
      const state = await client.reload();
      expect(client.current.timeoutMs).toBe(3);
      expect(state).toMatchObject({
        version: 2,
        sources: [{ name: 'still', watching: false, stale: false }],
      });
    });
  });

  it('takes any number of sources without a warning of a leak', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const sources = Array.from({ length: 20 }, () => memoryConfig(values));
    const { client, runtime, heard } = await setup({ sources });
    sources[7]!.set({ timeoutMs: 200 });
    sources[19]!.set({ timeoutMs: 200 });
    await runtime.clock.advance(1_000);
    expect(heard.changed).toHaveLength(1);
    await client.stop();
    expect(warned).not.toHaveBeenCalled();
    warned.mockRestore();
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
