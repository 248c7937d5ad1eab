import { AbortableCall, enter } from '../core/abort.ts';
import { currentCallContext, withCallContext } from '../core/ambient.ts';
import type { Clock } from '../core/clock.ts';
import type { Duration } from '../core/duration.ts';
import { Emitter, type Unsubscribe } from '../core/emitter.ts';
import {
  durationOption,
  functionOption,
  nameOption,
  parseOptions,
  runtimeOption,
  z,
} from '../core/options.ts';
import {
  abortSource,
  type CallContext,
  type Policy,
  type RunOptions,
  settle,
  type Work,
} from '../core/policy.ts';
import { type Runtime, resolveRuntime } from '../core/runtime.ts';

/** Options of {@link coalesce}. */
export interface CoalesceOptions {
  /** Names it in events. Default `coalesce`. */
  readonly name?: string | undefined;
  /**
   * For `wrap`: what calls of these arguments share; undefined for a call that shares nothing. Default: the arguments
   * as JSON where all are strings, numbers, booleans or null, and nothing otherwise.
   */
  readonly key?: ((...args: never[]) => string | undefined) | undefined;
  /** How long a result is kept after it came; errors never are. Default 0: only concurrent calls share. */
  readonly ttl?: Duration | undefined;
  /** How many results are kept; beyond, those that were asked for longest ago are dropped. Default 1,000. */
  readonly capacity?: number | undefined;
  /** Clock and telemetry. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

/** Options of {@link CoalescePolicy.run}. */
export interface CoalescedRunOptions extends RunOptions {
  /** Calls of equal keys share one run of their work. Default: this call shares nothing. */
  readonly key?: string | undefined;
}

/** A call joined one that was under way. */
export interface CallShared {
  readonly key: string;
  /** How many callers wait for it now, this one included. */
  readonly callers: number;
}

/** A call was answered by a kept result. */
export interface ResultReused {
  readonly key: string;
  /** Milliseconds since the result came. */
  readonly age: number;
}

/** Events of {@link coalesce}. */
export interface CoalesceEvents {
  readonly shared: CallShared;
  readonly reused: ResultReused;
}

/** What {@link coalesce} gives. */
export interface CoalescePolicy extends Policy {
  /** Run the work, or share the run or the kept result of a call with the same key. */
  run<T>(work: Work<T>, options?: CoalescedRunOptions): Promise<T>;
  /** Drop the kept result of this key, or all; a run under way is not kept then either, and not shared any more. */
  forget(key?: string): void;
  /** Listen to what happens; returns how to stop listening. */
  on<K extends keyof CoalesceEvents & string>(
    event: K,
    listener: (payload: CoalesceEvents[K]) => void,
  ): Unsubscribe;
}

const optionsSchema = z.strictObject({
  name: nameOption().default('coalesce'),
  key: functionOption<(...args: never[]) => string | undefined>().optional(),
  ttl: durationOption().default(0),
  capacity: z.int().min(1).default(1_000),
  runtime: runtimeOption(),
});

/**
 * A policy by which concurrent equal calls share one run of their work ("single flight"), and by which its result may
 * answer those that come soon after. Equal means of the same key; it is for the caller to give equal work equal keys.
 *
 * The run is nobody's in particular: a caller that gives up leaves, and the signal of the run aborts when the last has
 * left. All get the very same result or error, so none may change it.
 *
 * @throws InvalidOptionsError naming each option that is wrong.
 */
export function coalesce(options: CoalesceOptions = {}): CoalescePolicy {
  return new Coalesce(parseOptions('coalesce', optionsSchema, options));
}

/** A run under way. */
interface Flight {
  readonly result: Promise<unknown>;
  readonly call: AbortableCall;
  callers: number;
}

interface Kept {
  readonly result: unknown;
  readonly at: number;
}

class Coalesce implements CoalescePolicy {
  readonly #keyOf: (...args: never[]) => string | undefined;
  readonly #ttl: number;
  readonly #capacity: number;
  readonly #clock: Clock;
  readonly #emitter: Emitter<CoalesceEvents>;
  readonly #flights: Map<string, Flight> = new Map();
  /** In the order of their last use. */
  readonly #kept: Map<string, Kept> = new Map();

  constructor({ name, key, ttl, capacity, runtime }: z.output<typeof optionsSchema>) {
    const { clock, telemetry } = resolveRuntime(runtime);
    this.#keyOf = key ?? plainKey;
    this.#ttl = ttl;
    this.#capacity = capacity;
    this.#clock = clock;
    this.#emitter = new Emitter('coalesce', name, telemetry);
  }

  run<T>(work: Work<T>, options?: CoalescedRunOptions): Promise<T> {
    const key = options?.key;
    if (key === undefined) return enter(this.#clock, options, work);
    return enter(this.#clock, options, (context) => this.#share(key, work, context)) as Promise<T>;
  }

  wrap<A extends unknown[], R>(work: (...args: A) => R): (...args: A) => Promise<Awaited<R>> {
    const policy = this;
    return function wrapped(this: unknown, ...args: A): Promise<Awaited<R>> {
      try {
        const key = policy.#keyOf(...(args as unknown as never[]));
        return policy.run(() => work.apply(this, args), { key }) as Promise<Awaited<R>>;
      } catch (error) {
        return Promise.reject(error);
      }
    };
  }

  forget(key?: string): void {
    if (key === undefined) {
      this.#kept.clear();
      this.#flights.clear();
    } else {
      this.#kept.delete(key);
      this.#flights.delete(key);
    }
  }

  on<K extends keyof CoalesceEvents & string>(
    event: K,
    listener: (payload: CoalesceEvents[K]) => void,
  ): Unsubscribe {
    return this.#emitter.on(event, listener);
  }

  #share(key: string, work: Work<unknown>, context: CallContext): Promise<unknown> {
    const source = abortSource(context);
    if (source?.aborted) return Promise.reject(source.reason);
    const kept = this.#lookUp(key);
    if (kept !== undefined) return Promise.resolve(kept.result);
    let flight = this.#flights.get(key);
    if (flight === undefined) {
      flight = this.#begin(key, work);
    } else if (this.#emitter.wants('shared')) {
      this.#emitter.emit('shared', { key, callers: flight.callers + 1 });
    }
    return this.#join(key, flight, source);
  }

  #lookUp(key: string): Kept | undefined {
    const kept = this.#kept.get(key);
    if (kept === undefined) return undefined;
    const age = this.#clock.now() - kept.at;
    this.#kept.delete(key);
    if (age >= this.#ttl) return undefined;
    this.#kept.set(key, kept);
    if (this.#emitter.wants('reused')) this.#emitter.emit('reused', { key, age });
    return kept;
  }

  /** Limits are those of each caller, who may come at any time, so the run itself has none. */
  #begin(key: string, work: Work<unknown>): Flight {
    const call = new AbortableCall(undefined, 1, undefined);
    const begin = (): Promise<unknown> => settle(work, call);
    // What the first caller inherits is not for the others either.
    const result = currentCallContext() === undefined ? begin() : withCallContext(call, begin);
    const flight: Flight = { result, call, callers: 0 };
    this.#flights.set(key, flight);
    const land = (): boolean => this.#flights.get(key) === flight && this.#flights.delete(key);
    flight.result.then((result) => land() && this.#keep(key, result), land);
    return flight;
  }

  #keep(key: string, result: unknown): void {
    if (this.#ttl === 0) return;
    this.#kept.set(key, { result, at: this.#clock.now() });
    if (this.#kept.size <= this.#capacity) return;
    const oldest = this.#kept.keys().next();
    if (!oldest.done) this.#kept.delete(oldest.value);
  }

  #join(key: string, flight: Flight, source: AbortSignal | undefined): Promise<unknown> {
    flight.callers += 1;
    if (source === undefined) return flight.result;
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        reject(source.reason);
        flight.callers -= 1;
        if (flight.callers > 0) return;
        // Who comes now must not get what is being aborted.
        if (this.#flights.get(key) === flight) this.#flights.delete(key);
        flight.call.abort(source.reason);
      };
      const off = (): void => source.removeEventListener('abort', leave);
      source.addEventListener('abort', leave, { once: true });
      flight.result.finally(off).then(resolve, reject);
    });
  }
}

/** The arguments as text, where that tells all of them apart. */
function plainKey(...args: readonly unknown[]): string | undefined {
  const plain = args.every(
    (value) =>
      value === null ||
      typeof value === 'string' ||
      typeof value === 'boolean' ||
      (typeof value === 'number' && Number.isFinite(value)),
  );
  return plain ? JSON.stringify(args) : undefined;
}
