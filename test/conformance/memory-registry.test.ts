import { describe, it } from 'vitest';
import { memoryRegistry } from '../../src/adapters/memory/registry.ts';
import { registryBackendConformance } from '../../src/testing/conformance/registry-backend.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';

registryBackendConformance({
  api: { describe, it },
  name: 'memory',
  create: async () => {
    const runtime = testRuntime();
    const backend = memoryRegistry({ runtime });
    return {
      backend,
      other: backend,
      advance: (duration) => runtime.clock.advance(duration),
      cut: async () => backend.partition(),
      heal: async () => backend.heal(),
      forget: async () => backend.forget(),
      close: () => backend.close(),
    };
  },
});
