import { afterEach, describe, expect, it, vi } from 'vitest';
import { memoryConfig } from '../../src/adapters/memory/config.ts';
import { InvalidOptionsError } from '../../src/core/errors.ts';
import { setup, values } from './config-client-stage.ts';

afterEach(() => vi.restoreAllMocks());

describe('ConfigClient', () => {
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
      await vi.waitFor(() => expect(warn).toHaveBeenCalledTimes(3), 60_000);
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
});
