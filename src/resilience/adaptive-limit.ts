import { enter } from '../core/abort.ts';
import type { Clock } from '../core/clock.ts';
import type { Duration } from '../core/duration.ts';
import { Emitter, type Unsubscribe } from '../core/emitter.ts';
import { BulkheadFullError, RateLimitedError, TimeoutError } from '../core/errors.ts';
import { warnOf } from '../core/log.ts';
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
  wrapWith,
} from '../core/policy.ts';
import { type Runtime, resolveRuntime } from '../core/runtime.ts';
import { AimdLimit, GradientLimit, type LimitAlgorithm, SampleWindow } from './limit-algorithm.ts';
import { withoutStack } from './refusal.ts';
import { rejected } from './rejection.ts';

/** Options of {@link adaptiveLimit}. */
export interface AdaptiveLimitOptions {
  /** Names it in errors, events and metrics. */
  readonly name: string;
  /**
   * `gradient`: lower the limit when calls take longer than usual, before anything fails. `aimd`: one more while all
   * goes well, a tenth less when calls are dropped. Default `gradient`.
   */
  readonly algorithm?: 'gradient' | 'aimd' | undefined;
  /** The limit to begin with; from `min` to `max`. Default 20. */
  readonly initial?: number | undefined;
  /** The lowest limit; ≥ 1. Default 1. */
  readonly min?: number | undefined;
  /** The highest limit. Default 200. */
  readonly max?: number | undefined;
  /** `gradient`: how many times longer than usual calls may take before the limit falls; ≥ 1. Default 1.5. */
  readonly tolerance?: number | undefined;
  /** `aimd`: what a drop multiplies the limit by; from 0.5 to below 1. Default 0.9. */
  readonly decrease?: number | undefined;
  /** How long calls are gathered before the limit is adjusted (and ten of them at least). Default 1 s. */
  readonly window?: Duration | undefined;
  /**
   * Whether an error says that the dependency is overloaded. Other errors are not learned from, as they may come at
   * once. One that throws counts as false. Default: `TimeoutError`, `RateLimitedError` and `BulkheadFullError`.
   */
  readonly isDrop?: ((error: unknown) => boolean) | undefined;
  /** Clock and telemetry. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

/** The limit changed by at least one call. */
export interface LimitChanged {
  readonly from: number;
  readonly to: number;
}

/** A call was refused without being made. */
export interface LimitRejected {
  readonly limit: number;
}

/** Events of {@link adaptiveLimit}. */
export interface AdaptiveLimitEvents {
  readonly changed: LimitChanged;
  readonly rejected: LimitRejected;
}

/** What {@link adaptiveLimit} gives. */
export interface AdaptiveLimitPolicy extends Policy {
  /** The name that it was given. */
  readonly name: string;
  /** How many calls may be under way at once, now. */
  readonly limit: number;
  /** How many calls are under way. */
  readonly running: number;
  /** Listen to what happens; returns how to stop listening. */
  on<K extends keyof AdaptiveLimitEvents & string>(
    event: K,
    listener: (payload: AdaptiveLimitEvents[K]) => void,
  ): Unsubscribe;
}

const optionsSchema = z
  .strictObject({
    name: nameOption(),
    algorithm: z.enum(['gradient', 'aimd']).default('gradient'),
    initial: z.number().min(1).default(20),
    min: z.number().min(1).default(1),
    max: z.number().min(1).default(200),
    tolerance: z.number().min(1).default(1.5),
    decrease: z.number().min(0.5).lt(1).default(0.9),
    window: durationOption(1).default(1_000),
    isDrop: functionOption<(error: unknown) => boolean>().optional(),
    runtime: runtimeOption(),
  })
  .refine(({ initial, min, max }) => min <= initial && initial <= max, {
    path: ['initial'],
    error: 'a number from min to max',
  });

/**
 * A policy that limits how many calls run at once, and finds the limit itself: it rises while the dependency bears more
 * and falls when the dependency slows down or drops calls. A call beyond the limit is refused at once with
 * `BulkheadFullError`. A slot is held until the work settles.
 *
 * @throws InvalidOptionsError naming each option that is wrong.
 */
export function adaptiveLimit(options: AdaptiveLimitOptions): AdaptiveLimitPolicy {
  return new AdaptiveLimit(parseOptions('adaptiveLimit', optionsSchema, options));
}

function isOverload(error: unknown): boolean {
  // A timeout that our own blocked event loop caused is no fault of the dependency.
  if (error instanceof TimeoutError) return error.lag === 0;
  return error instanceof RateLimitedError || error instanceof BulkheadFullError;
}

class AdaptiveLimit implements AdaptiveLimitPolicy {
  readonly name: string;
  readonly #clock: Clock;
  readonly #algorithm: LimitAlgorithm;
  readonly #window: SampleWindow;
  readonly #isDrop: (error: unknown) => boolean;
  readonly #emitter: Emitter<AdaptiveLimitEvents>;
  #running = 0;

  constructor(options: z.output<typeof optionsSchema>) {
    const { clock, telemetry } = resolveRuntime(options.runtime);
    this.name = options.name;
    this.#clock = clock;
    this.#algorithm =
      options.algorithm === 'aimd'
        ? new AimdLimit(options, options.decrease)
        : new GradientLimit(options, options.tolerance);
    this.#window = new SampleWindow(options.window);
    this.#isDrop = options.isDrop ?? isOverload;
    this.#emitter = new Emitter('adaptive-limit', options.name, telemetry);
  }

  get limit(): number {
    return Math.floor(this.#algorithm.limit);
  }

  get running(): number {
    return this.#running;
  }

  run<T>(work: Work<T>, options?: RunOptions): Promise<T> {
    return enter(this.#clock, options, (context) => this.#admit(work, context));
  }

  wrap<A extends unknown[], R>(work: (...args: A) => R): (...args: A) => Promise<Awaited<R>> {
    return wrapWith(this, work);
  }

  on<K extends keyof AdaptiveLimitEvents & string>(
    event: K,
    listener: (payload: AdaptiveLimitEvents[K]) => void,
  ): Unsubscribe {
    return this.#emitter.on(event, listener);
  }

  #admit<T>(work: Work<T>, context: CallContext): Promise<T> {
    const { limit } = this;
    if (this.#running >= limit) {
      if (this.#emitter.wants('rejected')) this.#emitter.emit('rejected', { limit });
      return rejected(withoutStack(() => new BulkheadFullError(this.name, this.#running, 0)));
    }
    this.#running += 1;
    const inFlight = this.#running;
    const startedAt = this.#clock.now();
    const promise = settle(work, context);
    promise.then(
      () => this.#ended(startedAt, inFlight, false),
      (error) => this.#failed(startedAt, inFlight, error, context),
    );
    return promise;
  }

  #failed(startedAt: number, inFlight: number, error: unknown, context: CallContext): void {
    const source = abortSource(context);
    // Work that was aborted from outside says by the reason why: a time limit around it, or a caller who left.
    const reason: unknown = source?.aborted ? source.reason : error;
    if (this.#judge(reason)) this.#ended(startedAt, inFlight, true);
    else this.#running -= 1;
  }

  #ended(startedAt: number, inFlight: number, dropped: boolean): void {
    this.#running -= 1;
    const now = this.#clock.now();
    const sample = this.#window.add(now, now - startedAt, inFlight, dropped);
    if (sample === undefined) return;
    const from = this.limit;
    this.#algorithm.learn(sample);
    const to = this.limit;
    if (to !== from && this.#emitter.wants('changed')) this.#emitter.emit('changed', { from, to });
  }

  #judge(error: unknown): boolean {
    try {
      return this.#isDrop(error);
    } catch (thrown) {
      warnOf("an adaptive limit's `isDrop` threw; the call is not learned from", thrown);
      return false;
    }
  }
}
