import { describe, it } from 'vitest';
import { memoryConfig } from '../../src/adapters/memory/config.ts';
import { configSourceConformance } from '../../src/testing/conformance/config-source.ts';

configSourceConformance({
  api: { describe, it },
  name: 'memory',
  create: async (values) => {
    const source = memoryConfig(values);
    return {
      source,
      write: async (next) => source.set(next),
      damage: async () => source.fail(new Error('unreachable')),
      // Such values never get in: `set` throws, and the source is as it was; a damaged one stands for "not loadable".
      pollute: async () => {
        const hostile: object = JSON.parse('{"__proto__":{"polluted":true}}');
        try {
          source.set(hostile);
        } catch (error) {
          source.fail(error as Error);
        }
      },
      close: async () => {},
    };
  },
});
