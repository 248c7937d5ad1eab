import { describe, it } from 'vitest';
import { memoryCircuitStore } from '../../src/adapters/memory/circuit-store.ts';
import { circuitStoreConformance } from '../../src/testing/conformance/circuit-store.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';

circuitStoreConformance({
  api: { describe, it },
  name: 'memory',
  create: async () => {
    const { clock } = testRuntime();
    const store = memoryCircuitStore({ runtime: { clock } });
    return {
      store,
      other: store,
      wallTime: () => clock.wallTime(),
      advance: (duration) => clock.advance(duration),
      close: () => store.close(),
    };
  },
});
