/** Breakers in real worker threads that share their openings over a BroadcastChannel. */
import { Worker } from 'node:worker_threads';
import { afterEach, expect, it } from 'vitest';

const workers: Worker[] = [];
afterEach(async () => {
  for (const worker of workers.splice(0)) await worker.terminate();
});

/** Threads share two cores with others; a limit only ends what hangs. */
const patiently = { timeout: 60_000 };

const channel = `circuit-workers-${process.pid}`;

/** Starts a thread; what it says is in the list. */
function start(): { readonly worker: Worker; readonly said: string[] } {
  const worker = new Worker(new URL('./circuit-worker.mjs', import.meta.url), { workerData: { channel } });
  const said: string[] = [];
  worker.on('message', (message: string) => said.push(message));
  workers.push(worker);
  return { worker, said };
}

it('a thread opens because another one has, and so does one that is started later', async () => {
  const [one, two] = [start(), start()];
  for (const { said } of [one, two]) await expect.poll(() => said, patiently).toEqual(['ready']);
  one.worker.postMessage('fail');
  await expect.poll(() => one.said, patiently).toEqual(['ready', 'consecutive-failures']);
  await expect.poll(() => two.said, patiently).toEqual(['ready', 'shared']);
  const late = start();
  await expect.poll(() => [...late.said].sort(), patiently).toEqual(['ready', 'shared']);
});
