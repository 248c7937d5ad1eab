import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type FileRegistry, fileRegistry } from '../../../src/adapters/file/registry.ts';
import { InvalidOptionsError } from '../../../src/core/errors.ts';
import type { ServiceInstance } from '../../../src/ports/registry-backend.ts';
import { type TestRuntime, testRuntime } from '../../../src/testing/test-runtime.ts';

let parent: string;
let directory: string;

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'holdfast-registry-'));
  directory = join(parent, 'registry');
});
afterEach(() => rm(parent, { recursive: true, force: true }));

function instance(id: string, service = 'orders'): ServiceInstance {
  return {
    id,
    service,
    host: '127.0.0.1',
    port: 3000,
    secure: false,
    url: 'http://127.0.0.1:3000',
    status: 'up',
    weight: 1,
    tags: [],
    metadata: {},
  };
}

async function idsIn(registry: FileRegistry, service = 'orders'): Promise<readonly string[]> {
  return (await registry.list(service)).map((each) => each.id);
}

const filesOf = async (service = 'orders'): Promise<readonly string[]> =>
  (await readdir(join(directory, service))).sort();

function skippedBy(registry: FileRegistry): string[] {
  const skipped: string[] = [];
  registry.on('fileSkipped', ({ file, reason }) => skipped.push(`${file.split('/').at(-1)}: ${reason}`));
  return skipped;
}

/** A registry whose clock stands still, on the directory of this test. */
function onClock(seed = 1): { registry: FileRegistry; runtime: TestRuntime } {
  const runtime = testRuntime({ seed });
  return { runtime, registry: fileRegistry({ directory, runtime }) };
}

describe('fileRegistry', () => {
  it('writes one readable file for each instance, for this user only', async () => {
    const { registry } = onClock();
    await registry.register(instance('a'), { ttl: 1_000 });
    expect(await filesOf()).toEqual(['a.json']);
    const text = await readFile(join(directory, 'orders', 'a.json'), 'utf8');
    expect(JSON.parse(text)).toMatchObject({ ttl: 1_000, instance: instance('a') });
    expect((await stat(directory)).mode & 0o077).toBe(0);
  });

  it('passes over what is no registration, tells of each file once, and keeps the others', async () => {
    const { registry } = onClock();
    const skipped = skippedBy(registry);
    await registry.register(instance('good'), { ttl: 1_000 });
    const good = await readFile(join(directory, 'orders', 'good.json'), 'utf8');
    await writeFile(join(parent, 'secret.json'), good.replaceAll('"good"', '"link"'));
    const put = (name: string, text: string): Promise<void> =>
      writeFile(join(directory, 'orders', name), text);
    await put('half.json', good.slice(0, 50));
    await put('empty.json', '');
    await put('array.json', '[]');
    await put('other.json', good);
    await put(
      'never.json',
      good.replaceAll('"good"', '"never"').replace(/"expiresAt": \d+/, '"expiresAt": "never"'),
    );
    await put('huge.json', 'x'.repeat(2_000_000));
    const nested = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    await put('deep.json', good.replaceAll('"good"', '"deep"').replace('"tags": []', `"tags": ${nested}`));
    await put('bad name.json', good);
    await put('.hidden.json', good);
    await put('notes.txt', 'not looked at');
    await mkdir(join(directory, 'orders', 'folder.json'));
    await symlink(join(parent, 'secret.json'), join(directory, 'orders', 'link.json'));
    execFileSync('mkfifo', [join(directory, 'orders', 'pipe.json')]);
    expect(await idsIn(registry)).toEqual(['good']);
    expect(await idsIn(registry)).toEqual(['good']);
    expect(skipped.sort()).toEqual([
      '.hidden.json: its name is not the id of an instance',
      'array.json: it is not a registration',
      'bad name.json: its name is not the id of an instance',
      'deep.json: it is nested too deeply',
      'empty.json: it is not JSON, or only half of it',
      'folder.json: it is not an ordinary file',
      'half.json: it is not JSON, or only half of it',
      'huge.json: it is larger than 1048576 bytes',
      'link.json: it is not an ordinary file',
      'never.json: expiresAt, ttl or token is missing or wrong',
      'other.json: it holds another instance than its name says',
      'pipe.json: it is not an ordinary file',
    ]);
  });

  it('does not follow a link in place of a service', async () => {
    const { registry } = onClock();
    await mkdir(join(parent, 'elsewhere'));
    await mkdir(directory);
    await symlink(join(parent, 'elsewhere'), join(directory, 'orders'));
    await expect(registry.list('orders')).rejects.toThrow('is not a directory');
    await expect(registry.register(instance('a'), { ttl: 1_000 })).rejects.toThrow('is not a directory');
    expect(await readdir(join(parent, 'elsewhere'))).toEqual([]);
    expect(await registry.services()).toEqual([]);
  });

  it('refuses names that lead elsewhere', async () => {
    const { registry } = onClock();
    for (const name of ['..', '../x', 'a/b', '', '.hidden', '__proto__', 'a\0b', 'x'.repeat(129)]) {
      await expect(registry.list(name)).rejects.toThrow('cannot be the name of a file');
      await expect(registry.register(instance(name), { ttl: 1 })).rejects.toThrow(
        'cannot be the name of a file',
      );
      await expect(registry.register(instance('a', name), { ttl: 1 })).rejects.toThrow(
        'cannot be the name of a file',
      );
    }
    expect(await readdir(parent)).toEqual([]);
  });

  it('removes what is long dead, but only after watching it for a whole ttl', async () => {
    const { registry, runtime } = onClock();
    await registry.register(instance('a'), { ttl: 1_000 });
    const reader = onClock(2);
    // The reader's wall clock is an hour ahead: the file looks long expired.
    reader.runtime.clock.jumpWallTime(3_600_000);
    expect(await idsIn(reader.registry)).toEqual([]);
    expect(await filesOf()).toEqual(['a.json']);
    await reader.runtime.clock.advance(1_001);
    expect(await idsIn(reader.registry)).toEqual([]);
    expect(await filesOf()).toEqual([]);
    expect(runtime.clock.now()).toBe(0);
  });

  it('neither loses the living nor keeps the dead when the wall clock jumps', async () => {
    const { registry, runtime } = onClock();
    const { clock } = runtime;
    const handle = await registry.register(instance('alive'), { ttl: 1_000 });
    await registry.register(instance('dead'), { ttl: 1_000 });
    expect(await idsIn(registry)).toEqual(['alive', 'dead']);
    clock.jumpWallTime(3_600_000);
    expect(await idsIn(registry)).toEqual(['alive', 'dead']);
    clock.jumpWallTime(-7_200_000);
    await clock.advance(900);
    expect(await handle.renew()).toBe('renewed');
    await clock.advance(200);
    expect(await idsIn(registry)).toEqual(['alive']);
    // A reader that sees them for the first time, after the jump back, believes a file for one ttl at most.
    const late = onClock(2);
    late.runtime.clock.jumpWallTime(-7_200_000);
    expect(await idsIn(late.registry)).toEqual(['alive', 'dead']);
    await late.runtime.clock.advance(1_001);
    expect(await idsIn(late.registry)).toEqual([]);
  });

  it('removes temporary files that a killed writer left, after a minute', async () => {
    const { registry, runtime } = onClock();
    await registry.register(instance('a'), { ttl: 1_000_000 });
    await writeFile(join(directory, 'orders', '.a.123-x.tmp'), '{');
    await registry.list('orders');
    await runtime.clock.advance(59_000);
    await registry.list('orders');
    expect(await filesOf()).toEqual(['.a.123-x.tmp', 'a.json']);
    await runtime.clock.advance(2_000);
    await registry.list('orders');
    expect(await filesOf()).toEqual(['a.json']);
  });

  it('leaves a registration of the same id by another alone', async () => {
    const { registry } = onClock();
    const first = await registry.register(instance('a'), { ttl: 1_000 });
    const second = await registry.register({ ...instance('a'), port: 4000 }, { ttl: 1_000 });
    expect(await first.renew()).toBe('lost');
    await first.setStatus('draining');
    await first.deregister();
    expect((await registry.list('orders')).map(({ port, status }) => [port, status])).toEqual([[4000, 'up']]);
    expect(await second.renew()).toBe('renewed');
  });

  it('does not say that there are none when the whole directory is gone', async () => {
    const { registry } = onClock();
    expect(await idsIn(registry)).toEqual([]);
    const handle = await registry.register(instance('a'), { ttl: 1_000 });
    await rm(directory, { recursive: true });
    await expect(registry.list('orders')).rejects.toThrow('ENOENT');
    await expect(registry.services()).rejects.toThrow('ENOENT');
    expect(await handle.renew()).toBe('lost');
    await registry.register(instance('a'), { ttl: 1_000 });
    expect(await idsIn(registry)).toEqual(['a']);
  });

  it('does not trust the time at which a file was changed', async () => {
    const { registry } = onClock();
    await registry.register(instance('a'), { ttl: 1_000 });
    await utimes(join(directory, 'orders', 'a.json'), 0, 0);
    expect(await idsIn(registry)).toEqual(['a']);
  });

  it('leaves no temporary file when it cannot write', async () => {
    const { registry } = onClock();
    await mkdir(join(directory, 'orders', 'a.json'), { recursive: true });
    await expect(registry.register(instance('a'), { ttl: 1_000 })).rejects.toThrow();
    expect(await filesOf()).toEqual(['a.json']);
  });

  it.each([
    {},
    { directory: '' },
    { directory: 7 },
    { directory: 'x', pollInterval: 0 },
    { directory: 'x', poll: 1 },
  ])('refuses the options %o', (options) => {
    expect(() => fileRegistry(options as never)).toThrow(InvalidOptionsError);
  });
});
