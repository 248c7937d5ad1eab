import { Emitter, type Unsubscribe } from '../core/emitter.ts';
import { entryToForget } from '../core/eviction.ts';
import { parseOptions, z } from '../core/options.ts';
import type { RunOptions, Work } from '../core/policy.ts';
import { CircuitBreaker } from './circuit-breaker.ts';
import {
  type CircuitBreakerOptions,
  type CircuitConfiguration,
  type CircuitReconfiguration,
  parseCircuitOptions,
} from './circuit-options.ts';
import type { CircuitBreakerEvents } from './circuit-types.ts';

/** Options of `CircuitBreakers`: those of its breakers, and how many there may be. */
export interface CircuitBreakersOptions extends Omit<CircuitBreakerOptions, 'initialState'> {
  /**
   * How many breakers are kept. Beyond, one is forgotten: of the 256 asked for longest ago the first that is closed, so
   * that what is open, half-open or forced stays; where all of those are not closed, the very first. Default 1,000.
   */
  readonly capacity?: number | undefined;
}

/** A breaker was made for a key, or forgotten because others were asked for since. */
export interface KeyedBreaker {
  readonly key: string;
  readonly breaker: CircuitBreaker;
}

/** Events of keyed breakers: those of each of them with its key, and how they come and go. */
export type CircuitBreakersEvents = {
  readonly [K in keyof CircuitBreakerEvents]: CircuitBreakerEvents[K] & { readonly key: string };
} & { readonly created: KeyedBreaker; readonly evicted: KeyedBreaker };

interface Entry {
  readonly breaker: CircuitBreaker;
  /** Ends the forwarding of an event. */
  readonly forwards: Map<string, Unsubscribe>;
}

/** The options that are not those of each breaker. */
const schema = z.object({
  capacity: z.int().min(1).default(1_000),
  initialState: z.undefined({ error: 'nothing; give each breaker its state by importState()' }).optional(),
});

/**
 * One breaker for each host, tenant or instance, made when it is first asked for. All share their options. A key that
 * was forgotten starts afresh.
 *
 * @example
 * const breakers = new CircuitBreakers({ name: 'tenants', capacity: 10_000 });
 * await breakers.run(tenant, ({ signal }) => fetch(url, { signal }));
 */
export class CircuitBreakers {
  /** In the order of use, the one used longest ago first. */
  readonly #entries: Map<string, Entry> = new Map();
  readonly #capacity: number;
  readonly #emitter: Emitter<CircuitBreakersEvents>;
  #configuration: CircuitConfiguration;
  #newest: string | undefined;

  /** @throws InvalidOptionsError naming each option that is wrong. */
  constructor({ capacity, ...options }: CircuitBreakersOptions) {
    this.#capacity = parseOptions('CircuitBreakers', schema, { ...options, capacity }).capacity;
    this.#configuration = parseCircuitOptions(options);
    // Telemetry hears of each event from the breaker that it happened to.
    this.#emitter = new Emitter('circuit-breakers', options.name, undefined);
  }

  /** The name that it was given; that of each breaker is `name[key]`. */
  get name(): string {
    return this.#configuration.name;
  }

  /** How many breakers there are. */
  get size(): number {
    return this.#entries.size;
  }

  /** The breaker of this key, made if there is none. */
  for(key: string): CircuitBreaker {
    const entry = this.#entries.get(key);
    if (entry === undefined) return this.#create(key);
    if (key !== this.#newest) {
      this.#entries.delete(key);
      this.#entries.set(key, entry);
      this.#newest = key;
    }
    return entry.breaker;
  }

  /** The breaker of this key if there is one; that does not count as a use. */
  peek(key: string): CircuitBreaker | undefined {
    return this.#entries.get(key)?.breaker;
  }

  /** Make a call through the breaker of this key. Rejects as `CircuitBreaker.run` does. */
  run<T>(key: string, work: Work<T>, options?: RunOptions): Promise<T> {
    return this.for(key).run(work, options);
  }

  /** Forget the breaker of this key; whether there was one. Calls under way end as they would have. */
  delete(key: string): boolean {
    if (key === this.#newest) this.#newest = undefined;
    return this.#entries.delete(key);
  }

  /** Every key and its breaker, the one used longest ago first. */
  *[Symbol.iterator](): IterableIterator<[string, CircuitBreaker]> {
    for (const [key, { breaker }] of this.#entries) yield [key, breaker];
  }

  /**
   * Other options for all breakers, those to come included; what was recorded is kept.
   *
   * @throws InvalidOptionsError naming each option that is wrong, and then nothing has changed.
   */
  reconfigure(changes: CircuitReconfiguration): void {
    this.#configuration = this.#configuration.changed(changes);
    for (const { breaker } of this.#entries.values()) breaker.reconfigure(changes);
  }

  /** Listen to what happens in every breaker, those to come included; returns how to stop listening. */
  on<K extends keyof CircuitBreakersEvents & string>(
    event: K,
    listener: (payload: CircuitBreakersEvents[K]) => void,
  ): Unsubscribe {
    const off = this.#emitter.on(event, listener);
    for (const [key, entry] of this.#entries) this.#forward(key, entry);
    return () => {
      off();
      if (this.#emitter.wants(event)) return;
      for (const { forwards } of this.#entries.values()) {
        forwards.get(event)?.();
        forwards.delete(event);
      }
    };
  }

  #create(key: string): CircuitBreaker {
    const breaker = new CircuitBreaker(this.#configuration.named(`${this.name}[${key}]`));
    const entry: Entry = { breaker, forwards: new Map() };
    this.#entries.set(key, entry);
    this.#newest = key;
    this.#forward(key, entry);
    if (this.#entries.size > this.#capacity) this.#evict();
    this.#emitter.emit('created', { key, breaker });
    return breaker;
  }

  #evict(): void {
    const entry = entryToForget(this.#entries, ({ breaker }) => breaker.state === 'closed');
    if (entry === undefined) return;
    const [key, { breaker }] = entry;
    this.#entries.delete(key);
    this.#emitter.emit('evicted', { key, breaker });
  }

  /** Only what somebody listens to is passed on, since some events cost each call. */
  #forward(key: string, { breaker, forwards }: Entry): void {
    for (const event of breakerEvents) {
      if (forwards.has(event) || !this.#emitter.wants(event)) continue;
      const off = breaker.on(event, (payload) =>
        this.#emitter.emit(event, { ...payload, key } as CircuitBreakersEvents[typeof event]),
      );
      forwards.set(event, off);
    }
  }
}

const breakerEvents: readonly (keyof CircuitBreakerEvents)[] = [
  'opened',
  'halfOpened',
  'closed',
  'forced',
  'wouldTrip',
  'imported',
  'reconfigured',
  'rejected',
  'succeeded',
  'failed',
  'ignored',
];
