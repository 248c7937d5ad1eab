import { AbortableCall, within } from '../core/abort.ts';
import { currentCallContext, withCallContext } from '../core/ambient.ts';
import { type Clock, sleep } from '../core/clock.ts';
import { RefusedError } from '../core/errors.ts';
import type { JsonValue } from '../core/json.ts';
import { toJson } from '../core/json-copy.ts';
import { type CallContext, type Policy, unlimitedCall } from '../core/policy.ts';
import type { Halt } from './halt.ts';
import type { Failure } from './judge.ts';

/** How one step or undo is attempted. */
export interface AttemptOptions {
  readonly clock: Clock;
  readonly policy: Policy | undefined;
  /** The longest that one attempt may take, in milliseconds. */
  readonly timeout: number;
  /** How long an aborted attempt may take to end, in milliseconds. */
  readonly settleTimeout: number;
  /** The most bytes that the result may have, as JSON. */
  readonly maxPayload: number;
  /** Aborts what is under way. */
  readonly halt: Halt;
  /** Whether somebody, before a crash, may have attempted it already. */
  readonly doubtful: boolean;
  /** Whether nothing is attempted again once an attempt may have had an effect, whatever the policy says. */
  readonly once?: boolean | undefined;
}

/** What a round of attempts came to. */
export type RoundResult =
  | { readonly done: true; readonly output: JsonValue | undefined }
  | ({ readonly done: false } & Omit<Failure, 'rounds'>);

type Outcome = { readonly value: unknown } | { readonly error: unknown };

/**
 * All attempts at one step (or one undo) by one worker. It knows what a policy does not tell: how many attempts there
 * were, whether one of them may have had an effect, and whether one that was given up has really ended. Nothing may
 * follow on an attempt that has not ended, or the step could happen after its own undo.
 */
export class Attempts {
  readonly #options: AttemptOptions;
  readonly #perform: (call: CallContext, attempt: number) => unknown;
  #made = 0;
  /** Attempts that did not say of themselves that they had no effect. */
  #unknown = 0;
  /** Why the first of them did not tell. */
  #doubt: unknown;
  /** Those that have not ended, given up or not. */
  #underWay = 0;
  #ended: AbortController | undefined;

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
    const { settleTimeout, maxPayload, once } = this.#options;
    const outcome = await this.#throughPolicy();
    if (this.#underWay > 0 && !(await this.#drained())) {
      const error = new Error(`an attempt was given up and did not end within ${settleTimeout} ms`);
      return { done: false, error, doubtful: true, obstacle: 'unending' };
    }
    if ('value' in outcome) return toOutput(outcome.value, maxPayload);
    const error = (once ? this.#doubt : undefined) ?? outcome.error;
    return { done: false, error, doubtful: this.#options.doubtful || this.#unknown > 0 };
  }

  #throughPolicy(): Promise<Outcome> {
    const { clock, policy, halt, timeout } = this.#options;
    return new Promise((resolve) => {
      if (halt.aborted) return resolve({ error: halt.reason });
      const calls = new Set<AbortableCall>();
      const giveUp = (reason: unknown): void => {
        for (const call of calls) call.abort(reason);
        settle({ error: reason });
      };
      const off = halt.onAbort(giveUp);
      const settle = (outcome: Outcome): void => {
        off();
        resolve(outcome);
      };
      const attempt = (outer: CallContext): Promise<unknown> =>
        within(clock, timeout, outer, (inner) => {
          if (inner instanceof AbortableCall) calls.add(inner);
          return this.#attempt(inner);
        });
      const outer = policy === undefined ? unlimitedCall : new AbortableCall(undefined, 1, undefined);
      if (outer instanceof AbortableCall) calls.add(outer);
      const round = policy === undefined ? attempt(outer) : policy.run(attempt, outer);
      round.then(
        (value) => settle({ value }),
        (error) => settle({ error }),
      );
    });
  }

  async #attempt(context: CallContext): Promise<unknown> {
    if (this.#options.once && this.#unknown > 0) {
      const why = 'not attempted again, since an earlier attempt may have had an effect';
      throw Object.assign(new Error(why), { retryable: false });
    }
    this.#made += 1;
    this.#unknown += 1;
    this.#underWay += 1;
    const attempt = this.#made;
    try {
      // A saga outlives the request that began it, so an attempt must not inherit that request's deadline.
      const inherits = currentCallContext() !== undefined;
      const perform = (): unknown => this.#perform(context, attempt);
      return await (inherits ? withCallContext(context, perform) : perform());
    } catch (error) {
      if (error instanceof RefusedError) this.#unknown -= 1;
      else this.#doubt ??= error;
      throw error;
    } finally {
      this.#underWay -= 1;
      if (this.#underWay === 0) this.#ended?.abort();
    }
  }

  /** Wait until every attempt has ended; resolves to whether that came in time. */
  async #drained(): Promise<boolean> {
    const { clock, settleTimeout } = this.#options;
    this.#ended = new AbortController();
    // Cut short when the last one ends.
    await sleep(clock, settleTimeout, this.#ended.signal).catch(() => {});
    return this.#underWay === 0;
  }
}

/** The value as the store will bring it back, so that a step sees the same before and after a crash. */
export function toOutput(value: unknown, maxPayload: number): RoundResult {
  if (value === undefined) return { done: true, output: undefined };
  try {
    return { done: true, output: toJson(value, 'the result', maxPayload) };
  } catch (error) {
    return { done: false, error, doubtful: true, obstacle: 'unstorable' };
  }
}
