import { AbortableCall, TimedCall, TimeLimit, within } from '../core/abort.ts';
import { currentCallContext, withCallContext } from '../core/ambient.ts';
import { sleep } from '../core/clock.ts';
import { RefusedError, TimeoutError } from '../core/errors.ts';
import type { JsonValue } from '../core/json.ts';
import { toJson } from '../core/json-copy.ts';
import { type CallContext, type Policy, settle, unlimitedCall } from '../core/policy.ts';
import { isThenable } from '../core/thenable.ts';
import type { HaltWatcher } from './halt.ts';
import type { Failure } from './judge.ts';
import { contextOf, type Task, undoContextOf, type WorkSurroundings } from './task.ts';

/** What is attempted: the step, its undo, or the question whether it happened. */
export type AttemptKind = Task['operation'] | 'query';

/** What a round of attempts came to. */
export type RoundResult =
  | { readonly done: true; readonly output: JsonValue | undefined }
  | ({ readonly done: false } & Omit<Failure, 'rounds'>);

/**
 * All attempts at one step (or one undo) by one worker. It knows what a policy does not tell: how many attempts there
 * were, whether one of them may have had an effect, and whether one that was given up has really ended. Nothing may
 * follow on an attempt that has not ended, or the step could happen after its own undo.
 */
export class Attempts implements HaltWatcher {
  readonly #task: Task;
  readonly #shared: WorkSurroundings;
  readonly #kind: AttemptKind;
  #made = 0;
  /** Attempts that did not say of themselves that they had no effect. */
  #unknown = 0;
  /** Why the first of them did not tell. */
  #doubt: unknown;
  /** Those that have not ended, given up or not. */
  #underWay = 0;
  #ended: AbortController | undefined;
  /** The one call of the round that is under way, where there is no policy. */
  #only: TimedCall | undefined;
  /** The calls of the round that is under way, and how to end it, where there is one. */
  #calls: AbortableCall[] | undefined;
  #giveUp: ((reason: unknown) => void) | undefined;

  constructor(task: Task, shared: WorkSurroundings, kind: AttemptKind) {
    this.#task = task;
    this.#shared = shared;
    this.#kind = kind;
  }

  /** How many attempts were made. */
  get made(): number {
    return this.#made;
  }

  /** Go through the policy once and wait until every attempt of it has ended. Never rejects. */
  round(): Promise<RoundResult> {
    const { halt, definition, step } = this.#task;
    if (halt.aborted) return this.#failed(halt.reason);
    const policy = this.#kind === 'do' ? definition.functions.get(step.name)?.policy : undefined;
    return policy === undefined ? this.#direct() : this.#through(policy);
  }

  /** Everything that is under way is to be given up. */
  halted(reason: unknown): void {
    const giveUp = this.#giveUp;
    this.#only?.giveUp(reason);
    for (const call of this.#calls ?? []) call.abort(reason);
    giveUp?.(reason);
  }

  /** One attempt and nothing around it: the common case, which costs no more than it must. */
  #direct(): Promise<RoundResult> {
    const { clock } = this.#shared;
    const limit = this.#timeout;
    if (limit <= 0) return this.#failed(new TimeoutError(0));
    const now = clock.now();
    const call = new TimedCall(unlimitedCall, now + limit, new TimeLimit(clock, limit));
    const called = this.#call(call);
    if (!isThenable(called)) return Promise.resolve(this.#ending(called as Settled));
    // What only looks like a promise may throw, or settle twice.
    const settled = called instanceof Promise ? called : Promise.resolve(called);
    return new Promise((resolve) => {
      const fail = (error: unknown): void => this.#resolveFailed(error, resolve);
      const { halt } = this.#task;
      this.#only = call;
      halt.watcher = this;
      call.begin(now, false, undefined, fail);
      if (halt.aborted) call.giveUp(halt.reason);
      settled.then(
        (value) => {
          this.#left();
          call.settled((output) => resolve(this.#done(output)), value);
        },
        (error) => {
          this.#left(error);
          call.settled(fail, error);
        },
      );
    });
  }

  #through(policy: Policy): Promise<RoundResult> {
    return new Promise((resolve) => {
      const call = new AbortableCall(undefined, 1, undefined);
      const fail = (error: unknown): void => this.#resolveFailed(error, resolve);
      this.#calls = [call];
      this.#giveUp = fail;
      this.#task.halt.watcher = this;
      // A policy of the user's own may throw, or give no promise.
      settle(() => policy.run((context) => this.#within(context), call), call).then((value) => {
        if (this.#underWay === 0) resolve(this.#done(value));
        else void this.#drained().then((ended) => resolve(ended ? this.#done(value) : this.#unending()));
      }, fail);
    });
  }

  #within(outer: CallContext): Promise<unknown> {
    return within(this.#shared.clock, this.#timeout, outer, async (inner) => {
      if (inner instanceof AbortableCall) this.#calls?.push(inner);
      const settled = this.#call(inner);
      if (!isThenable(settled)) {
        if ('error' in settled) throw settled.error;
        return settled.value;
      }
      try {
        const value = await settled;
        this.#left();
        return value;
      } catch (error) {
        this.#left(error);
        throw error;
      }
    });
  }

  /** Call what is attempted. What does not take its time has ended already. */
  #call(context: CallContext): PromiseLike<unknown> | Settled {
    if (this.#kind === 'do' && this.#task.step.once && this.#unknown > 0) {
      const why = 'not attempted again, since an earlier attempt may have had an effect';
      return { error: Object.assign(new Error(why), { retryable: false }) };
    }
    this.#made += 1;
    this.#unknown += 1;
    this.#underWay += 1;
    const attempt = this.#made;
    try {
      // A saga outlives the request that began it, so an attempt must not inherit that request's deadline.
      const inherits = currentCallContext() !== undefined;
      const value = inherits
        ? withCallContext(context, () => this.#perform(context, attempt))
        : this.#perform(context, attempt);
      if (isThenable(value)) return value;
      this.#left();
      return { value };
    } catch (error) {
      this.#left(error);
      return { error };
    }
  }

  #perform(context: CallContext, attempt: number): unknown {
    const { definition, step } = this.#task;
    const functions = definition.functions.get(step.name);
    if (this.#kind === 'do') return functions?.run?.(contextOf(this.#task, context, attempt));
    if (this.#kind === 'query') return functions?.query?.(contextOf(this.#task, context, attempt));
    const undone = functions?.undo?.(undoContextOf(this.#task, context, attempt));
    return isThenable(undone) ? undone : undefined;
  }

  /** An attempt has ended. */
  #left(error?: unknown): void {
    if (error instanceof RefusedError) this.#unknown -= 1;
    else if (error !== undefined) this.#doubt ??= error;
    this.#underWay -= 1;
    if (this.#underWay === 0) this.#ended?.abort();
  }

  /**
   * A step before the pivot has no more time than its saga, unless the saga may be past its pivot without having written
   * that down; an undo has as much as it needs.
   */
  get #timeout(): number {
    const { definition, step, record, inherited } = this.#task;
    const { attemptTimeout, clock } = this.#shared;
    const own = this.#kind === 'query' ? undefined : definition.functions.get(step.name)?.timeout;
    const timeout = own ?? attemptTimeout;
    const isBound =
      this.#kind === 'do' && step.kind === 'compensatable' && !(inherited && definition.plan.lazy);
    if (record.deadline === undefined || !isBound) return timeout;
    return Math.min(timeout, Math.max(0, record.deadline - clock.wallTime()));
  }

  #ending(settled: Settled): RoundResult | Promise<RoundResult> {
    return 'error' in settled ? this.#failed(settled.error) : this.#done(settled.value);
  }

  #done(value: unknown): RoundResult {
    this.#task.halt.watcher = undefined;
    // Nobody reads what an undo returns.
    return toOutput(this.#kind === 'undo' ? undefined : value, this.#shared.maxPayload);
  }

  #resolveFailed(error: unknown, resolve: (result: RoundResult | Promise<RoundResult>) => void): void {
    resolve(this.#failed(error));
  }

  async #failed(failure: unknown): Promise<RoundResult> {
    const { halt, step, inherited } = this.#task;
    const isDo = this.#kind === 'do';
    halt.watcher = undefined;
    if (this.#underWay > 0 && !(await this.#drained())) return this.#unending();
    const before = !isDo || (inherited && !step.once);
    const error = (isDo && step.once ? this.#doubt : undefined) ?? failure;
    return { done: false, error, doubtful: before || this.#unknown > 0 };
  }

  #unending(): RoundResult {
    const error = new Error(
      `an attempt was given up and did not end within ${this.#shared.settleTimeout} ms`,
    );
    return { done: false, error, doubtful: true, obstacle: 'unending' };
  }

  /** Wait until every attempt has ended; resolves to whether that came in time. */
  async #drained(): Promise<boolean> {
    const { clock, settleTimeout } = this.#shared;
    this.#ended = new AbortController();
    // Cut short when the last one ends.
    await sleep(clock, settleTimeout, this.#ended.signal).catch(() => {});
    return this.#underWay === 0;
  }
}

/** What a call that took no time came to. */
type Settled = { readonly value: unknown } | { readonly error: unknown };

/** The value as the store will bring it back, so that a step sees the same before and after a crash. */
export function toOutput(value: unknown, maxPayload: number): RoundResult {
  if (value === undefined) return { done: true, output: undefined };
  try {
    return { done: true, output: toJson(value, 'the result', maxPayload) };
  } catch (error) {
    return { done: false, error, doubtful: true, obstacle: 'unstorable' };
  }
}
