/**
 * What the types know of a saga. Two phases, two interfaces: before the pivot a step needs an undo and after it there
 * is none, so a saga in the wrong order does not compile.
 */
import type { Duration } from '../core/duration.ts';
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
    : T extends object
      ? { readonly [K in keyof T]: Stored<T[K]> }
      : T extends void
        ? undefined
        : T;

/** What a step gets. May be passed as options to any verb of the library (`signal`, `deadline`). */
export interface StepContext<Input, Results> extends CallContext {
  /** What the saga was started with. */
  readonly input: Input;
  /** What the steps before this one returned, by name. */
  readonly results: Results;
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

/** Options of the pivot and of the steps after it. */
export interface ForwardOptions {
  /**
   * Runs the attempts: a retry, a breaker, a timeout, or a pipeline of them. Default: one attempt. The pivot in doubt and
   * the steps after it are repeated as the runner's `retry` says, each round under this policy.
   */
  readonly policy?: Policy | undefined;
  /** The longest that one attempt may take; then its signal aborts. Default: the runner's `attemptTimeout`. */
  readonly timeout?: Duration | undefined;
  /** There is none. */
  readonly undo?: never;
}

/** Options of a step before the pivot. */
export interface CompensatableOptions<Input, Results, Result> {
  /**
   * Takes back what the step did; also called when it is unknown whether the step did anything, so it must accept that
   * there is nothing to take back. Must be idempotent by its `key`. `'nothing'` for a step without an effect.
   */
  readonly undo: ((context: UndoContext<Input, Results, Result>) => unknown) | 'nothing';
  /** Runs the attempts at the step (not at its undo). Default: one attempt. */
  readonly policy?: Policy | undefined;
  /** The longest that one attempt, or one undo, may take. Default: the runner's `attemptTimeout`. */
  readonly timeout?: Duration | undefined;
}

/** `Results` with one more. */
export type WithResult<Results, Name extends string, Result> = {
  readonly [K in keyof Results | Name]: K extends keyof Results ? Results[K] : Stored<Awaited<Result>>;
};

/** A name that no step has yet. */
export type UnusedName<Name extends string, Results> = Name extends keyof Results ? never : Name;

/** A declared saga, as a runner takes it. */
export interface Saga<Input = unknown, Results = unknown> {
  readonly name: string;
  /** Of the name and the steps' names, order and kinds. A record runs only on the definition that it began with. */
  readonly hash: string;
  /** Its parts without their types, for runners and tools. */
  readonly definition: SagaDefinition;
  /** Carries the types; has no value. */
  readonly types?: { readonly input: Input; readonly results: Results } | undefined;
}

/** A saga that has no pivot yet: everything in it can be undone. */
export interface CompensatableSaga<SchemaInput, Input, Results> extends Saga<SchemaInput, Results> {
  /**
   * Add a step that can be undone.
   *
   * @throws InvalidSagaError when the name is taken or bad, or the undo is missing.
   */
  step<Name extends string, Result>(
    name: Name & UnusedName<Name, Results>,
    run: (context: StepContext<Input, Results>) => Result,
    options: CompensatableOptions<Input, Results, Stored<Awaited<Result>>>,
  ): CompensatableSaga<SchemaInput, Input, WithResult<Results, Name, Result>>;
  /**
   * Add the point of no return: when it is done the saga only goes forward, when it is refused everything before it is
   * undone, and while that is unknown it is asked again with the same key.
   *
   * @throws InvalidSagaError when the name is taken or bad.
   */
  pivot<Name extends string, Result>(
    name: Name & UnusedName<Name, Results>,
    run: (context: StepContext<Input, Results>) => Result,
    options?: ForwardOptions,
  ): CommittedSaga<SchemaInput, Input, WithResult<Results, Name, Result>>;
}

/** A saga behind its pivot: what follows is retried until it is done. */
export interface CommittedSaga<SchemaInput, Input, Results> extends Saga<SchemaInput, Results> {
  /**
   * Add a step that is retried until it is done.
   *
   * @throws InvalidSagaError when the name is taken or bad, or there is an undo.
   */
  step<Name extends string, Result>(
    name: Name & UnusedName<Name, Results>,
    run: (context: StepContext<Input, Results>) => Result,
    options?: ForwardOptions,
  ): CommittedSaga<SchemaInput, Input, WithResult<Results, Name, Result>>;
}

/** What a step is made of. */
export interface StepFunctions {
  /** What the step does. */
  readonly run: (context: StepContext<unknown, unknown>) => unknown;
  /** Undefined when there is nothing to undo. */
  readonly undo: ((context: UndoContext<unknown, unknown, unknown>) => unknown) | undefined;
  readonly policy?: Policy | undefined;
  /** In milliseconds. */
  readonly timeout?: number | undefined;
}

/** A saga without its types. */
export interface SagaDefinition {
  readonly plan: SagaPlan;
  /** Of the input. */
  readonly schema: StandardSchema;
  /** By the step's name. */
  readonly functions: ReadonlyMap<string, StepFunctions>;
}
