import nodeCluster, { type Cluster, type Worker } from 'node:cluster';
import type { Timer } from '../core/clock.ts';
import type { Duration } from '../core/duration.ts';
import type { Unsubscribe } from '../core/emitter.ts';
import { InvalidOptionsError, StoreError } from '../core/errors.ts';
import { isPlainObject } from '../core/json.ts';
import { type DebugLog, debugLog, warnOf } from '../core/log.ts';
import { durationOption, parseOptions, runtimeOption, z } from '../core/options.ts';
import { type Runtime, resolveRuntime } from '../core/runtime.ts';
import type { CircuitNotice, CircuitStore } from '../ports/circuit-store.ts';
import { CircuitNotices, noticeFrom } from './internal/circuit-notices.ts';

/** Options of {@link relayCircuits}. */
export interface RelayCircuitsOptions {
  /** Clock to forget by. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

/** Options of {@link clusterCircuitStore}. */
export interface ClusterCircuitStoreOptions {
  /** How long the primary may take to answer before it counts as one that does not relay. At least 1 ms. Default 5 s. */
  readonly patience?: Duration | undefined;
  /** Clock and ids. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

const relaySchema = z.strictObject({ runtime: runtimeOption() });

const storeSchema = z.strictObject({
  patience: durationOption(1).default(5_000),
  runtime: runtimeOption(),
});

/** Tells our messages from those of the program, which share the pipe. */
const type = 'holdfast:circuits';

/** From a store in a worker: a notice, or the question for those that are open. The primary answers each by its number. */
type Request = { readonly ask: true } | { readonly notice: CircuitNotice };

/**
 * Make the primary of a cluster relay between the stores of its workers, and remember what is open for workers that
 * come later. To be called once, in the primary, before or after it forks. Returns how to stop it.
 *
 * @example
 * import cluster from 'node:cluster';
 * if (cluster.isPrimary) relayCircuits(cluster);
 *
 * @throws InvalidOptionsError when it is not called with the `cluster` of a primary, or an option is not acceptable.
 */
export function relayCircuits(cluster: Cluster, options: RelayCircuitsOptions = {}): Unsubscribe {
  const { clock } = resolveRuntime(parseOptions('relayCircuits', relaySchema, options).runtime);
  if (cluster?.isPrimary !== true) {
    const accepts = "what node:cluster exports, in the cluster's primary";
    throw new InvalidOptionsError('relayCircuits', [
      { field: 'cluster', received: 'that of a worker, or none', accepts },
    ]);
  }
  const notices = new CircuitNotices();
  const log = debugLog('cluster-circuits');
  const workers = (): Worker[] =>
    Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined);
  const hear = (worker: Worker, message: unknown): void => {
    if (!isPlainObject(message) || message.type !== type) return;
    const { from, number } = message;
    const open = notices.open(clock.wallTime());
    const notice = noticeFrom(message.notice);
    if (notice !== undefined && notices.keep(notice)) {
      // To the worker that said it as well: it may have other stores.
      for (const one of workers()) send(one, { from, notice }, log);
    }
    send(worker, { to: from, number, open: message.ask === true ? open : [] }, log);
  };
  cluster.on('message', hear);
  // Workers that were there first have asked in vain.
  for (const worker of workers()) send(worker, { began: true }, log);
  return () => void cluster.off('message', hear);
}

/** Send to one who may be dying: then there is nobody to tell. */
function send(worker: Worker, message: object, log: DebugLog): void {
  if (!worker.isConnected()) return;
  worker.send({ type, ...message }, (error) => {
    if (error) log('cannot tell worker %d: %s', worker.id, error);
  });
}

/**
 * Tells notices between the workers of one `node:cluster`, without a server: they go by the primary, which must have
 * called {@link relayCircuits}. If it has not, each worker's breakers work on their own, and a process warning says so.
 *
 * @throws InvalidOptionsError naming each option that is not acceptable. `publish` rejects with `StoreError`.
 */
export function clusterCircuitStore(options: ClusterCircuitStoreOptions = {}): CircuitStore {
  const { patience, runtime } = parseOptions('clusterCircuitStore', storeSchema, options);
  return new ClusterStore(nodeCluster.worker, patience, resolveRuntime(runtime));
}

/** A request that the primary has not answered yet. */
interface Pending {
  timer: Timer;
  readonly settle: (error?: Error) => void;
}

class ClusterStore implements CircuitStore {
  readonly name = 'cluster';
  readonly #worker: Worker | undefined;
  readonly #patience: number;
  readonly #runtime: Runtime;
  readonly #id: string;
  readonly #notices: CircuitNotices = new CircuitNotices();
  readonly #log: DebugLog = debugLog('cluster-circuits');
  readonly #pending: Map<number, Pending> = new Map();
  readonly #hearing = (message: unknown): void => this.#hear(message);
  #requests = 0;
  #listens = false;
  #closed = false;
  #warned = false;

  constructor(worker: Worker | undefined, patience: number, runtime: Runtime) {
    this.#worker = worker;
    this.#patience = patience;
    this.#runtime = runtime;
    this.#id = runtime.id();
  }

  async publish(notice: CircuitNotice): Promise<void> {
    this.#notices.open(this.#runtime.clock.wallTime());
    this.#notices.keep(notice);
    const told = this.#request({ notice });
    this.#notices.tell(notice);
    try {
      await told;
    } catch (error) {
      throw new StoreError(
        'cluster',
        `tell that circuit breaker ${notice.breaker} is ${notice.state}`,
        error,
      );
    }
  }

  watch(listener: (notice: CircuitNotice) => void): Unsubscribe {
    const off = this.#notices.watch(listener, this.#runtime.clock.wallTime());
    this.#send({ ask: true });
    return off;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#notices.silence();
    this.#worker?.off('message', this.#hearing);
    for (const number of [...this.#pending.keys()]) this.#settle(number, new Error('the store was closed'));
  }

  /** A request that nobody waits for. */
  #send(request: Request): void {
    this.#request(request).catch((error) => this.#log('%s', error));
  }

  /** Resolves once the primary has relayed it. */
  #request(request: Request): Promise<void> {
    const worker = this.#worker;
    if (this.#closed) return Promise.reject(new Error('the store is closed'));
    if (worker === undefined) {
      // Alone there is nobody to tell, so nothing failed; but it may be a mistake.
      this.#warn('this process is no worker of node:cluster', 'use clusterCircuitStore() in workers');
      return Promise.resolve();
    }
    if (!this.#listens) worker.on('message', this.#hearing);
    this.#listens = true;
    this.#requests += 1;
    const number = this.#requests;
    return new Promise((resolve, reject) => {
      const settle = (error?: Error): void => (error === undefined ? resolve() : reject(error));
      this.#pending.set(number, { timer: this.#expire(number), settle });
      worker.send({ type, from: this.#id, number, ...request }, (error) => {
        if (error) this.#settle(number, error);
      });
    });
  }

  #expire(number: number): Timer {
    const { clock } = this.#runtime;
    const giveUp = (): void => {
      this.#warn('the primary does not answer', 'call relayCircuits(cluster) in the primary');
      this.#settle(number, new Error('the primary does not answer; call relayCircuits(cluster) in it'));
    };
    return clock.schedule(this.#patience, () => {
      // If this process was busy for long the answer may wait behind this timer: let it be read first.
      const pending = this.#pending.get(number);
      if (pending !== undefined) pending.timer = clock.schedule(1, giveUp);
    });
  }

  #settle(number: number, error?: Error): void {
    const pending = this.#pending.get(number);
    this.#pending.delete(number);
    pending?.timer.cancel();
    pending?.settle(error);
  }

  #hear(message: unknown): void {
    if (!isPlainObject(message) || message.type !== type) return;
    if (message.began === true) this.#introduce();
    else if (message.to === this.#id) {
      this.#settle(Number(message.number));
      for (const notice of Array.isArray(message.open) ? message.open : []) this.#learn(notice);
    } else if (message.to === undefined && message.from !== this.#id) this.#learn(message.notice);
  }

  /** A relay has begun that knows nothing yet: tell what is known here, and learn what others tell. */
  #introduce(): void {
    for (const notice of this.#notices.open(this.#runtime.clock.wallTime())) this.#send({ notice });
    this.#send({ ask: true });
  }

  #learn(value: unknown): void {
    const notice = noticeFrom(value);
    if (notice !== undefined && this.#notices.keep(notice)) this.#notices.tell(notice);
  }

  #warn(what: string, remedy: string): void {
    if (this.#warned) return;
    this.#warned = true;
    warnOf(`circuit breakers do not share their openings: ${what}`, remedy);
  }
}
