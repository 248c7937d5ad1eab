import { describe, it } from 'vitest';
import { broadcastCircuitStore } from '../../src/adapters/broadcast-channel.ts';
import { circuitStoreConformance } from '../../src/testing/conformance/circuit-store.ts';

let channels = 0;

circuitStoreConformance({
  api: { describe, it },
  name: 'BroadcastChannel',
  create: async () => {
    channels += 1;
    const channel = `conformance-${process.pid}-${channels}`;
    const store = broadcastCircuitStore({ channel });
    const other = broadcastCircuitStore({ channel });
    return {
      store,
      other,
      wallTime: () => Date.now(),
      // Messages between channels are real events of the loop.
      advance: (duration) => new Promise((resolve) => setTimeout(resolve, duration)),
      close: async () => {
        await store.close();
        await other.close();
      },
    };
  },
});
