import { describe, it } from 'vitest';
import { memoryRateStore } from '../../src/adapters/memory/rate-store.ts';
import { rateStoreConformance } from '../../src/testing/conformance/rate-store.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';

rateStoreConformance({
  api: { describe, it },
  name: 'memory',
  create: async () => {
    const runtime = testRuntime();
    const store = memoryRateStore({ runtime });
    return {
      store,
      other: store,
      advance: (duration) => runtime.clock.advance(duration),
      close: async () => {},
    };
  },
});
