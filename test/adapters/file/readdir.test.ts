import type { PathLike } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it, vi } from 'vitest';

const omitted = new Set<string>();

vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>();
  const readdir = async (path: PathLike): Promise<string[]> =>
    (await real.readdir(path)).filter((name) => !omitted.has(name));
  return { ...real, readdir };
});

// Test files share their modules, and another file may have imported them without this disk.
vi.resetModules();
const { fileRegistry } = await import('../../../src/adapters/file/registry.ts');
afterAll(() => void vi.resetModules());

it('does not miss an instance whose file was being replaced while the directory was listed', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-readdir-'));
  const registry = fileRegistry({ directory });
  const instance = {
    id: 'a',
    service: 'orders',
    host: '127.0.0.1',
    port: 3000,
    secure: false,
    url: 'http://127.0.0.1:3000',
    status: 'up' as const,
    weight: 1,
    tags: [],
    metadata: {},
  };
  const handle = await registry.register(instance, { ttl: 60_000 });
  expect(await registry.list('orders')).toHaveLength(1);
  omitted.add('a.json');
  expect(await registry.list('orders')).toHaveLength(1);
  expect(await registry.list('orders')).toHaveLength(1);
  await handle.deregister();
  expect(await registry.list('orders')).toHaveLength(0);
  await rm(directory, { recursive: true });
});
