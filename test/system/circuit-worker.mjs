/**
 * One worker thread with a breaker that shares its openings: fails its calls if it is told to, and reports each opening
 * to the thread that started it.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { broadcastCircuitStore } from 'holdfast/adapters/broadcast-channel';
import { CircuitBreaker, CircuitSharing } from 'holdfast/resilience';

const breaker = new CircuitBreaker({ name: 'payments', consecutiveFailures: 3, openFor: '1h' });
breaker.on('opened', ({ reason }) => parentPort.postMessage(reason));
const store = broadcastCircuitStore({ channel: workerData.channel });
await new CircuitSharing({ store }).add(breaker).start();
parentPort.on('message', async () => {
  for (let call = 0; call < 3; call += 1)
    await breaker.run(() => Promise.reject(new Error('down'))).catch(() => {});
});
parentPort.postMessage('ready');
