import { enter, withinSignal } from '../core/abort.ts';
import { sleep } from '../core/clock.ts';
import type { Duration } from '../core/duration.ts';
import { Emitter, type Unsubscribe } from '../core/emitter.ts';
import { UpstreamError } from '../core/errors.ts';
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

/** Options of {@link chaos}. */
export interface ChaosOptions {
  /** Names it in errors and events. Default `chaos`. */
  readonly name?: string | undefined;
  /**
   * Whether it does anything: a switch, or a function that is asked at each call. One that throws counts as off.
   * Default false.
   */
  readonly enabled?: boolean | (() => boolean) | undefined;
  /** Make calls late: how many of them (0 to 1), and by how long. Default: none. */
  readonly latency?: { readonly probability: number; readonly delay: Duration } | undefined;
  /**
   * Make calls fail in place of the work: how many of them (0 to 1), and with what. The error is by default an
   * `UpstreamError`. Default: none.
   */
  readonly error?:
    | {
        readonly probability: number;
        /** What is thrown. Default: an `Error` that says it is chaos. */
        readonly make?: (() => unknown) | undefined;
      }
    | undefined;
  /** Let calls hang in place of the work, until their signal aborts: how many of them (0 to 1). Default: none. */
  readonly hang?: { readonly probability: number } | undefined;
  /** Clock, randomness and telemetry. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

/** Something was done to a call. */
export interface ChaosInjected {
  readonly kind: 'latency' | 'error' | 'hang';
}

/** Events of {@link chaos}. */
export interface ChaosEvents {
  readonly injected: ChaosInjected;
}

/** What {@link chaos} gives. */
export interface ChaosPolicy extends Policy {
  /** Listen to what happens; returns how to stop listening. */
  on<K extends keyof ChaosEvents & string>(
    event: K,
    listener: (payload: ChaosEvents[K]) => void,
  ): Unsubscribe;
}

const probability = z.number().min(0).max(1);

const optionsSchema = z.strictObject({
  name: nameOption().default('chaos'),
  enabled: z.union([z.boolean(), functionOption<() => boolean>()]).default(false),
  latency: z.strictObject({ probability, delay: durationOption() }).optional(),
  error: z.strictObject({ probability, make: functionOption<() => unknown>().optional() }).optional(),
  hang: z.strictObject({ probability }).optional(),
  runtime: runtimeOption(),
});

/**
 * A policy that makes calls late, fail or hang at random, to see whether what is around it bears that. Innermost in a
 * pipeline it stands for a sick dependency. It does nothing unless it is enabled.
 *
 * Hanging is decided first, then latency, then errors, each by a draw of its own.
 *
 * @throws InvalidOptionsError naming each option that is wrong.
 */
export function chaos(options: ChaosOptions = {}): ChaosPolicy {
  return new Chaos(parseOptions('chaos', optionsSchema, options));
}

class Chaos implements ChaosPolicy {
  readonly #options: z.output<typeof optionsSchema>;
  readonly #runtime: Runtime;
  readonly #emitter: Emitter<ChaosEvents>;

  constructor(options: z.output<typeof optionsSchema>) {
    this.#options = options;
    this.#runtime = resolveRuntime(options.runtime);
    this.#emitter = new Emitter('chaos', options.name, this.#runtime.telemetry);
  }

  run<T>(work: Work<T>, options?: RunOptions): Promise<T> {
    return enter(this.#runtime.clock, options, (context) =>
      this.#isEnabled() ? this.#disturb(work, context) : settle(work, context),
    );
  }

  wrap<A extends unknown[], R>(work: (...args: A) => R): (...args: A) => Promise<Awaited<R>> {
    return wrapWith(this, work);
  }

  on<K extends keyof ChaosEvents & string>(
    event: K,
    listener: (payload: ChaosEvents[K]) => void,
  ): Unsubscribe {
    return this.#emitter.on(event, listener);
  }

  async #disturb<T>(work: Work<T>, context: CallContext): Promise<T> {
    const { latency, error, hang, name } = this.#options;
    const source = abortSource(context);
    if (this.#strikes('hang', hang)) {
      const forever = (): Promise<T> => new Promise(() => {});
      return source === undefined ? forever() : withinSignal(source, forever);
    }
    if (latency !== undefined && this.#strikes('latency', latency)) {
      await sleep(this.#runtime.clock, latency.delay, source);
    }
    if (error !== undefined && this.#strikes('error', error)) {
      throw error.make === undefined
        ? new UpstreamError(name, 'a failure was injected', { retryable: true })
        : error.make();
    }
    return settle(work, context);
  }

  #strikes(kind: ChaosInjected['kind'], option: { readonly probability: number } | undefined): boolean {
    if (option === undefined || this.#runtime.random() >= option.probability) return false;
    if (this.#emitter.wants('injected')) this.#emitter.emit('injected', { kind });
    return true;
  }

  #isEnabled(): boolean {
    const { enabled } = this.#options;
    if (typeof enabled === 'boolean') return enabled;
    try {
      return enabled();
    } catch (thrown) {
      warnOf('`enabled` of chaos threw; it does nothing', thrown);
      return false;
    }
  }
}
