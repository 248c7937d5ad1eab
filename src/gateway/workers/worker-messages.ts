/** What a router's workers and their primary say to each other. Other messages on the same pipe are not ours. */
import type { GcraDecision, GcraLimit } from '../../core/gcra.ts';
import { isPlainObject } from '../../core/json.ts';
import type { ListenAddress } from '../doors/node-server.ts';
import type { StopTimes } from '../router-life.ts';

const type = 'holdfast:router';

/** Set in the environment of workers that a router has started. */
export const workerVariable = 'HOLDFAST_ROUTER_WORKER';

/** One use of a rate limit: its number, its key and its rule. */
export type AskedUse = readonly [number: number, key: string, rule: GcraLimit, cost: number];

/** From a worker. */
export interface FromWorker {
  /** Which `listen` with workers of its process, from 0. */
  readonly listen?: number | undefined;
  /** That it listens there. */
  readonly address?: ListenAddress | undefined;
  /** Why it does not. */
  readonly failure?: string | undefined;
  /** That all its routers have stopped, and whether all their exchanges had ended. */
  readonly drained?: boolean | undefined;
  readonly uses?: readonly AskedUse[] | undefined;
}

/** To a worker. */
export interface ToWorker {
  readonly stop?: StopTimes | undefined;
  readonly decisions?: readonly (readonly [number: number, decision: GcraDecision])[] | undefined;
}

/** A message of ours as it goes over the pipe. */
export function enveloped(message: FromWorker | ToWorker): object {
  return { type, ...message };
}

/** A message that came over the pipe, or undefined when it is not ours. */
export function opened<M extends FromWorker | ToWorker>(message: unknown): M | undefined {
  return isPlainObject(message) && message.type === type ? (message as M) : undefined;
}
