import type { Duration } from '../../core/duration.ts';
import { durationOption, parseOptions, z } from '../../core/options.ts';
import type { ServiceInstance } from '../../ports/registry-backend.ts';
import type { Balancer, BalanceStrategy, Endpoint } from './balancer.ts';

/** Options of {@link p2c}. */
export interface P2cOptions {
  /** How long a measured latency is remembered: after this time it counts for about a third. Default `'2s'`. */
  readonly memory?: Duration;
  /**
   * What a failure adds to the latency that is remembered. Without it, an instance that fails at once would look like
   * the fastest and draw all the traffic. Where calls are slow, ten times the usual latency if that is more.
   * Default `'1s'`.
   */
  readonly penalty?: Duration;
  /**
   * An instance that was left aside this long is tried again when its turn comes. The wait doubles, up to ten times as
   * long, until it is chosen on its merits. Default `'3s'`.
   */
  readonly probation?: Duration;
}

const optionsSchema = z.strictObject({
  memory: durationOption(1).default(2_000),
  penalty: durationOption().default(1_000),
  probation: durationOption().default(3_000),
});
type P2cSettings = z.output<typeof optionsSchema>;

interface P2cState {
  /** Moving average in milliseconds, failures' penalties included; 0 while nothing is known. */
  latency: number;
  /** Whether `latency` was measured here, rather than borrowed from the peers. */
  measured: boolean;
  learntAt: number;
  chosenAt: number;
  /** How long it may be left aside before it is tried again; doubles while it stays too costly to be chosen. */
  wait: number;
}

/**
 * How much cheaper the second draw must be to be preferred. Within it two instances count as equal and the first draw,
 * which follows the weights, stands; so noise in latency does not decide the shares.
 */
const clearlyCheaper = 0.8;

/** Trying again what fails costs failures, so the waits between tries grow, up to so many times the first. */
const longestProbation = 10;

/** The least that one call counts, so that many calls in one millisecond are not all ignored. */
const leastInfluence = 0.02;

/**
 * The power of two choices (Mitzenmacher, 1996) over latency × load, the default: draw two instances, the first in
 * proportion to weight, and take the first unless the second is clearly cheaper. The cost of an instance is its
 * exponentially weighted moving average of latency × (1 + calls in flight relative to its weight), as in Finagle's
 * peak EWMA; failures count as slow calls, cancelled ones not at all. A new instance starts at the median of its peers.
 *
 * A pick takes constant time (logarithmic when weights differ).
 *
 * @throws InvalidOptionsError
 */
export function p2c(options: P2cOptions = {}): BalanceStrategy {
  const settings = parseOptions('p2c', optionsSchema, options);
  return { name: 'p2c', create: ({ random }) => new P2cBalancer(settings, random) };
}

class P2cBalancer implements Balancer<P2cState> {
  readonly #settings: P2cSettings;
  readonly #random: () => number;
  /** The array that `#weights` belongs to. Sets rarely change, so one entry is a good cache. */
  #weighed: readonly Endpoint<P2cState>[] | undefined;
  #weights: Weights = new Weights([]);
  /** Moving average of successful calls to any instance: what is usual here. */
  #usual = 0;

  constructor(settings: P2cSettings, random: () => number) {
    this.#settings = settings;
    this.#random = random;
  }

  admit(_instance: ServiceInstance, peers: readonly Endpoint<P2cState>[]): P2cState {
    const known = peers.map((p) => p.state.latency).filter((latency) => latency > 0);
    known.sort((a, b) => a - b);
    const latency = known[Math.floor(known.length / 2)] ?? 0;
    const chosenAt = Number.NEGATIVE_INFINITY;
    return { latency, measured: false, learntAt: 0, chosenAt, wait: this.#settings.probation };
  }

  choose(endpoints: readonly Endpoint<P2cState>[], now: number): Endpoint<P2cState> {
    const chosen = endpoints.length === 1 ? endpoints[0]! : this.#chooseOfTwo(endpoints, now);
    chosen.state.chosenAt = now;
    return chosen;
  }

  #chooseOfTwo(endpoints: readonly Endpoint<P2cState>[], now: number): Endpoint<P2cState> {
    if (this.#weighed !== endpoints) {
      this.#weights = new Weights(endpoints.map((e) => e.instance.weight));
      this.#weighed = endpoints;
    }
    const at = this.#weights.draw(this.#random);
    const first = endpoints[at]!;
    const second = endpoints[this.#weights.drawOther(at, this.#random)]!;
    // What was left aside was judged by an old latency. Not while it has calls in flight: they will tell.
    if (first.inFlight === 0 && now - first.state.chosenAt > first.state.wait) {
      first.state.wait = Math.min(2 * first.state.wait, longestProbation * this.#settings.probation);
      return first;
    }
    const chosen = this.#cheaper(first, second);
    chosen.state.wait = this.#settings.probation;
    return chosen;
  }

  #cheaper(first: Endpoint<P2cState>, second: Endpoint<P2cState>): Endpoint<P2cState> {
    // Where nothing is known of one, it is taken to be like the other.
    const firstLatency = first.state.latency || second.state.latency || 1;
    const secondLatency = second.state.latency || firstLatency;
    const firstCost = firstLatency * this.#load(first);
    const secondCost = secondLatency * this.#load(second);
    return secondCost < firstCost * clearlyCheaper ? second : first;
  }

  #load(endpoint: Endpoint<P2cState>): number {
    return 1 + (endpoint.inFlight * this.#weights.mean) / endpoint.instance.weight;
  }

  learn({ state }: Endpoint<P2cState>, outcome: 'success' | 'failure', latency: number, now: number): void {
    const influence = Math.max(leastInfluence, 1 - Math.exp((state.learntAt - now) / this.#settings.memory));
    if (outcome === 'success') {
      this.#usual = this.#usual === 0 ? latency : this.#usual + (latency - this.#usual) * influence;
    }
    const counted =
      outcome === 'success' ? latency : latency + Math.max(this.#settings.penalty, 10 * this.#usual);
    // Never 0, which means that nothing is known.
    const sample = Math.max(counted, 0.001);
    state.latency = state.measured ? state.latency + (sample - state.latency) * influence : sample;
    state.measured = true;
    state.learntAt = now;
  }
}

/** Draws indexes in proportion to weights, by numbers in [0, 1). */
class Weights {
  /** Running sums; undefined when all weights are equal, and a draw then needs no search. */
  readonly #sums: readonly number[] | undefined;
  readonly #count: number;
  readonly mean: number;

  constructor(weights: readonly number[]) {
    let sum = 0;
    const sums = weights.map((weight) => {
      sum += weight;
      return sum;
    });
    this.#count = weights.length;
    this.#sums = weights.every((weight) => weight === weights[0]) ? undefined : sums;
    this.mean = sum / Math.max(1, weights.length);
  }

  draw(random: () => number): number {
    if (this.#sums === undefined) return Math.floor(random() * this.#count);
    const target = random() * this.#sums[this.#count - 1]!;
    let low = 0;
    let high = this.#count - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#sums[middle]! > target) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Another index than this one. */
  drawOther(index: number, random: () => number): number {
    if (this.#sums !== undefined) {
      // Where one weight outweighs all others, most draws repeat it: a few must do.
      for (let tries = 0; tries < 3; tries += 1) {
        const other = this.draw(random);
        if (other !== index) return other;
      }
    }
    const other = Math.floor(random() * (this.#count - 1));
    return other < index ? other : other + 1;
  }
}
