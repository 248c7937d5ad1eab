/**
 * One worker of a cluster that does to its circuit store what the primary commands, and reports what it hears: so the
 * primary can treat the store as its own.
 */
import cluster from 'node:cluster';
import { clusterCircuitStore } from 'holdfast/adapters/cluster';
import { CircuitBreaker, CircuitSharing } from 'holdfast/resilience';

const say = (message) => process.connected && process.send(message);
const offs = new Map();
let store;
let breaker;

const commands = {
  create: (options) => {
    store = clusterCircuitStore(options);
  },
  publish: (notice) => store.publish(notice),
  watch: (watch) => {
    offs.set(
      watch,
      store.watch((notice) => say({ watch, notice })),
    );
  },
  unwatch: (watch) => offs.get(watch)(),
  close: () => store.close(),
  share: async (options) => {
    breaker = new CircuitBreaker({ name: 'payments', consecutiveFailures: 3, openFor: '1h' });
    breaker.on('opened', ({ reason }) => say({ said: reason }));
    const sharing = new CircuitSharing({ store: clusterCircuitStore(options) });
    sharing.on('tellingFailed', ({ error }) => say({ said: error.message }));
    await sharing.add(breaker).start();
  },
  fail: async () => {
    for (let call = 0; call < 3; call += 1)
      await breaker.run(() => Promise.reject(new Error('down'))).catch(() => {});
  },
  leave: () => void setImmediate(() => cluster.worker.disconnect()),
};

process.on('warning', ({ message }) => say({ warned: message }));
process.on('message', async ({ number, command, argument }) => {
  // The adapter's own messages come here, too.
  if (command === undefined) return;
  try {
    await commands[command](argument);
    say({ number });
  } catch (error) {
    say({ number, failed: error.message });
  }
});
say({ ready: true });
