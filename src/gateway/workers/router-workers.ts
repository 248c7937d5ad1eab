import { availableParallelism } from 'node:os';
import type { Runtime } from '../../core/runtime.ts';
import type { ListenAddress } from '../doors/node-server.ts';
import type { WorkerExited } from '../router-events.ts';
import type { StopTimes } from '../router-life.ts';
import { type WorkerPool, workerPool } from './worker-pool.ts';
import { isRouterWorker, listenInWorker, type StoppableRouter, stoppedInWorker } from './worker-side.ts';

/** What a router has to do with worker processes: nothing, to have some, or to run in one. */
export class RouterWorkers {
  readonly #runtime: Runtime;
  readonly #router: StoppableRouter;
  readonly #onExit: (event: WorkerExited) => void;
  #pool: WorkerPool | undefined;

  constructor(runtime: Runtime, router: StoppableRouter, onExit: (event: WorkerExited) => void) {
    this.#runtime = runtime;
    this.#router = router;
    this.#onExit = onExit;
  }

  /**
   * Listen in workers, or here when this is one of them or there are none.
   *
   * @throws WorkerError when one of them ends before it listens; whatever `here` throws.
   */
  listen(workers: number | 'auto' | undefined, here: () => Promise<ListenAddress>): Promise<ListenAddress> {
    if (workers === undefined) return here();
    if (isRouterWorker()) return listenInWorker(this.#router, here);
    const size = workers === 'auto' ? availableParallelism() : workers;
    this.#pool = workerPool(size, this.#runtime, this.#onExit);
    return this.#pool.listen();
  }

  /** Stop the workers, if there are any; whether all their exchanges had ended. */
  async stop(times: StopTimes): Promise<boolean> {
    return (await this.#pool?.stop(times)) ?? true;
  }

  /** This process's router has stopped. */
  async stopped(drained: boolean): Promise<void> {
    await stoppedInWorker(this.#router, drained);
  }
}
