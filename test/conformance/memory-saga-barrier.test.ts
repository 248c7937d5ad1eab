import { describe, it } from 'vitest';
import { memorySagaBarrier } from '../../src/adapters/memory/saga-barrier.ts';
import { sagaBarrierConformance } from '../../src/testing/conformance/saga-barrier.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';

sagaBarrierConformance({
  api: { describe, it },
  name: 'memory',
  create: async () => {
    const runtime = testRuntime();
    const barrier = memorySagaBarrier({ runtime });
    let balance = 0;
    return {
      barrier,
      other: barrier,
      add: (transaction, amount) =>
        transaction.apply(() => {
          balance += amount;
        }),
      balance: async () => balance,
      wallTime: () => runtime.clock.wallTime(),
      advance: (duration) => runtime.clock.advance(duration),
      close: async () => {},
    };
  },
});
