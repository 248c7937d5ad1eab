import { mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it } from 'vitest';
import { fileRegistry } from '../../src/adapters/file/registry.ts';
import { registryBackendConformance } from '../../src/testing/conformance/registry-backend.ts';

registryBackendConformance({
  api: { describe, it },
  name: 'file',
  // Long enough that a busy machine does not let a renewal come late.
  ttl: 500,
  create: async () => {
    const parent = await mkdtemp(join(tmpdir(), 'holdfast-registry-'));
    const directory = join(parent, 'registry');
    const aside = join(parent, 'aside');
    const backend = fileRegistry({ directory, pollInterval: 50 });
    const other = fileRegistry({ directory, pollInterval: 50 });
    return {
      backend,
      other,
      advance: async (duration) => void (await sleep(duration)),
      // A file where the directory should be: nothing can be read or written.
      cut: async () => {
        await rename(directory, aside).catch(() => {});
        await writeFile(directory, '');
      },
      heal: async () => {
        await rm(directory);
        await rename(aside, directory).catch(() => {});
      },
      forget: async () => {
        for (const service of await readdir(directory))
          await rm(join(directory, service), { recursive: true });
      },
      close: async () => {
        await Promise.all([backend.close(), other.close()]);
        await rm(parent, { recursive: true, force: true });
      },
    };
  },
});
