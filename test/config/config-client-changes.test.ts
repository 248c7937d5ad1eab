import { describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { memoryConfig } from '../../src/adapters/memory/config.ts';
import { ConfigClient } from '../../src/config/config-client.ts';
import { ConfigInvalidError, ConfigSourceError, NotRunningError } from '../../src/core/errors.ts';
import type { ConfigSource } from '../../src/ports/config-source.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { manualSource, schema, setup, values } from './config-client-stage.ts';

describe('ConfigClient', () => {
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
});
