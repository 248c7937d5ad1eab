/** What a saga's functions get and give, and a definition without its types. */
import type { Duration } from '../core/duration.ts';
import type { JsonValue } from '../core/json.ts';
import type { CallContext, Policy } from '../core/policy.ts';
import type { StandardSchema } from '../core/schema.ts';
import type { SagaPlan } from './plan.ts';

/** A value as it comes back from a store: what JSON makes of it (a `Date` is a string). */
export type Stored<T> = 0 extends 1 & T
  ? T
  : T extends {
        /** What `JSON.stringify` asks. */
        readonly toJSON: () => infer Json;
      }
    ? Stored<Json>
    : IsAnyJsonList<T> extends true
      ? readonly JsonValue[]
      : T extends object
        ? { readonly [K in keyof T]: Stored<T[K]> }
        : T extends void
          ? undefined
          : T;

/** Whether a list may hold all of JSON. The compiler resolves lists at once, and that of {@link JsonValue} has no end. */
type IsAnyJsonList<T> = T extends readonly (infer Item)[]
  ? [number, JsonValue] extends [T['length'], Item]
    ? unknown extends Item
      ? false
      : true
    : false
  : false;

/** What is known of a saga at a step. */
export interface SagaState<Input, Results> {
  /** What the saga was started with. */
  readonly input: Input;
  /** What the steps before this one returned, by name. */
  readonly results: Results;
}

/**
 * What a step gets. May be passed as it is as options to any verb of the library that takes `signal` and `deadline`. Its
 * `signal` is made when it is read, and a copy by `{ ...context }` has none.
 */
export interface StepContext<Input, Results> extends CallContext, SagaState<Input, Results> {
  /** The saga's id. */
  readonly sagaId: string;
  /** Equal for every attempt at this step, also after a crash: what the participant deduplicates by. */
  readonly key: string;
  /** Calls of this step by this process, from 1; starts anew after a crash. */
  readonly attempt: number;
}

/** What an undo gets. */
export interface UndoContext<Input, Results, Result> extends StepContext<Input, Results> {
  /** What the step returned; undefined when that is unknown, and then it may or may not have had its effect. */
  readonly result: Result | undefined;
  /** Why the saga turned back. */
  readonly error: string;
  /** The key that the step itself was called with. */
  readonly forwardKey: string;
}

/**
 * Whether a step is done. Asked once, when the saga comes to the step, and written down before anything is done. Must
 * answer at once; if it throws, the saga is parked.
 */
export type Condition<Input, Results, Answer extends boolean = boolean> = (
  state: SagaState<Input, Results>,
) => Answer;

/** What a participant answers when it is asked whether a step happened. */
export type Happened<Result> =
  | { readonly happened: true; readonly result: Result }
  | { readonly happened: false };

/** Options of every step that calls somebody. */
export interface CallOptions<Input, Results, Result> {
  /** Runs the attempts: a retry, a breaker, a timeout, or a pipeline of them. Default: one attempt. */
  readonly policy?: Policy | undefined;
  /** The longest that one attempt, or one undo, may take; then its signal aborts. Default: the runner's `attemptTimeout`. */
  readonly timeout?: Duration | undefined;
  /**
   * For a participant that does not deduplicate by `key`: that an attempt is made is written down before it (one write
   * more), and when one may have had an effect there is no other, by whatever policy. Default false.
   */
  readonly once?: boolean | undefined;
  /**
   * With `once`: asks the participant whether an attempt in doubt happened. Repeated until it answers. Without it a step
   * before the pivot in doubt is undone, and any other is left to a person.
   */
  readonly query?:
    | ((context: StepContext<Input, Results>) => Happened<Result> | Promise<Happened<Result>>)
    | undefined;
}

/** Options of the pivot. In doubt it is repeated as the runner's `retry` says, each round under its policy. */
export interface PivotOptions<Input, Results, Result> extends CallOptions<Input, Results, Result> {
  /** There is none. */
  readonly undo?: never;
  /** There is none: a saga has come to its pivot or it has not. */
  readonly when?: never;
}

/** Options of a step after the pivot. It is repeated as the runner's `retry` says, each round under its policy. */
export interface ForwardOptions<Input, Results, Result, Answer extends boolean = never>
  extends CallOptions<Input, Results, Result> {
  /** There is none. */
  readonly undo?: never;
  /** Whether it is done; otherwise its result is undefined. Default: always. */
  readonly when?: Condition<Input, Results, Answer> | undefined;
}

/** Options of a step before the pivot. */
export interface CompensatableOptions<Input, Results, Result, Answer extends boolean = never>
  extends CallOptions<Input, Results, Result> {
  /**
   * Takes back what the step did; also called when it is unknown whether the step did anything, so it must accept that
   * there is nothing to take back. Must be idempotent by its `key`. `'nothing'` for a step without an effect.
   */
  readonly undo: ((context: UndoContext<Input, Results, Result>) => unknown) | 'nothing';
  /** Whether it is done; otherwise its result is undefined. Default: always. */
  readonly when?: Condition<Input, Results, Answer> | undefined;
}

/** Options of a step before the pivot that has no effect. */
export interface HarmlessOptions<Input, Results, Result, Answer extends boolean = never>
  extends CallOptions<Input, Results, Result> {
  /** It has no effect, so there is nothing to take back. */
  readonly undo: 'nothing';
  /** Whether it is done; otherwise its result is undefined. Default: always. */
  readonly when?: Condition<Input, Results, Answer> | undefined;
}

/** Options of what takes no part in doing and undoing: a delay, steps after the pivot that stand together. */
export interface WhenOptions<Input, Results, Answer extends boolean = never> {
  /** Whether it takes place. Default: always. */
  readonly when?: Condition<Input, Results, Answer> | undefined;
  /** There is none. */
  readonly undo?: never;
}

/** Options of a parallel group before the pivot. */
export interface GroupOptions<Input, Results, Answer extends boolean = never> {
  /** `concurrent` when its members may be undone at once; `reverse` (default) undoes the last one first. */
  readonly undo?: 'reverse' | 'concurrent' | undefined;
  /** Whether the group takes place; otherwise the results of its members are undefined. Default: always. */
  readonly when?: Condition<Input, Results, Answer> | undefined;
}

/** Options of a nested saga. */
export interface NestedOptions<Input, Results, ChildInput, Answer extends boolean = never> {
  /**
   * What the nested saga is started with; asked once, and checked by the nested saga's schema. Before the pivot a wrong
   * one turns the saga back, after it parks.
   */
  readonly input: (state: SagaState<Input, Results>) => ChildInput;
  /** Whether it takes place; otherwise its result is undefined. Default: always. */
  readonly when?: Condition<Input, Results, Answer> | undefined;
}

/**
 * What becomes of a saga whose signal does not come: it turns back, waits for a person, or goes on with the result
 * undefined.
 */
export type OnTimeout = 'turn-back' | 'park' | 'continue';

/** Options of a wait for a signal. */
export interface WaitOptions<
  Input,
  Results,
  Payload,
  Timeout extends OnTimeout,
  Answer extends boolean = never,
> {
  /** What the signal carries. Default: anything. */
  readonly schema?: StandardSchema<unknown, Payload> | undefined;
  /** How long to wait. Default: without end. */
  readonly timeout?: Duration | undefined;
  /** Default: `turn-back` before the pivot, `park` after it. */
  readonly onTimeout?: Timeout | undefined;
  /** Whether it waits at all; otherwise its result is undefined. Default: always. */
  readonly when?: Condition<Input, Results, Answer> | undefined;
}

/** How long to let pass: constant, or by what is known when the saga comes to it. */
export type DelayLength<Input, Results> = Duration | ((state: SagaState<Input, Results>) => Duration);

/** What a step is made of. */
export interface StepFunctions {
  /** What a call does. */
  readonly run?: ((context: StepContext<unknown, unknown>) => unknown) | undefined;
  /** Undefined when there is nothing to undo. */
  readonly undo?: ((context: UndoContext<unknown, unknown, unknown>) => unknown) | undefined;
  readonly policy?: Policy | undefined;
  /** Of one attempt, or of a wait for a signal, in milliseconds. */
  readonly timeout?: number | undefined;
  /** Of a step that is done once: finds out whether it happened. */
  readonly query?: ((context: StepContext<unknown, unknown>) => unknown) | undefined;
  /** All must hold: its group's, and its own. */
  readonly conditions?: readonly Condition<unknown, unknown>[] | undefined;
  /** Of a delay: when it is over, by the wall clock in milliseconds, if it begins at `now`. */
  readonly until?: ((state: SagaState<unknown, unknown>, now: number) => number) | undefined;
  /** Of a nested saga's input, or of a signal. */
  readonly schema?: StandardSchema | undefined;
  readonly onTimeout?: OnTimeout | undefined;
  /** Of a nested saga. */
  readonly input?: ((state: SagaState<unknown, unknown>) => unknown) | undefined;
}

/** A saga without its types. */
export interface SagaDefinition {
  readonly plan: SagaPlan;
  /** Of the input. */
  readonly schema: StandardSchema;
  /** By the step's name. */
  readonly functions: ReadonlyMap<string, StepFunctions>;
  /** How long after its start a saga turns back unless its pivot is done, in milliseconds; undefined: never. */
  readonly deadline: number | undefined;
}
