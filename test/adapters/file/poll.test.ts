import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it, vi } from 'vitest';

vi.mock('node:fs', async (original) => ({
  ...(await original<typeof import('node:fs')>()),
  watch: () => {
    throw Object.assign(new Error('no space for more watches'), { code: 'ENOSPC' });
  },
}));

// Test files share their modules, and another file may have imported them without this disk.
vi.resetModules();
const { fileRegistry } = await import('../../../src/adapters/file/registry.ts');
afterAll(() => void vi.resetModules());

it('sees changes by looking, where the system cannot tell of them', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-poll-'));
  const registry = fileRegistry({ directory, pollInterval: 20 });
  const controller = new AbortController();
  const sizes: number[] = [];
  const { signal } = controller;
  setTimeout(async () => {
    await registry.register(
      {
        id: 'a',
        service: 'orders',
        host: '127.0.0.1',
        port: 3000,
        secure: false,
        url: 'http://127.0.0.1:3000',
        status: 'up',
        weight: 1,
        tags: [],
        metadata: {},
      },
      { ttl: 60_000 },
    );
  }, 1);
  for await (const set of registry.watch('orders', signal)) {
    sizes.push(set.length);
    if (set.length === 1) controller.abort();
  }
  expect(sizes.at(-1)).toBe(1);
  await rm(directory, { recursive: true });
});
