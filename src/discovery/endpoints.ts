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

/** Accepts the instances of a subset. */
type InstanceFilter = (instance: ServiceInstance) => boolean;

/** The endpoints that may be picked. Immutable, so that a balancer may cache by identity. */
interface Subset {
  readonly up: readonly KnownEndpoint[];
  readonly draining: readonly KnownEndpoint[];
}

/** Picks from nothing but the newest set of one service; what is known of an instance outlives changes of the set. */
export class Endpoints {
  readonly #balancer: Balancer;
  readonly #clock: Clock;
  #known: ReadonlyMap<string, KnownEndpoint> = new Map();
  #all: Subset = { up: [], draining: [] };
  /** What each subset's function accepts of the newest set. */
  #subsets: WeakMap<InstanceFilter, Subset> = new WeakMap();

  constructor(balancer: Balancer, clock: Clock) {
    this.#balancer = balancer;
    this.#clock = clock;
  }

  /** Whether there is nothing to pick, in any subset. */
  get empty(): boolean {
    return this.#all.up.length + this.#all.draining.length === 0;
  }

  /** Take over a new set. */
  update(instances: readonly ServiceInstance[]): void {
    const stay = instances
      .map((instance) => this.#known.get(instance.id))
      .filter((endpoint) => endpoint !== undefined);
    const next = instances.map((instance) => this.#endpointOf(instance, stay));
    this.#known = new Map(next.map((endpoint) => [endpoint.instance.id, endpoint]));
    this.#all = {
      up: next.filter((endpoint) => endpoint.instance.status === 'up'),
      draining: next.filter((endpoint) => endpoint.instance.status === 'draining'),
    };
    this.#subsets = new WeakMap();
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
   * excluded, up, draining; always among those that `only` accepts.
   */
  pick(exclude: ReadonlySet<string> | undefined, only?: InstanceFilter): Pick | undefined {
    const candidates = candidatesOf(only === undefined ? this.#all : this.#subset(only), exclude);
    if (candidates.length === 0) return undefined;
    const now = this.#clock.now();
    const endpoint = this.#balancer.choose(candidates, now) as KnownEndpoint;
    return new BalancedPick(endpoint, this.#balancer, this.#clock, now);
  }

  #subset(only: InstanceFilter): Subset {
    const known = this.#subsets.get(only);
    if (known !== undefined) return known;
    const accepted = ({ instance }: KnownEndpoint): boolean => only(instance);
    const subset = { up: this.#all.up.filter(accepted), draining: this.#all.draining.filter(accepted) };
    this.#subsets.set(only, subset);
    return subset;
  }
}

function candidatesOf(subset: Subset, exclude: ReadonlySet<string> | undefined): readonly KnownEndpoint[] {
  const all = subset.up.length > 0 ? subset.up : subset.draining;
  if (exclude === undefined || exclude.size === 0) return all;
  const fresh = (endpoint: KnownEndpoint): boolean => !exclude.has(endpoint.instance.id);
  const up = subset.up.filter(fresh);
  if (up.length > 0) return up;
  const draining = subset.draining.filter(fresh);
  return draining.length > 0 ? draining : all;
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
