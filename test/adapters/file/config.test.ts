import { execFileSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { type FileConfigOptions, fileConfig } from '../../../src/adapters/file/config.ts';
import { ConfigClient } from '../../../src/config/config-client.ts';
import { merge } from '../../../src/config/merge.ts';
import { ConfigSourceError, InvalidOptionsError } from '../../../src/core/errors.ts';
import type { JsonObject } from '../../../src/core/json.ts';
import { testRuntime } from '../../../src/testing/test-runtime.ts';

let directory: string;
const at = (name: string): string => join(directory, name);
const write = (name: string, text: string | Uint8Array): Promise<void> => writeFile(at(name), text);

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-config-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

async function load(name: string, environment = 'prod', options = {}): Promise<JsonObject> {
  const content = await fileConfig(at(name), options).load({ environment });
  return merge(content.layers.map((layer) => layer.values));
}

describe('fileConfig', () => {
  describe('loading', () => {
    it('reads the file for all environments and the one for this over it, each in its format', async () => {
      await write('orders.yaml', 'size: 1\ndb:\n  host: a\n  port: 1\n');
      await write('orders.prod.json', '{"db":{"host":"b"}}');
      await write('orders.qa.yml', 'size: 2');
      expect(await load('orders')).toEqual({ size: 1, db: { host: 'b', port: 1 } });
      expect(await load('orders', 'qa')).toEqual({ size: 2, db: { host: 'a', port: 1 } });
      expect(await load('orders', 'dev')).toEqual({ size: 1, db: { host: 'a', port: 1 } });
      const { layers } = await fileConfig(at('orders')).load({ environment: 'prod' });
      expect(layers.map((layer) => layer.origin)).toEqual([at('orders.yaml'), at('orders.prod.json')]);
    });

    it('looks only for the extension that is part of the path', async () => {
      await write('orders.yaml', 'size: 1');
      await write('orders.prod.yaml', 'size: 2');
      await write('orders.json', '{"size":3}');
      expect(await load('orders.yaml')).toEqual({ size: 2 });
      expect(await load('orders.json')).toEqual({ size: 3 });
      await expect(load('orders')).rejects.toThrow(
        `${at('orders.yaml')} and ${at('orders.json')} are both there; keep one`,
      );
    });

    it('takes comments, a byte order mark and Windows line ends', async () => {
      await write('orders.yaml', '# nothing yet\n');
      expect(await load('orders')).toEqual({});
      await write('orders.yaml', '\uFEFFsize: 1\r\n');
      expect(await load('orders')).toEqual({ size: 1 });
      await write('orders.prod.yaml', '---\nsize: 5\n');
      expect(await load('orders')).toEqual({ size: 5 });
    });

    it('names the paths that it looked for, and allows for a missing file when told so', async () => {
      const message = `no file: looked for ${at('orders.yaml')}, ${at('orders.yml')}, ${at('orders.json')} in`;
      await expect(load('orders')).rejects.toThrow(ConfigSourceError);
      await expect(load('orders')).rejects.toThrow(message);
      expect(await load('orders', 'prod', { optional: true })).toEqual({});
      await write('orders.prod.yaml', 'size: 1');
      await expect(load('orders')).rejects.toThrow(message);
      expect(await load('orders', 'prod', { optional: true })).toEqual({ size: 1 });
      await mkdir(at('config'));
      await expect(load('config')).rejects.toThrow('config is a directory: name a file in it');
      await expect(load('config/deep/orders')).rejects.toThrow('no file');
    });

    it.each([
      ['half a YAML', 'orders.yaml', 'db: { host: "a', /Missing closing "quote at line 1, column \d+/],
      ['half a JSON', 'orders.json', '{"a": 1,', /line 1, column \d+/],
      ['no JSON', 'orders.json', '{a: 1}', /not acceptable JSON/],
      ['JSON with a comment', 'orders.json', '{} # none', /not acceptable JSON/],
      ['a duplicate key', 'orders.yaml', 'a: 1\na: 2', /unique at line 2/],
      ['a duplicate key in JSON', 'orders.json', '{"a": 1,\n "a": 2}', /unique at line 2/],
      ['an empty file, as it is while being written in place', 'orders.yaml', ' \n', /is empty; write {}/],
      ['a list', 'orders.yaml', '- a', /must be an object, not an array/],
      ['a text', 'orders.yaml', 'a', /must be an object, not a string/],
      ['a prototype', 'orders.yaml', 'a:\n  __proto__:\n    polluted: true', /"__proto__" is not allowed/],
      ['a prototype in JSON', 'orders.json', '{"__proto__":{"polluted":true}}', /"__proto__" is not allowed/],
      [
        'a constructor',
        'orders.yaml',
        'constructor: { prototype: { polluted: true } }',
        /"constructor" is not allowed/,
      ],
      [
        'an alias bomb',
        'orders.yaml',
        'a: &a [1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c]',
        /100 aliases/,
      ],
      ['20,000 open brackets', 'orders.yaml', '['.repeat(20_000), /nested too deeply/],
      ['101 levels', 'orders.json', `${'{"a":'.repeat(101)}1${'}'.repeat(101)}`, /nested/],
      ['Latin-1', 'orders.yaml', Uint8Array.of(0x61, 0x3a, 0x20, 0xe4), /is not UTF-8/],
      ['UTF-16', 'orders.yaml', Uint8Array.of(0xff, 0xfe, 0x61, 0x00), /is not UTF-8/],
    ])('refuses %s and names the file', async (_what, name, text, message) => {
      await write(name, text);
      const result = load('orders');
      await expect(result).rejects.toThrow(ConfigSourceError);
      await expect(result).rejects.toThrow(message);
      await expect(result).rejects.toThrow(at(name));
      expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    });

    it('refuses a pipe, a directory, a device and a file that is too large, without hanging', async () => {
      execFileSync('mkfifo', [at('pipe.yaml')]);
      await expect(load('pipe')).rejects.toThrow(`${at('pipe.yaml')} is a pipe, not a file`);
      await mkdir(at('folder.yaml'));
      await expect(load('folder')).rejects.toThrow('is a directory, not a file');
      await symlink('/dev/zero', at('zero.yaml'));
      await expect(load('zero')).rejects.toThrow('is a device or socket, not a file');
      await symlink('loop.yaml', at('loop.yaml'));
      await expect(load('loop')).rejects.toThrow('cannot be read (ELOOP)');
      await write('large.yaml', `a: ${'x'.repeat(2_000)}`);
      await expect(load('large', 'prod', { maxBytes: 1_000 })).rejects.toThrow(
        'has 2003 bytes; at most 1000 are read',
      );
    });

    it.skipIf(process.getuid?.() === 0)('refuses a file that it may not read', async () => {
      await write('orders.yaml', 'a: 1');
      await chmod(at('orders.yaml'), 0);
      await expect(load('orders')).rejects.toThrow('cannot be read (EACCES)');
    });

    it.each([[''], ['config/'], ['a\0b'], [undefined], [5]])('refuses the path %o', (path) => {
      expect(() => fileConfig(path as never)).toThrow(InvalidOptionsError);
    });

    it.each([{ poll: 1 }, { pollInterval: 0 }, { maxBytes: 0 }, { maxBytes: Number.NaN }])(
      'refuses the options %o',
      (options) => {
        expect(() => fileConfig('a', options as never)).toThrow(InvalidOptionsError);
      },
    );
  });

  describe('watching', () => {
    const clients: ConfigClient<JsonObject>[] = [];
    afterEach(async () => {
      await Promise.all(clients.splice(0).map((client) => client.stop()));
    });

    async function start(name: string, options: FileConfigOptions = {}): Promise<ConfigClient<JsonObject>> {
      const client = new ConfigClient<JsonObject>({
        schema: z.record(z.string(), z.json()),
        environment: 'prod',
        sources: [fileConfig(at(name), { pollInterval: '1h', ...options })],
        coalesce: 10,
        runtime: options.runtime,
      });
      clients.push(client);
      return client.start();
    }

    const becomes = (client: ConfigClient<JsonObject>, values: JsonObject): Promise<void> =>
      vi.waitFor(() => expect(client.current).toEqual(values), { timeout: 25_000, interval: 5 });

    it('takes over a file written in place, replaced by renaming, added and removed', async () => {
      await write('orders.yaml', 'size: 1');
      const client = await start('orders');
      await write('orders.yaml', 'size: 2');
      await becomes(client, { size: 2 });
      for (const size of [3, 4]) {
        await write('orders.yaml.tmp', `size: ${size}`);
        await rename(at('orders.yaml.tmp'), at('orders.yaml'));
        await becomes(client, { size });
      }
      await write('orders.prod.yaml', 'size: 5');
      await becomes(client, { size: 5 });
      await unlink(at('orders.prod.yaml'));
      await becomes(client, { size: 4 });
    });

    it('keeps the last good one while a file is half-written, invalid or gone, and recovers', async () => {
      await write('orders.yaml', 'size: 1');
      const client = await start('orders');
      const rejected = vi.fn();
      client.on('rejected', rejected);
      await write('orders.yaml', 'size: { "a');
      await vi.waitFor(() => expect(client.state.stale).toBe(true), { timeout: 25_000, interval: 5 });
      expect(client.current).toEqual({ size: 1 });
      expect(rejected).toHaveBeenCalled();
      await write('orders.yaml', 'size: { "a": 1 }');
      await becomes(client, { size: { a: 1 } });
      await unlink(at('orders.yaml'));
      await vi.waitFor(() => expect(client.state.lastError?.message).toContain('no file'), {
        timeout: 25_000,
        interval: 5,
      });
      expect(client.current).toEqual({ size: { a: 1 } });
      await write('orders.yaml', 'size: 2');
      await becomes(client, { size: 2 });
      expect(client.state.stale).toBe(false);
    });

    it('sees a ConfigMap swapped as Kubernetes does it', async () => {
      for (const [version, size] of [
        ['v1', 1],
        ['v2', 2],
      ] as const) {
        await mkdir(at(version));
        await write(`${version}/orders.yaml`, `size: ${size}`);
      }
      await symlink('v1', at('..data'));
      await symlink('..data/orders.yaml', at('orders.yaml'));
      const client = await start('orders');
      expect(client.current).toEqual({ size: 1 });
      await symlink('v2', at('..data_tmp'));
      await rename(at('..data_tmp'), at('..data'));
      await becomes(client, { size: 2 });
    });

    it('finds by the poll what no event told, and then listens in the directory that is there now', async () => {
      for (const size of [1, 2]) {
        await mkdir(at(`${size}`));
        await write(`${size}/orders.yaml`, `size: ${size}`);
      }
      await symlink('1', at('current'));
      // Time stands still but for what is advanced: 20 ms lets an event through, an hour is a poll.
      const runtime = testRuntime();
      const client = await start('current/orders', { pollInterval: '1h', runtime });
      const becomes = (size: number): Promise<void> =>
        vi.waitFor(
          async () => {
            await runtime.clock.advance(20);
            expect(client.current).toEqual({ size });
          },
          { timeout: 25_000, interval: 5 },
        );
      await vi.waitFor(() => expect(runtime.clock.pending).toBe(1), 60_000);
      await symlink('2', at('next'));
      await rename(at('next'), at('current'));
      await runtime.clock.advance(3_600_000);
      await becomes(2);
      await write('2/orders.yaml', 'size: 3');
      await becomes(3);
    });

    it('tells of another problem when one follows on the other', async () => {
      await write('orders.yaml', 'size: 1');
      const client = await start('orders');
      for (const other of ['orders.yml', 'orders.json']) {
        await write(other, '{}');
        await vi.waitFor(() => expect(client.state.lastError?.message).toContain(at(other)), {
          timeout: 25_000,
          interval: 5,
        });
      }
      expect(client.current).toEqual({ size: 1 });
    });

    it('does not load again for other files in the directory', async () => {
      await write('orders.yaml', 'size: 1');
      const source = fileConfig(at('orders'), { pollInterval: 20 });
      const controller = new AbortController();
      const iterator = source.watch!({ environment: 'prod', signal: controller.signal })[
        Symbol.asyncIterator
      ]();
      await iterator.next();
      let yielded = false;
      const next = iterator.next().then((result) => {
        yielded = true;
        return result;
      });
      for (let round = 0; round < 5; round += 1) {
        await write('app.log', `line ${round}`);
        await vi.waitFor(
          async () => expect((await source.load({ environment: 'prod' })).layers).toHaveLength(1),
          25_000,
        );
      }
      expect(yielded).toBe(false);
      controller.abort();
      expect(await next).toMatchObject({ done: true });
    });
  });
});
