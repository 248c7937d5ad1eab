import { afterEach, describe, expect, it, vi } from 'vitest';
import { memoryConfig } from '../../src/adapters/memory/config.ts';
import { ConfigClient } from '../../src/config/config-client.ts';
import { NotRunningError } from '../../src/core/errors.ts';
import type { ConfigSource } from '../../src/ports/config-source.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { manualSource, schema, setup, values } from './config-client-stage.ts';

afterEach(() => vi.restoreAllMocks());

describe('ConfigClient', () => {
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
});
