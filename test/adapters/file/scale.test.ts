import { type PathLike, renameSync } from 'node:fs';
import { mkdtemp, open, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { FileRegistry } from '../../../src/adapters/file/registry.ts';
import { sleep } from '../../../src/core/clock.ts';
import { ServiceRegistry } from '../../../src/discovery/service-registry.ts';
import type { RegistrationHandle, ServiceInstance } from '../../../src/ports/registry-backend.ts';
import { type TestRuntime, testRuntime } from '../../../src/testing/test-runtime.ts';

/** What the file system was asked, and how it behaves. */
const disk = vi.hoisted(() => ({
  opened: [] as string[],
  asked: [] as string[],
  full: false,
  coarse: false,
  /** Called whenever a file is opened. */
  wait: async (): Promise<void> => {},
}));

vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>();
  const noSpace = (): Promise<never> =>
    Promise.reject(Object.assign(new Error('no space left on device'), { code: 'ENOSPC' }));
  return {
    ...real,
    lstat: (path: PathLike, options?: never) => {
      if (String(path).endsWith('.json')) disk.asked.push(String(path));
      return real.lstat(path, options);
    },
    open: async (path: PathLike, flags: number) => {
      disk.opened.push(String(path));
      await disk.wait();
      const handle = await real.open(path, flags);
      const { utimes: set } = handle;
      handle.utimes = (atime, mtime) => {
        if (disk.full) return noSpace();
        return disk.coarse ? Promise.resolve() : set.call(handle, atime, mtime);
      };
      return handle;
    },
    writeFile: (...given: Parameters<typeof real.writeFile>) =>
      disk.full ? noSpace() : real.writeFile(...given),
  };
});

// Test files share their modules, and another file may have imported them without this disk.
vi.resetModules();
const { fileRegistry } = await import('../../../src/adapters/file/registry.ts');
afterAll(() => void vi.resetModules());

let directory: string;
let runtime: TestRuntime;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-scale-'));
  runtime = testRuntime();
  // Long ago, so that times which the real system writes are ahead of it, and would count if they were believed.
  runtime.clock.jumpWallTime(-1_000_000_000_000);
  Object.assign(disk, { full: false, coarse: false, wait: async () => {} });
});
afterEach(() => rm(directory, { recursive: true, force: true }));

function instance(id: string, port = 3000): ServiceInstance {
  return {
    id,
    service: 'orders',
    host: '127.0.0.1',
    port,
    secure: false,
    url: `http://127.0.0.1:${port}`,
    status: 'up',
    weight: 1,
    tags: [],
    metadata: {},
  };
}

const file = (id: string): string => join(directory, 'orders', `${id}.json`);
const ids = Array.from({ length: 20 }, (_, index) => `i${index}`);

interface Acquaintance {
  readonly owner: FileRegistry;
  readonly reader: FileRegistry;
  readonly handles: readonly RegistrationHandle[];
  readonly listed: () => Promise<readonly string[]>;
}

/** A reader that has known all files for so long that it need not doubt them. */
async function acquainted(ttl: number): Promise<Acquaintance> {
  const owner = fileRegistry({ directory, runtime });
  const reader = fileRegistry({ directory, runtime });
  const handles = await Promise.all(ids.map((id) => owner.register(instance(id), { ttl })));
  await reader.list('orders');
  await runtime.clock.advance(2_001);
  await reader.list('orders');
  const listed = async (): Promise<readonly string[]> =>
    (await reader.list('orders')).map(({ id }) => id).sort();
  return { owner, reader, handles, listed };
}

describe('a reader of many registrations', () => {
  it('reads no file again for a heartbeat, and counts it', async () => {
    const { handles, listed } = await acquainted(10_000);
    await runtime.clock.advance(7_000);
    for (const handle of handles) expect(await handle.renew()).toBe('renewed');
    disk.opened.length = 0;
    expect(await listed()).toEqual([...ids].sort());
    await runtime.clock.advance(9_000);
    expect(await listed()).toEqual([...ids].sort());
    expect(disk.opened).toEqual([]);
    await runtime.clock.advance(1_001);
    expect(await listed()).toEqual([]);
  });

  it('reads again what was replaced, and what was written in place with as many bytes', async () => {
    const { handles, owner, reader } = await acquainted(100_000);
    await handles[3]!.setStatus('draining');
    await owner.register(instance('i4', 4000), { ttl: 100_000 });
    await writeFile(file('i5'), (await readFile(file('i5'), 'utf8')).replaceAll('3000', '5000'));
    disk.opened.length = 0;
    const set = new Map((await reader.list('orders')).map((each) => [each.id, each]));
    expect([set.get('i3')?.status, set.get('i4')?.port, set.get('i5')?.port]).toEqual([
      'draining',
      4000,
      5000,
    ]);
    expect(disk.opened.sort()).toEqual(['i3', 'i4', 'i5'].map(file));
  });

  it('doubts a file that it has only just met: another may take its place within one tick of the disk', async () => {
    const owner = fileRegistry({ directory, runtime });
    const reader = fileRegistry({ directory, runtime });
    await owner.register(instance('a', 3000), { ttl: 100_000 });
    expect((await reader.list('orders'))[0]?.port).toBe(3000);
    const { atime, mtime } = await stat(file('a'));
    await writeFile(file('a'), (await readFile(file('a'), 'utf8')).replaceAll('3000', '5000'));
    await utimes(file('a'), atime, mtime);
    expect((await reader.list('orders'))[0]?.port).toBe(5000);
  });

  it('looks only at the files that it is told of', async () => {
    const { handles, reader } = await acquainted(100_000);
    const controller = new AbortController();
    const sets: (readonly ServiceInstance[])[] = [];
    const reading = (async () => {
      for await (const set of reader.watch('orders', controller.signal)) sets.push(set);
    })();
    await vi.waitFor(() => expect(sets).toHaveLength(1), 60_000);
    disk.asked.length = 0;
    await handles[7]!.setStatus('draining');
    // Less than the time after which it looks at all of them.
    await vi.waitFor(async () => {
      await runtime.clock.advance(20);
      expect(sets.at(-1)?.filter(({ status }) => status === 'draining')).toHaveLength(1);
    });
    expect(new Set(disk.asked)).toEqual(new Set([file('i7')]));
    controller.abort();
    await reading;
  });

  it('makes one look of many that are asked for at once', async () => {
    const { reader } = await acquainted(100_000);
    disk.asked.length = 0;
    disk.opened.length = 0;
    await Promise.all(ids.map(() => reader.list('orders')));
    expect(disk.opened).toEqual([]);
    expect(disk.asked.length).toBeLessThanOrEqual(2 * ids.length);
  });

  it('comes to know a service that cannot be read within the time limit of one question', async () => {
    const owner = fileRegistry({ directory, runtime });
    for (const id of ids) await owner.register(instance(id), { ttl: 1_000_000 });
    disk.wait = () => sleep(runtime.clock, 1_000);
    const backend = fileRegistry({ directory, runtime });
    const registry = await new ServiceRegistry({ backend, runtime, timeout: '3s' }).start();
    const service = registry.service('orders');
    expect(service.instances).toEqual([]);
    for (let passed = 0; passed < 60_000 && service.instances.length === 0; passed += 250) {
      await runtime.clock.advance(250);
      // The disk itself is real.
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(service.instances).toHaveLength(ids.length);
    await registry.stop();
  });

  it('takes no time but one that an owner set for a heartbeat, and nothing back', async () => {
    const { handles, listed } = await acquainted(10_000);
    await runtime.clock.advance(7_000);
    for (const handle of handles) await handle.renew();
    expect(await listed()).toEqual([...ids].sort());
    await runtime.clock.advance(2_000);
    // As an editor's save or `touch` would.
    for (const id of ids) {
      const handle = await open(file(id), 'r+');
      await handle.write(' ', 0);
      await handle.write('{', 0);
      await handle.close();
    }
    await utimes(file('i0'), 0, 0);
    expect(await listed()).toEqual([...ids].sort());
    await runtime.clock.advance(8_001);
    expect(await listed()).toEqual([]);
  });

  it('does not count a change of status as a heartbeat', async () => {
    const { handles, listed } = await acquainted(10_000);
    await runtime.clock.advance(7_000);
    await handles[0]!.setStatus('draining');
    expect(await listed()).toContain('i0');
    await runtime.clock.advance(1_000);
    expect(await listed()).toEqual([]);
  });

  it('hears heartbeats after the wall clock went back by less than the registration is old', async () => {
    const { handles, listed } = await acquainted(10_000);
    for (let round = 0; round < 10; round += 1) {
      if (round === 5) runtime.clock.jumpWallTime(-20_000);
      await runtime.clock.advance(7_000);
      for (const handle of handles) expect(await handle.renew()).toBe('renewed');
      expect(await listed()).toEqual([...ids].sort());
    }
  });

  it('hears heartbeats where the file system keeps no fine times', async () => {
    const { handles, listed } = await acquainted(10_000);
    disk.coarse = true;
    for (let round = 0; round < 3; round += 1) {
      await runtime.clock.advance(7_000);
      for (const handle of handles) expect(await handle.renew()).toBe('renewed');
      expect(await listed()).toEqual([...ids].sort());
    }
  });
});

describe('an owner of a registration', () => {
  it('extends nothing by a heartbeat that failed', async () => {
    const registry = fileRegistry({ directory, runtime });
    const handle = await registry.register(instance('a'), { ttl: 1_000 });
    await runtime.clock.advance(900);
    disk.full = true;
    await expect(handle.renew()).rejects.toThrow('no space');
    await runtime.clock.advance(200);
    disk.full = false;
    expect(await registry.list('orders')).toEqual([]);
    expect(await handle.renew()).toBe('lost');
  });

  it('says no other status than the one that it could write', async () => {
    const registry = fileRegistry({ directory, runtime });
    const handle = await registry.register(instance('a'), { ttl: 1_000 });
    disk.full = true;
    await expect(handle.setStatus('draining')).rejects.toThrow('no space');
    disk.full = false;
    await handle.renew();
    expect((await registry.list('orders'))[0]?.status).toBe('up');
    await handle.setStatus('draining');
    expect((await registry.list('orders'))[0]?.status).toBe('draining');
  });
});

describe('a watch', () => {
  it('listens to the directory that took the place of another between two looks', async () => {
    const registry = fileRegistry({ directory, pollInterval: '1h' });
    const staged = fileRegistry({ directory: join(directory, 'staged') });
    await registry.register(instance('a'), { ttl: 3_600_000 });
    await staged.register(instance('b'), { ttl: 3_600_000 });
    const controller = new AbortController();
    let seen: readonly string[] = [];
    const reading = (async () => {
      for await (const set of registry.watch('orders', controller.signal)) seen = set.map(({ id }) => id);
    })();
    await vi.waitFor(() => expect(seen).toEqual(['a']), 60_000);
    renameSync(join(directory, 'orders'), join(directory, 'aside'));
    renameSync(join(directory, 'staged', 'orders'), join(directory, 'orders'));
    await vi.waitFor(() => expect(seen).toEqual(['b']), 60_000);
    await registry.register(instance('c'), { ttl: 3_600_000 });
    await vi.waitFor(() => expect(seen).toEqual(['b', 'c']), { timeout: 25_000 });
    controller.abort();
    await reading;
  });
});
