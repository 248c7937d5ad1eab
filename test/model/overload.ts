/**
 * What an overload does to clients that retry, and what the policies do about it. The failure is the metastable one of
 * Bronson, Abutalib, Aghayev and Zhou, "Metastable Failures in Distributed Systems" (HotOS 2021): the overload ends, and
 * the retries that it caused keep the servers overloaded.
 */
import type { Policy } from '../../src/core/policy.ts';
import { RetryBudget } from '../../src/core/retry-budget.ts';
import type { Runtime } from '../../src/core/runtime.ts';
import { adaptiveLimit } from '../../src/resilience/adaptive-limit.ts';
import { CircuitBreaker } from '../../src/resilience/circuit-breaker.ts';
import { pipeline } from '../../src/resilience/pipeline.ts';
import { retry } from '../../src/resilience/retry.ts';
import { timeout } from '../../src/resilience/timeout.ts';
import { seededRandom } from '../../src/testing/test-runtime.ts';
import { EventClock } from './event-clock.ts';
import { Server, type ServerOptions } from './server.ts';

/** The world of a simulation. Times are in seconds. */
export interface World {
  readonly clients: number;
  readonly servers: number;
  readonly server: ServerOptions;
  /** Calls of all clients together, as a share of what the servers can do. */
  readonly load: number;
  /** What the load is multiplied by during the overload. */
  readonly overload: number;
  readonly overloadFrom: number;
  readonly overloadUntil: number;
  readonly end: number;
  readonly seed: number;
}

/** The world that the documentation shows. */
export const world: World = {
  clients: 1_000,
  servers: 50,
  server: { workers: 8, serviceTime: 200, backlog: 1_000 },
  load: 0.6,
  overload: 2,
  overloadFrom: 30,
  overloadUntil: 90,
  end: 180,
  seed: 1,
};

/** What the clients and servers of a simulation are made with. */
export interface Defence {
  readonly name: string;
  /** What one client puts around each call. */
  readonly client: (name: string, runtime: Partial<Runtime>) => Policy;
  /** What one server puts around its work; nothing when undefined. */
  readonly server?: (name: string, runtime: Partial<Runtime>) => Policy;
}

const attempts = 4;
const limit = '1s';

function guarded(name: string, runtime: Partial<Runtime>): Policy {
  const budget = new RetryBudget({ ratio: 0.2, free: 0, runtime });
  const breaker = new CircuitBreaker({ name, openFor: { base: 1_000, jitter: 'equal' }, runtime });
  return pipeline(retry({ attempts, budget, runtime }), breaker, timeout(limit, { runtime }));
}

/** From the usual to the whole. */
export const defences = {
  retries: {
    name: 'retries alone',
    client: (_, runtime) => pipeline(retry({ attempts, runtime }), timeout(limit, { runtime })),
  },
  budget: {
    name: 'with a retry budget',
    client: (_, runtime) => {
      const budget = new RetryBudget({ ratio: 0.2, free: 0, runtime });
      return pipeline(retry({ attempts, budget, runtime }), timeout(limit, { runtime }));
    },
  },
  breaker: { name: 'budget and breaker', client: guarded },
  all: {
    name: 'budget, breaker and adaptive limit',
    client: guarded,
    server: (name, runtime) => adaptiveLimit({ name, runtime }),
  },
} as const satisfies Readonly<Record<string, Defence>>;

/** What happened in one second. */
export interface Second {
  /** Calls that clients made. */
  readonly calls: number;
  /** Requests that reached a server, retries included. */
  readonly requests: number;
  /** Calls that succeeded. */
  readonly goodput: number;
}

/** Let the world run; gives each of its seconds. */
export async function simulate(defence: Defence, options: World = world): Promise<Second[]> {
  const clock = new EventClock();
  const random = seededRandom(options.seed);
  const runtime: Partial<Runtime> = { clock, random };
  const seconds = Array.from({ length: options.end + 60 }, () => ({ calls: 0, requests: 0, goodput: 0 }));
  const now = (): { calls: number; requests: number; goodput: number } =>
    seconds[Math.floor(clock.now() / 1_000)]!;
  const servers = Array.from({ length: options.servers }, (_, i) =>
    serverOf(defence, new Server(options.server, { clock, random }), `server-${i}`, runtime),
  );
  const clients = Array.from({ length: options.clients }, (_, i) => defence.client(`client-${i}`, runtime));
  const request = (): Promise<void> => {
    now().requests += 1;
    return oneOf(servers, random)();
  };
  const call = (): void => {
    now().calls += 1;
    oneOf(clients, random)
      .run(request)
      .then(
        () => {
          now().goodput += 1;
        },
        () => {},
      );
  };
  arrive(options, clock, random, call);
  await clock.runUntil(options.end * 1_000);
  return seconds.slice(0, options.end);
}

function oneOf<T>(all: readonly T[], random: () => number): T {
  return all[Math.floor(random() * all.length)]!;
}

function serverOf(
  defence: Defence,
  server: Server,
  name: string,
  runtime: Partial<Runtime>,
): () => Promise<void> {
  const serve = (): Promise<void> => server.serve();
  if (defence.server === undefined) return serve;
  const guarded = defence.server(name, runtime).wrap(serve);
  // What is refused over there arrives here as a status.
  return () =>
    guarded().catch(() => {
      throw new Error('answered with status 503');
    });
}

/** Calls come at random, so many a millisecond on average as the load says. */
function arrive(options: World, clock: EventClock, random: () => number, call: () => void): void {
  const { workers, serviceTime } = options.server;
  const capacity = (options.servers * workers) / serviceTime;
  const tick = (): void => {
    const second = clock.now() / 1_000;
    const isOverloaded = second >= options.overloadFrom && second < options.overloadUntil;
    const rate = capacity * options.load * (isOverloaded ? options.overload : 1);
    // Knuth's way to draw from a Poisson distribution; fine for a few calls a millisecond.
    for (let left = random(); left > Math.exp(-rate); left *= random()) call();
    if (second < options.end) clock.schedule(1, tick);
  };
  tick();
}

/** Mean goodput of the seconds from `from` until before `until`, as a share of the calls. */
export function goodputShare(seconds: readonly Second[], from: number, until: number): number {
  const part = seconds.slice(from, until);
  const sum = (key: keyof Second): number => part.reduce((total, second) => total + second[key], 0);
  return sum('goodput') / sum('calls');
}

/** Seconds after `from` until goodput has been 95 % of the calls for three seconds on end; Infinity if never. */
export function recoveryTime(seconds: readonly Second[], from: number): number {
  for (let at = from; at + 3 <= seconds.length; at += 1) {
    if ([0, 1, 2].every((ahead) => goodputShare(seconds, at + ahead, at + ahead + 1) >= 0.95))
      return at - from;
  }
  return Number.POSITIVE_INFINITY;
}
