import { describe, expect, it, vi } from 'vitest';
import { memoryConfig } from '../../src/adapters/memory/config.ts';
import { ConfigClient } from '../../src/config/config-client.ts';
import { ConfigSourceError } from '../../src/core/errors.ts';
import type { ConfigSource } from '../../src/ports/config-source.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { listen, schema, values } from './config-client-stage.ts';

describe('ConfigClient', () => {
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
});
