import { describe, it } from 'vitest';
import { memorySagaStore } from '../../src/adapters/memory/saga-store.ts';
import { sagaStoreConformance } from '../../src/testing/conformance/saga-store.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';

sagaStoreConformance({
  describe,
  it,
  name: 'memory',
  open: async () => {
    const runtime = testRuntime();
    const store = memorySagaStore({ runtime });
    return {
      store,
      another: async () => store,
      now: () => runtime.clock.wallTime(),
      pass: (duration) => runtime.clock.advance(duration),
      dispose: () => store.close(),
    };
  },
  except: {
    'parks what cannot be decoded, and goes on with the others': 'nobody else can write to its memory',
  },
});
