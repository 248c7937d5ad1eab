import { within } from '../core/abort.ts';
import { currentCallContext, withCallContext } from '../core/ambient.ts';
import type { Clock } from '../core/clock.ts';
import { RefusedError } from '../core/errors.ts';
import { type JsonValue, parseJson, stringifyJson } from '../core/json.ts';
import { InFlight } from '../core/lifecycle.ts';
import { Call, type CallContext, type Policy } from '../core/policy.ts';
import type { Failure } from './decide.ts';

/** How one step or undo is attempted. */
export interface AttemptOptions {
  readonly clock: Clock;
  readonly policy: Policy | undefined;
  /** The longest that one attempt may take, in milliseconds. */
  readonly timeout: number;
  /** How long an aborted attempt may take to end, in milliseconds. */
  readonly settleTimeout: number;
  /** Aborts when the saga is lost. */
  readonly signal: AbortSignal;
  /** Whether somebody, before a crash, may have attempted it already. */
  readonly doubtful: boolean;
}

/** What a round of attempts came to. */
export type RoundResult =
  | { readonly done: true; readonly output: JsonValue | undefined }
  | ({ readonly done: false } & Omit<Failure, 'rounds'>);

/**
 * All attempts at one step (or one undo) by one worker. It knows what a policy does not tell: how many attempts there
 * were, whether one of them may have had an effect, and whether one that was given up has really ended. Nothing may
 * follow on an attempt that has not ended, or the step could happen after its own undo.
 */
export class Attempts {
  readonly #options: AttemptOptions;
  readonly #perform: (call: CallContext, attempt: number) => unknown;
  readonly #underWay: InFlight = new InFlight();
  #made = 0;
  /** Attempts that did not say of themselves that they had no effect. */
  #unknown = 0;

  constructor(perform: (call: CallContext, attempt: number) => unknown, options: AttemptOptions) {
    this.#perform = perform;
    this.#options = options;
  }

  /** How many attempts were made. */
  get made(): number {
    return this.#made;
  }

  /** Go through the policy once and wait until every attempt of it has ended. Never rejects. */
  async round(): Promise<RoundResult> {
    const { clock, settleTimeout } = this.#options;
    const outcome = await this.#throughPolicy();
    if (!(await this.#underWay.drained(clock, settleTimeout))) {
      const error = new Error(`an attempt was given up and did not end within ${settleTimeout} ms`);
      return { done: false, error, doubtful: true, obstacle: 'unending' };
    }
    if ('value' in outcome) return toOutput(outcome.value);
    return { done: false, error: outcome.error, doubtful: this.#options.doubtful || this.#unknown > 0 };
  }

  async #throughPolicy(): Promise<{ readonly value: unknown } | { readonly error: unknown }> {
    const { clock, policy, signal, timeout } = this.#options;
    const call = new Call(signal, 1, undefined);
    const work = (context: CallContext): Promise<unknown> =>
      within(clock, timeout, context, (inner) => this.#underWay.track(this.#attempt(inner)));
    try {
      return { value: await (policy === undefined ? work(call) : policy.run(work, call)) };
    } catch (error) {
      return { error };
    }
  }

  async #attempt(context: CallContext): Promise<unknown> {
    this.#made += 1;
    this.#unknown += 1;
    const attempt = this.#made;
    try {
      // A saga outlives the request that began it, so an attempt must not inherit that request's deadline.
      const inherits = currentCallContext() !== undefined;
      const perform = (): unknown => this.#perform(context, attempt);
      return await (inherits ? withCallContext(context, perform) : perform());
    } catch (error) {
      if (error instanceof RefusedError) this.#unknown -= 1;
      throw error;
    }
  }
}

/** The value as the store will bring it back, so that a step sees the same before and after a crash. */
function toOutput(value: unknown): RoundResult {
  if (value === undefined) return { done: true, output: undefined };
  try {
    const output = parseJson(stringifyJson(value, 'the result'), 'the result');
    // Again as it will stand in the record, deeper and without any `toJSON`: what no store takes must be known now.
    stringifyJson([{ output }], 'the result');
    return { done: true, output };
  } catch (error) {
    return { done: false, error, doubtful: true, obstacle: 'unstorable' };
  }
}
