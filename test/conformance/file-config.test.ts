import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'vitest';
import { stringify } from 'yaml';
import { fileConfig } from '../../src/adapters/file/config.ts';
import { configSourceConformance } from '../../src/testing/conformance/config-source.ts';

const formats = [
  {
    extension: '.yaml',
    encode: (values: object) => stringify(values),
    hostile: '"__proto__": { polluted: true }',
  },
  {
    extension: '.json',
    encode: (values: object) => JSON.stringify(values),
    hostile: '{"__proto__":{"polluted":true}}',
  },
];

for (const { extension, encode, hostile } of formats) {
  configSourceConformance({
    api: { describe, it },
    name: `file (${extension})`,
    create: async (values) => {
      const directory = await mkdtemp(join(tmpdir(), 'holdfast-config-'));
      const path = join(directory, `orders${extension}`);
      await writeFile(path, encode(values));
      return {
        source: fileConfig(join(directory, 'orders'), { pollInterval: 50 }),
        write: (next) => writeFile(path, encode(next)),
        damage: () => writeFile(path, '{ "half": '),
        pollute: () => writeFile(path, hostile),
        close: () => rm(directory, { recursive: true, force: true }),
      };
    },
  });
}
