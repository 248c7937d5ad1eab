import { AbortableCall, enter } from '../core/abort.ts';
import type { Clock, Timer } from '../core/clock.ts';
import type { Duration } from '../core/duration.ts';
import { Emitter, type Unsubscribe } from '../core/emitter.ts';
import { durationOption, nameOption, parseOptions, runtimeOption, z } from '../core/options.ts';
import {
  abortSource,
  type CallContext,
  type Policy,
  type RetryAllowance,
  type RunOptions,
  type Work,
  wrapWith,
} from '../core/policy.ts';
import { type Runtime, resolveRuntime } from '../core/runtime.ts';
import { fixedDelay, type HedgeDelay, QuantileDelay } from './hedge-delay.ts';
import { attemptIn, pays, retryBudgetOption, spending } from './spend.ts';

/** A delay that is learned from how long calls take. */
export interface HedgeQuantile {
  /** The share of calls that answer before they are hedged, such as 0.95; from 0.5 to 0.999. */
  readonly quantile: number;
  /** The delay until 20 calls were measured. Default 1 s. */
  readonly initial?: Duration | undefined;
  /** The shortest delay. Default 1 ms. */
  readonly min?: Duration | undefined;
}

/** Options of {@link hedge}. */
export interface HedgeOptions {
  /** Names it in events. Default `hedge`. */
  readonly name?: string | undefined;
  /** How long to wait for an answer before the work is begun once more: a time, or a quantile of what calls take. */
  readonly delay: Duration | HedgeQuantile;
  /** How often the work is begun in all, the first time included; from 2 to 10. Default 2. */
  readonly attempts?: number | undefined;
  /** Who pays for every attempt after the first; when it cannot, none is begun. Default: the one the call inherits. */
  readonly budget?: RetryAllowance | undefined;
  /** Clock and telemetry. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

/** The work did not answer in time and was begun once more. */
export interface Hedged {
  /** The attempt that was begun; 2 for the first hedge. */
  readonly attempt: number;
  /** Milliseconds since the attempt before. */
  readonly delay: number;
}

/** A later attempt answered first. */
export interface HedgeWon {
  readonly attempt: number;
}

/** Events of {@link hedge}. Work that answers in time causes none. */
export interface HedgeEvents {
  readonly hedged: Hedged;
  readonly won: HedgeWon;
}

/** What {@link hedge} gives. */
export interface HedgePolicy extends Policy {
  /** Listen to what happens; returns how to stop listening. */
  on<K extends keyof HedgeEvents & string>(
    event: K,
    listener: (payload: HedgeEvents[K]) => void,
  ): Unsubscribe;
}

const delaySchema = z.union([
  durationOption().transform((delay) => () => fixedDelay(delay)),
  z
    .strictObject({
      quantile: z.number().min(0.5).max(0.999),
      initial: durationOption(1).default(1_000),
      min: durationOption().default(1),
    })
    .transform((options) => () => new QuantileDelay(options)),
]);

const optionsSchema = z.strictObject({
  name: nameOption().default('hedge'),
  delay: delaySchema,
  attempts: z.int().min(2).max(10).default(2),
  budget: retryBudgetOption(),
  runtime: runtimeOption(),
});

/**
 * A policy against slow answers: where one does not come in time, the work is begun once more beside the first, the
 * first success is the call's, and the signals of the others abort (Dean and Barroso, "The Tail at Scale", 2013). An
 * attempt that fails is not repeated; the call fails when every attempt that was begun has failed.
 *
 * Only hedge what may be done twice, and at the same time.
 *
 * @throws InvalidOptionsError naming each option that is wrong.
 */
export function hedge(options: HedgeOptions): HedgePolicy {
  return new Hedge(parseOptions('hedge', optionsSchema, options));
}

class Hedge implements HedgePolicy {
  readonly attempts: number;
  readonly clock: Clock;
  readonly emitter: Emitter<HedgeEvents>;
  readonly delay: HedgeDelay;
  readonly #budget: RetryAllowance | undefined;

  constructor({ name, delay, attempts, budget, runtime }: z.output<typeof optionsSchema>) {
    const { clock, telemetry } = resolveRuntime(runtime);
    this.attempts = attempts;
    this.clock = clock;
    this.delay = delay();
    this.emitter = new Emitter('hedge', name, telemetry);
    this.#budget = budget;
  }

  run<T>(work: Work<T>, options?: RunOptions): Promise<T> {
    return enter(this.clock, options, (outer) => {
      const source = abortSource(outer);
      if (source?.aborted) return Promise.reject(source.reason);
      const context = spending(outer, this.#budget);
      return new Promise<T>((resolve, reject) => {
        new Race<T>(this, work, context, resolve, reject).begin();
      });
    });
  }

  wrap<A extends unknown[], R>(work: (...args: A) => R): (...args: A) => Promise<Awaited<R>> {
    return wrapWith(this, work);
  }

  on<K extends keyof HedgeEvents & string>(
    event: K,
    listener: (payload: HedgeEvents[K]) => void,
  ): Unsubscribe {
    return this.emitter.on(event, listener);
  }
}

/** The attempts of one call. */
class Race<T> {
  readonly #hedge: Hedge;
  readonly #work: Work<T>;
  readonly #context: CallContext;
  readonly #resolve: (result: T) => void;
  readonly #reject: (error: unknown) => void;
  /** The attempts under way. */
  readonly #running: Set<AbortableCall> = new Set();
  readonly #source: AbortSignal | undefined;
  readonly #startedAt: number;
  #begun = 0;
  #over = false;
  #timer: Timer | undefined;

  constructor(
    owner: Hedge,
    work: Work<T>,
    context: CallContext,
    resolve: (result: T) => void,
    reject: (error: unknown) => void,
  ) {
    this.#hedge = owner;
    this.#work = work;
    this.#context = context;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#source = abortSource(context);
    this.#startedAt = owner.clock.now();
  }

  begin(): void {
    this.#source?.addEventListener('abort', this.#onAbort, { once: true });
    this.#awaitAnswer();
    this.#attempt();
  }

  #attempt(): void {
    this.#begun += 1;
    const number = this.#begun;
    const { attempt, deadline, retryBudget } = this.#context;
    const call = new AbortableCall(undefined, attempt + number - 1, deadline, retryBudget);
    this.#running.add(call);
    attemptIn(this.#work, call).then(
      (result) => this.#answered(number, call, result),
      (error) => this.#failed(call, error),
    );
  }

  /** Begin once more when the delay passes without an answer. */
  #awaitAnswer(): void {
    const { clock, delay: delays } = this.#hedge;
    const delay = delays.next(clock.now());
    this.#timer = clock.schedule(delay, () => this.#hedgeAfter(delay), { hold: true });
  }

  #hedgeAfter(delay: number): void {
    const { emitter, attempts } = this.#hedge;
    if (!pays(this.#context.retryBudget)) return;
    const attempt = this.#begun + 1;
    if (emitter.wants('hedged')) emitter.emit('hedged', { attempt, delay });
    if (attempt < attempts) this.#awaitAnswer();
    this.#attempt();
  }

  #answered(number: number, call: AbortableCall, result: T): void {
    if (this.#over) return;
    const { clock, delay, emitter } = this.#hedge;
    const now = clock.now();
    // Where a later attempt won, the first took longer than this: the least that is known of it.
    delay.record(now, now - this.#startedAt);
    this.#running.delete(call);
    this.#end();
    this.#resolve(result);
    if (number > 1 && emitter.wants('won')) emitter.emit('won', { attempt: number });
    this.#abortRunning(new DOMException('another attempt answered first', 'AbortError'));
  }

  #failed(call: AbortableCall, error: unknown): void {
    this.#running.delete(call);
    if (this.#over || this.#running.size > 0) return;
    this.#end();
    this.#reject(error);
  }

  readonly #onAbort = (): void => {
    const reason: unknown = this.#source?.reason;
    this.#end();
    this.#reject(reason);
    this.#abortRunning(reason);
  };

  #abortRunning(reason: unknown): void {
    for (const call of this.#running) call.abort(reason);
  }

  #end(): void {
    this.#over = true;
    this.#timer?.cancel();
    this.#source?.removeEventListener('abort', this.#onAbort);
  }
}
