import type { BalanceStrategy } from '../../src/discovery/balance/balancer.ts';
import { Endpoints } from '../../src/discovery/endpoints.ts';
import type { ServiceInstance } from '../../src/ports/registry-backend.ts';
import { seededRandom } from '../../src/testing/test-runtime.ts';

/** An instance as the registry would give it. */
export function instance(id: string, changes: Partial<ServiceInstance> = {}): ServiceInstance {
  return {
    id,
    service: 'orders',
    host: '127.0.0.1',
    port: 3000,
    secure: false,
    url: `http://${id}:3000`,
    status: 'up',
    weight: 1,
    tags: [],
    metadata: {},
    ...changes,
  };
}

/** One host of the simulated cluster: it serves `slots` calls at a time, and the others queue. */
export interface SimulatedHost {
  readonly slots: number;
  /** Mean service time in milliseconds, exponentially distributed. */
  readonly mean: number;
  /** Whether it fails at once instead of serving. */
  readonly fails?: boolean;
  readonly weight?: number;
}

export interface Simulation {
  readonly strategy: BalanceStrategy;
  readonly hosts: readonly SimulatedHost[];
  readonly clients: number;
  /** Calls per second, of all clients together; they arrive at random (Poisson). */
  readonly rate: number;
  readonly calls: number;
  readonly seed: number;
}

export interface SimulationResult {
  /** Latencies of the successful calls of the second half, sorted, in milliseconds. */
  readonly latencies: readonly number[];
  /** Share of the second half's calls that failed. */
  readonly errors: number;
  /** Share of the second half's calls that each host got. */
  readonly shares: readonly number[];
  readonly percentile: (share: number) => number;
}

interface Event {
  readonly at: number;
  readonly run: () => void;
}

/** A queue of events by time: a binary heap. */
class Agenda {
  readonly #events: Event[] = [];

  add(event: Event): void {
    const events = this.#events;
    let at = events.push(event) - 1;
    while (at > 0 && events[(at - 1) >> 1]!.at > event.at) {
      events[at] = events[(at - 1) >> 1]!;
      at = (at - 1) >> 1;
    }
    events[at] = event;
  }

  next(): Event | undefined {
    const events = this.#events;
    const first = events[0];
    const last = events.pop();
    if (first === undefined || last === undefined || events.length === 0) return first;
    let at = 0;
    for (let child = 1; child < events.length; child = 2 * at + 1) {
      if (child + 1 < events.length && events[child + 1]!.at < events[child]!.at) child += 1;
      if (events[child]!.at >= last.at) break;
      events[at] = events[child]!;
      at = child;
    }
    events[at] = last;
    return first;
  }
}

/** Many clients, each with a balancer of its own, call a few hosts; in virtual time, equal for equal seeds. */
export function simulate(simulation: Simulation): SimulationResult {
  const random = seededRandom(simulation.seed);
  const exponential = (mean: number): number => -Math.log(1 - random()) * mean;
  let now = 0;
  const clock = { now: () => now, wallTime: () => now, schedule: () => ({ cancel() {} }) };
  const agenda = new Agenda();
  const set = simulation.hosts.map((host, index) => instance(`h${index}`, { weight: host.weight ?? 1 }));
  const clients = Array.from({ length: simulation.clients }, () => {
    const endpoints = new Endpoints(simulation.strategy.create({ random }), clock);
    endpoints.update(set);
    return endpoints;
  });
  const hosts = simulation.hosts.map((host) => ({ ...host, busy: 0, queue: [] as (() => void)[], calls: 0 }));
  const latencies: number[] = [];
  let errors = 0;
  const half = simulation.calls / 2;

  const call = (index: number): void => {
    const pick = clients[Math.floor(random() * clients.length)]!.pick(undefined)!;
    const host = hosts[set.findIndex((each) => each.id === pick.instance.id)]!;
    const since = now;
    const measured = index >= half;
    if (measured) host.calls += 1;
    if (host.fails) {
      if (measured) errors += 1;
      agenda.add({ at: now + 0.1, run: () => pick.done('failure') });
      return;
    }
    const serve = (): void => {
      host.busy += 1;
      const finish = (): void => {
        host.busy -= 1;
        pick.done('success');
        if (measured) latencies.push(now - since);
        host.queue.shift()?.();
      };
      agenda.add({ at: now + exponential(host.mean), run: finish });
    };
    if (host.busy < host.slots) serve();
    else host.queue.push(serve);
  };

  let arrival = 0;
  for (let index = 0; index < simulation.calls; index += 1) {
    arrival += exponential(1_000 / simulation.rate);
    agenda.add({ at: arrival, run: () => call(index) });
  }
  for (let event = agenda.next(); event !== undefined; event = agenda.next()) {
    now = event.at;
    event.run();
  }
  latencies.sort((a, b) => a - b);
  return {
    latencies,
    errors: errors / half,
    shares: hosts.map((host) => host.calls / half),
    percentile: (share) => latencies[Math.floor(latencies.length * share)] ?? Number.NaN,
  };
}
