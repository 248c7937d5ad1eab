import { enter } from '../core/abort.ts';
import type { Clock } from '../core/clock.ts';
import { Emitter, type Unsubscribe } from '../core/emitter.ts';
import { warnOf } from '../core/log.ts';
import { functionOption, nameOption, parseOptions, runtimeOption, z } from '../core/options.ts';
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
import type { AnsweringPolicy } from './answering-policy.ts';

/** Options of {@link fallback}. */
export interface FallbackOptions {
  /** Names it in events. Default `fallback`. */
  readonly name?: string | undefined;
  /** Whether the alternative answers for this error; others pass. One that throws counts as false. Default: always. */
  readonly when?: ((error: unknown) => boolean) | undefined;
  /** Clock and telemetry. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

/** Answers in place of work that failed with `error`. */
export type Alternative<F> = (error: unknown, context: CallContext) => F | PromiseLike<F>;

/** The work failed and the alternative was asked. */
export interface FellBack {
  /** What the work failed with. */
  readonly error: unknown;
}

/** Events of {@link fallback}. */
export interface FallbackEvents {
  readonly fellBack: FellBack;
}

/** What {@link fallback} gives. */
export interface FallbackPolicy<F> extends AnsweringPolicy<F> {
  /** Listen to what happens; returns how to stop listening. */
  on<K extends keyof FallbackEvents & string>(
    event: K,
    listener: (payload: FallbackEvents[K]) => void,
  ): Unsubscribe;
}

const alternativeSchema = functionOption<Alternative<unknown>>('a function of (error, context)');
const optionsSchema = z.strictObject({
  name: nameOption().default('fallback'),
  when: functionOption<(error: unknown) => boolean>().optional(),
  runtime: runtimeOption(),
});

/**
 * A policy that answers with `alternative` when the work fails: a cached value, another replica, an empty list. When
 * the alternative fails too, its error is the call's. It is not asked when the caller has given up.
 *
 * For several alternatives put one fallback around another in a `pipeline`, the last resort first.
 *
 * @throws InvalidOptionsError when the alternative is not a function or an option is wrong.
 */
export function fallback<F>(alternative: Alternative<F>, options: FallbackOptions = {}): FallbackPolicy<F> {
  parseOptions('fallback', alternativeSchema, alternative);
  return new Fallback(alternative, parseOptions('fallback', optionsSchema, options));
}

/** The implementation of {@link fallback}. */
export class Fallback<F> implements FallbackPolicy<F> {
  readonly #alternative: Alternative<F>;
  readonly #when: FallbackOptions['when'];
  readonly #clock: Clock;
  readonly #emitter: Emitter<FallbackEvents>;

  constructor(alternative: Alternative<F>, options: FallbackOptions & { readonly name: string }) {
    const { clock, telemetry } = resolveRuntime(options.runtime);
    this.#alternative = alternative;
    this.#when = options.when;
    this.#clock = clock;
    this.#emitter = new Emitter('fallback', options.name, telemetry);
  }

  run<T>(work: Work<T>, options?: RunOptions): Promise<T | F> {
    return enter<T | F>(this.#clock, options, (context) =>
      settle(work, context).catch((error: unknown) => this.#answer(error, context)),
    );
  }

  wrap<A extends unknown[], R>(work: (...args: A) => R): (...args: A) => Promise<Awaited<R> | F> {
    // What wrapWith is told is the work's own type; the answer's comes on top.
    return wrapWith(this as Pick<Policy, 'run'>, work);
  }

  on<K extends keyof FallbackEvents & string>(
    event: K,
    listener: (payload: FallbackEvents[K]) => void,
  ): Unsubscribe {
    return this.#emitter.on(event, listener);
  }

  #answer(error: unknown, context: CallContext): F | PromiseLike<F> {
    if (abortSource(context)?.aborted || !applies(this.#when, error)) throw error;
    if (this.#emitter.wants('fellBack')) this.#emitter.emit('fellBack', { error });
    return this.#alternative(error, context);
  }
}

function applies(when: FallbackOptions['when'], error: unknown): boolean {
  try {
    return when === undefined || when(error);
  } catch (thrown) {
    warnOf("a fallback's `when` threw; the alternative is not asked", thrown);
    return false;
  }
}
