/** A router in a worker: it listens as any other, tells its primary, and stops when that says so. */
import cluster from 'node:cluster';
import type { Clock, Timer } from '../../core/clock.ts';
import { StoreError } from '../../core/errors.ts';
import type { GcraDecision, GcraLimit } from '../../core/gcra.ts';
import { messageOf } from '../../core/holdfast-error.ts';
import type { RateStore } from '../../ports/rate-store.ts';
import type { ListenAddress } from '../doors/node-server.ts';
import type { StopTimes } from '../router-life.ts';
import { LimitIdentities, limitIdentity, type NamedLimit } from './limit-identity.ts';
import {
  type AskedUse,
  enveloped,
  type FromWorker,
  opened,
  type ToWorker,
  workerVariable,
} from './worker-messages.ts';

/** How long the primary may take to say whether a rate limit has room, in milliseconds. */
const patience = 2_000;

/** Whether this process is a worker that a router has started. */
export function isRouterWorker(): boolean {
  return cluster.isWorker && process.env[workerVariable] === '1';
}

/** What a worker's routers can be told. */
export interface StoppableRouter {
  stop(times: StopTimes): Promise<boolean>;
}

const routers: Set<StoppableRouter> = new Set();
let listens = 0;
let everyDrained = true;

/**
 * Listen, and tell the primary how that went.
 *
 * @throws whatever `listen` throws, once the primary knows.
 */
export async function listenInWorker(
  router: StoppableRouter,
  listen: () => Promise<ListenAddress>,
): Promise<ListenAddress> {
  const number = listens;
  listens += 1;
  if (routers.size === 0) process.on('message', hear);
  routers.add(router);
  try {
    const address = await listen();
    await tell({ listen: number, address });
    return address;
  } catch (error) {
    await tell({ listen: number, failure: messageOf(error) });
    throw error;
  }
}

/** A router of this worker has stopped. With the last one the worker lets go of its primary, and can end. */
export async function stoppedInWorker(router: StoppableRouter, drained: boolean): Promise<void> {
  if (!routers.delete(router)) return;
  everyDrained &&= drained;
  if (routers.size > 0) return;
  await tell({ drained: everyDrained });
  process.off('message', hear);
  cluster.worker?.disconnect();
}

function hear(message: unknown): void {
  const ours = opened<ToWorker>(message);
  if (ours?.stop !== undefined) for (const router of routers) void router.stop(ours.stop);
}

/** Resolves once the message is on its way, or cannot be sent: then there is no primary left to tell. */
function tell(message: FromWorker): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) return resolve();
    process.send(enveloped(message), undefined, {}, () => resolve());
  });
}

interface Waiting {
  readonly settle: (decision: GcraDecision) => void;
  readonly refuse: (error: Error) => void;
}

/** Counts with the other workers: the primary decides, and is asked once for all uses of a turn of the event loop. */
class PrimaryRates implements RateStore {
  readonly name = 'the primary process';
  readonly #clock: Clock;
  readonly #waiting: Map<number, Waiting> = new Map();
  #asked: AskedUse[] = [];
  #uses = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    process.on('message', (message) => this.#hear(message));
  }

  take(key: string, rule: GcraLimit, cost = 1): Promise<GcraDecision> {
    return new Promise((settle, refuse) => {
      this.#uses += 1;
      this.#waiting.set(this.#uses, { settle, refuse });
      if (this.#asked.push([this.#uses, key, rule, cost]) === 1) setImmediate(() => this.#ask());
    });
  }

  #ask(): void {
    const uses = this.#asked;
    this.#asked = [];
    const late: Timer = this.#clock.schedule(patience, () => this.#give(uses, 'it did not answer in time'));
    void tell({ uses }).then(() => {
      if (process.connected) return;
      late.cancel();
      this.#give(uses, 'it is gone');
    });
  }

  /** Refuse those that are still without an answer. */
  #give(uses: readonly AskedUse[], why: string): void {
    for (const [number] of uses) {
      this.#waiting.get(number)?.refuse(new StoreError(this.name, 'take from a rate limit', new Error(why)));
      this.#waiting.delete(number);
    }
  }

  #hear(message: unknown): void {
    for (const [number, decision] of opened<ToWorker>(message)?.decisions ?? []) {
      this.#waiting.get(number)?.settle(decision);
      this.#waiting.delete(number);
    }
  }
}

let rates: PrimaryRates | undefined;
const nameless: LimitIdentities = new LimitIdentities();

/**
 * Where a limit without a store of its own is counted in a worker that a router has started; undefined in any other
 * process.
 *
 * @param named whether the user has named the limit.
 * @throws InvalidOptionsError when it has no name, and another one like it has none either.
 */
export function workerRateStore(limit: NamedLimit, named: boolean, clock: Clock): RateStore | undefined {
  if (!isRouterWorker()) return undefined;
  rates ??= new PrimaryRates(clock);
  const store = rates;
  const identity = named ? limitIdentity(limit) : nameless.claim(limit);
  return { name: store.name, take: (key, rule, cost) => store.take(`${identity}/${key}`, rule, cost) };
}
