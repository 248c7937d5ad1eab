/**
 * What chooses among the instances of one service. A {@link BalanceStrategy} is what a user passes as `balance`; it
 * makes one {@link Balancer} for each service, so that services do not share state.
 *
 * A balancer never sees draining or excluded instances while better ones are left: that is settled before.
 */
import type { Runtime } from '../../core/runtime.ts';
import type { ServiceInstance } from '../../ports/registry-backend.ts';

/** One instance as a balancer sees it. Kept across updates of the set for as long as its id and address stay. */
export interface Endpoint<State = unknown> {
  /** The instance as it was in the newest set. */
  readonly instance: ServiceInstance;
  /** How many calls to it are under way from this process. */
  readonly inFlight: number;
  /** What {@link Balancer.admit} made for it. */
  readonly state: State;
}

/** Chooses among the instances of one service. */
export interface Balancer<State = unknown> {
  /** The state of an endpoint that is new, given those that were there before. */
  admit(instance: ServiceInstance, peers: readonly Endpoint<State>[]): State;
  /**
   * One of the endpoints, of which there is at least one. The same array means the same set.
   *
   * @param now monotonic milliseconds
   */
  choose(endpoints: readonly Endpoint<State>[], now: number): Endpoint<State>;
  /**
   * Learn how a call ended; cancelled calls are never reported.
   *
   * @param latency how long it took, in milliseconds
   */
  learn(endpoint: Endpoint<State>, outcome: 'success' | 'failure', latency: number, now: number): void;
}

/** A way to balance: what `balance` takes. */
export interface BalanceStrategy {
  /** For people, such as `p2c`. */
  readonly name: string;
  /** A balancer for one service. */
  create(runtime: Pick<Runtime, 'random'>): Balancer;
}
