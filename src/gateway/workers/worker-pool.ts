/**
 * The primary of a router's workers: it starts them, starts those again that die, counts rate limits for all of them,
 * and brings them to rest together. It serves no requests itself.
 */
import cluster, { type Worker } from 'node:cluster';
import { exponential } from '../../core/backoff.ts';
import type { Timer } from '../../core/clock.ts';
import { InvalidOptionsError, WorkerError } from '../../core/errors.ts';
import { GcraTable } from '../../core/gcra.ts';
import type { Runtime } from '../../core/runtime.ts';
import type { ListenAddress } from '../doors/node-server.ts';
import type { WorkerExited } from '../router-events.ts';
import type { StopTimes } from '../router-life.ts';
import { enveloped, type FromWorker, opened, workerVariable } from './worker-messages.ts';

/** A worker that ran for so long, in milliseconds, had no trouble in starting. */
const healthyAfter = 30_000;

/** How much longer than it was told to a worker may take to end, in milliseconds. */
const lastMargin = 3_000;

const backoff = exponential({ base: 200, max: 30_000, jitter: 'equal' });

/** A place for a worker: when one dies, another takes it. */
interface Slot {
  worker: Worker | undefined;
  startedAt: number;
  /** How many in a row died young. */
  crashes: number;
  failure: string | undefined;
  readonly addresses: Map<number, ListenAddress>;
  drained: boolean;
  restart: Timer | undefined;
}

interface Waiter {
  readonly settle: (address: ListenAddress) => void;
  readonly refuse: (error: Error) => void;
}

/** The workers of this process. */
export class WorkerPool {
  readonly size: number;
  readonly #runtime: Runtime;
  readonly #onExit: (event: WorkerExited) => void;
  readonly #slots: Slot[];
  readonly #waiters: Map<number, Waiter> = new Map();
  readonly #rates: GcraTable = new GcraTable();
  readonly #gone: Set<() => void> = new Set();
  #listens = 0;
  #started = false;
  #stopping: Promise<boolean> | undefined;

  constructor(size: number, runtime: Runtime, onExit: (event: WorkerExited) => void) {
    this.size = size;
    this.#runtime = runtime;
    this.#onExit = onExit;
    this.#slots = Array.from({ length: size }, () => ({
      worker: undefined,
      startedAt: 0,
      crashes: 0,
      failure: undefined,
      addresses: new Map(),
      drained: true,
      restart: undefined,
    }));
    for (const slot of this.#slots) this.#fork(slot);
  }

  /**
   * Until every worker listens where its own call of the same number does.
   *
   * @throws WorkerError when one ends before it does.
   */
  listen(): Promise<ListenAddress> {
    const number = this.#listens;
    this.#listens += 1;
    this.#started = false;
    return new Promise((settle, refuse) => {
      this.#waiters.set(number, { settle, refuse });
      this.#settle();
    });
  }

  #settle(): void {
    for (const [number, waiter] of this.#waiters) {
      const addresses = this.#slots.map((slot) => slot.addresses.get(number));
      if (addresses.includes(undefined)) continue;
      this.#waiters.delete(number);
      waiter.settle(addresses[0]!);
    }
    this.#started = this.#waiters.size === 0;
  }

  #fork(slot: Slot): void {
    const worker = cluster.fork({ [workerVariable]: '1' });
    slot.worker = worker;
    slot.startedAt = this.#runtime.clock.now();
    slot.addresses.clear();
    worker.on('message', (message: unknown) => this.#hear(slot, worker, opened<FromWorker>(message)));
    worker.on('error', () => {
      // One that could not be made has no process, and so no exit.
      if (worker.process.pid === undefined && slot.worker === worker) this.#ended(slot, worker, null, null);
    });
    worker.once('exit', (code, signal) => {
      if (slot.worker === worker) this.#ended(slot, worker, code, signal);
    });
  }

  #hear(slot: Slot, worker: Worker, message: FromWorker | undefined): void {
    if (message === undefined) return;
    const { listen, address, failure, drained, uses } = message;
    if (uses !== undefined) {
      const now = this.#runtime.clock.now();
      const decisions = uses.map(
        ([number, key, rule, cost]) => [number, this.#rates.take(key, now, rule, cost)] as const,
      );
      if (worker.isConnected()) worker.send(enveloped({ decisions }), () => {});
    }
    if (drained !== undefined) slot.drained = drained;
    if (failure !== undefined) slot.failure = failure;
    if (listen === undefined || address === undefined) return;
    slot.addresses.set(listen, address);
    this.#settle();
  }

  #ended(slot: Slot, worker: Worker, code: number | null, signal: string | null): void {
    slot.worker = undefined;
    const restarts = this.#stopping === undefined && this.#started;
    const { clock, random } = this.#runtime;
    slot.crashes = clock.now() - slot.startedAt < healthyAfter ? slot.crashes + 1 : 1;
    const wait = backoff(slot.crashes, random);
    const pid = worker.process.pid ?? 0;
    this.#onExit({ pid, code, signal, restartIn: restarts ? wait : undefined });
    if (restarts) slot.restart = clock.schedule(wait, () => this.#fork(slot), { hold: true });
    else if (this.#stopping === undefined) this.#failed(slot, code ?? signal);
    for (const told of this.#gone) told();
  }

  /** One has ended before all listened: none of them can be counted on, and whoever waits has to know. */
  #failed(slot: Slot, how: number | string | null): void {
    const error = new WorkerError(`one ended (${how}) before it listened`, slot.failure);
    for (const { refuse } of this.#waiters.values()) refuse(error);
    this.#waiters.clear();
    void this.stop({ grace: 0, timeout: 0 });
  }

  /** Stop every worker, and end those that take too long; whether all their exchanges had ended. Idempotent. */
  stop(times: StopTimes): Promise<boolean> {
    this.#stopping ??= this.#stop(times);
    return this.#stopping;
  }

  async #stop(times: StopTimes): Promise<boolean> {
    for (const slot of this.#slots) {
      slot.restart?.cancel();
      slot.drained = false;
      if (slot.worker?.isConnected()) slot.worker.send(enveloped({ stop: times }), () => {});
    }
    const kill = (): void => {
      for (const { worker } of this.#slots) worker?.process.kill('SIGKILL');
    };
    const { clock } = this.#runtime;
    const late = clock.schedule(times.grace + times.timeout + lastMargin, kill, { hold: true });
    await this.#allGone();
    late.cancel();
    if (pool === this) pool = undefined;
    return this.#slots.every(({ drained }) => drained);
  }

  #allGone(): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (this.#slots.every(({ worker }) => worker === undefined)) resolve();
      };
      this.#gone.add(look);
      look();
    });
  }
}

/** One for a process: each worker runs the whole program, with all its routers. */
let pool: WorkerPool | undefined;

/**
 * The workers of this process, which is their primary.
 *
 * @throws InvalidOptionsError when there are some already, and not so many.
 */
export function workerPool(
  size: number,
  runtime: Runtime,
  onExit: (event: WorkerExited) => void,
): WorkerPool {
  if (pool !== undefined && pool.size !== size) {
    throw new InvalidOptionsError('RequestRouter.listen', [
      { field: 'workers', received: String(size), accepts: `${pool.size}, as in the call before` },
    ]);
  }
  pool ??= new WorkerPool(size, runtime, onExit);
  return pool;
}
