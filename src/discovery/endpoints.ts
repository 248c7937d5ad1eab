import type { Clock } from '../core/clock.ts';
import type { ServiceInstance } from '../ports/registry-backend.ts';
import type { Pick, PickOutcome } from '../ports/resolver.ts';
import type { Balancer, Endpoint } from './balance/balancer.ts';

class KnownEndpoint implements Endpoint {
  instance: ServiceInstance;
  inFlight = 0;
  readonly state: unknown;

  constructor(instance: ServiceInstance, state: unknown) {
    this.instance = instance;
    this.state = state;
  }
}

/** Picks from nothing but the newest set of one service; what is known of an instance outlives changes of the set. */
export class Endpoints {
  readonly #balancer: Balancer;
  readonly #clock: Clock;
  #known: ReadonlyMap<string, KnownEndpoint> = new Map();
  // Immutable and swapped whole, so that a balancer may cache by identity.
  #up: readonly KnownEndpoint[] = [];
  #draining: readonly KnownEndpoint[] = [];

  constructor(balancer: Balancer, clock: Clock) {
    this.#balancer = balancer;
    this.#clock = clock;
  }

  /** Take over a new set. */
  update(instances: readonly ServiceInstance[]): void {
    const stay = instances
      .map((instance) => this.#known.get(instance.id))
      .filter((endpoint) => endpoint !== undefined);
    const next = instances.map((instance) => this.#endpointOf(instance, stay));
    this.#known = new Map(next.map((endpoint) => [endpoint.instance.id, endpoint]));
    this.#up = next.filter((endpoint) => endpoint.instance.status === 'up');
    this.#draining = next.filter((endpoint) => endpoint.instance.status === 'draining');
  }

  #endpointOf(instance: ServiceInstance, peers: readonly KnownEndpoint[]): KnownEndpoint {
    const known = this.#known.get(instance.id);
    // At another address it is another process, of which nothing is known.
    if (known?.instance.url !== instance.url) {
      return new KnownEndpoint(instance, this.#balancer.admit(instance, peers));
    }
    known.instance = instance;
    return known;
  }

  /**
   * One instance, or undefined when there is none. In order of preference: up and not excluded, draining and not
   * excluded, up, draining.
   */
  pick(exclude: ReadonlySet<string> | undefined): Pick | undefined {
    const candidates = this.#candidates(exclude);
    if (candidates.length === 0) return undefined;
    const now = this.#clock.now();
    const endpoint = this.#balancer.choose(candidates, now) as KnownEndpoint;
    return new BalancedPick(endpoint, this.#balancer, this.#clock, now);
  }

  #candidates(exclude: ReadonlySet<string> | undefined): readonly KnownEndpoint[] {
    const all = this.#up.length > 0 ? this.#up : this.#draining;
    if (exclude === undefined || exclude.size === 0) return all;
    const fresh = (endpoint: KnownEndpoint): boolean => !exclude.has(endpoint.instance.id);
    const up = this.#up.filter(fresh);
    if (up.length > 0) return up;
    const draining = this.#draining.filter(fresh);
    return draining.length > 0 ? draining : all;
  }
}

class BalancedPick implements Pick {
  readonly instance: ServiceInstance;
  readonly #endpoint: KnownEndpoint;
  readonly #balancer: Balancer;
  readonly #clock: Clock;
  readonly #since: number;
  #finished = false;

  constructor(endpoint: KnownEndpoint, balancer: Balancer, clock: Clock, now: number) {
    this.instance = endpoint.instance;
    this.#endpoint = endpoint;
    this.#balancer = balancer;
    this.#clock = clock;
    this.#since = now;
    endpoint.inFlight += 1;
  }

  done(outcome: PickOutcome): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#endpoint.inFlight -= 1;
    if (outcome === 'cancelled') return;
    const now = this.#clock.now();
    this.#balancer.learn(this.#endpoint, outcome, now - this.#since, now);
  }
}
