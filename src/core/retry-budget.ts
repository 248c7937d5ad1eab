import type { Clock } from './clock.ts';
import type { Duration } from './duration.ts';
import { Emitter, type Unsubscribe } from './emitter.ts';
import { durationOption, nameOption, parseOptions, runtimeOption, z } from './options.ts';
import type { RetryAllowance } from './policy.ts';
import { type Runtime, resolveRuntime } from './runtime.ts';
import { TimeWindow } from './window.ts';

/** Options of {@link RetryBudget}. */
export interface RetryBudgetOptions {
  /** Names it in events and metrics. Default `retry-budget`. */
  readonly name?: string | undefined;
  /** How many more attempts each call pays for; from 0 to 1,000. Default 0.2: retries add at most a fifth. */
  readonly ratio?: number | undefined;
  /** How many attempts a second are free, for callers with little traffic; ≥ 0. Default 1. */
  readonly free?: number | undefined;
  /** How long what a call paid lasts; from 1 s. Default 10 s. */
  readonly window?: Duration | undefined;
  /** Clock and telemetry. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

/** An attempt was refused. */
export interface RetryBudgetExhausted {
  /** Calls within the window. */
  readonly calls: number;
  /** Repeated attempts within the window. */
  readonly retries: number;
}

/** Events of {@link RetryBudget}. */
export interface RetryBudgetEvents {
  readonly exhausted: RetryBudgetExhausted;
}

const optionsSchema = z.strictObject({
  name: nameOption().default('retry-budget'),
  ratio: z.number().min(0).max(1_000).default(0.2),
  free: z.number().min(0).default(1),
  window: durationOption(1_000).default(10_000),
  runtime: runtimeOption(),
});

/**
 * Bounds how much retries and hedges may add to the load of a dependency that is in trouble already. Share one among
 * everything that calls the dependency.
 *
 * Within any window the repeated attempts are at most `ratio` × the calls + `free` × its seconds: each call pays tokens
 * in, each repeated attempt takes one out, and both are forgotten after the window. That is the budget of Finagle and
 * tower (`tps_budget.rs`). gRPC's throttle, by contrast, forgets by successes alone.
 */
export class RetryBudget implements RetryAllowance {
  readonly #name: string;
  readonly #ratio: number;
  readonly #reserve: number;
  readonly #clock: Clock;
  readonly #emitter: Emitter<RetryBudgetEvents>;
  /** A call is recorded as a success, a repeated attempt as a failure: a ring of counts is all that is needed. */
  readonly #window: TimeWindow;

  /** @throws InvalidOptionsError naming each option that is wrong. */
  constructor(options: RetryBudgetOptions = {}) {
    const { name, ratio, free, window, runtime } = parseOptions('RetryBudget', optionsSchema, options);
    const { clock, telemetry } = resolveRuntime(runtime);
    this.#name = name;
    this.#ratio = ratio;
    this.#reserve = (free * window) / 1_000;
    this.#clock = clock;
    this.#emitter = new Emitter('retry-budget', name, telemetry);
    this.#window = new TimeWindow(window);
  }

  /** The name that it was given. */
  get name(): string {
    return this.#name;
  }

  /** How many more attempts would be allowed right now; a whole number. */
  get available(): number {
    this.#window.advance(this.#clock.now());
    return Math.max(0, Math.floor(this.#balance()));
  }

  /** A call is made for the first time. `retry` and `hedge` tell it themselves. */
  deposit(): void {
    this.#window.add(this.#clock.now(), false, false);
  }

  /** Ask for one more attempt; whether it may be made. One that may is charged. `retry` and `hedge` ask themselves. */
  withdraw(): boolean {
    const now = this.#clock.now();
    this.#window.advance(now);
    if (this.#balance() >= 1) {
      this.#window.add(now, true, false);
      return true;
    }
    if (this.#emitter.wants('exhausted')) {
      const { calls, failures: retries } = this.#window;
      this.#emitter.emit('exhausted', { calls: calls - retries, retries });
    }
    return false;
  }

  /** Listen to what happens; returns how to stop listening. */
  on<K extends keyof RetryBudgetEvents & string>(
    event: K,
    listener: (payload: RetryBudgetEvents[K]) => void,
  ): Unsubscribe {
    return this.#emitter.on(event, listener);
  }

  #balance(): number {
    const { calls, failures: retries } = this.#window;
    // A fifth is no binary fraction: five calls must pay for one attempt all the same.
    return this.#reserve + this.#ratio * (calls - retries) - retries + 1e-9;
  }
}
