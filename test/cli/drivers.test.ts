import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { classOf, loadDriver } from '../../src/cli/drivers.ts';
import { MissingPackageError } from '../../src/core/errors.ts';

describe('drivers', () => {
  let directory = '';
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'holdfast-drivers-'));
    vi.spyOn(process, 'cwd').mockReturnValue(directory);
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    await rm(directory, { recursive: true });
  });

  const install = async (name: string, source: string): Promise<void> => {
    const folder = join(directory, 'node_modules', name);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'package.json'), JSON.stringify({ name, main: 'index.js' }));
    await writeFile(join(folder, 'index.js'), source);
  };

  it('are those of the project in the current directory, before our own', async () => {
    await install('pg', 'module.exports = { Pool: class Own {} };');
    expect(classOf(await loadDriver('pg', 'a store'), 'Pool').name).toBe('Own');
    expect(classOf(await loadDriver('ioredis', 'a store'), 'Redis').name).toBe('Redis');
  });

  it('may export their class by name, as default, or as the module itself', async () => {
    await install('driver-a', 'module.exports = class Whole {};');
    expect(classOf(await loadDriver('driver-a', 'a store'), 'Database').name).toBe('Whole');
    await install('driver-b', 'exports.Other = class {};');
    const module = await loadDriver('driver-b', 'a store');
    expect(() => classOf(module, 'Database')).toThrow('has no Database');
  });

  it('that are missing are told with the command that installs them', async () => {
    const missing = loadDriver('no-such-driver', 'a store in Postgres');
    await expect(missing).rejects.toThrow(MissingPackageError);
    await expect(missing).rejects.toThrow(
      'a store in Postgres needs the package no-such-driver: npm install no-such-driver',
    );
  });
});
