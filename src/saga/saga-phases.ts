/**
 * What the types know of a saga. Two phases, two interfaces: before the pivot a step needs an undo and after it there
 * is none, so a saga in the wrong order does not compile.
 */
import type { Moment } from '../core/clock.ts';
import type {
  CompensatableOptions,
  DelayLength,
  ForwardOptions,
  GroupOptions,
  HarmlessOptions,
  NestedOptions,
  OnTimeout,
  PivotOptions,
  SagaDefinition,
  SagaState,
  StepContext,
  Stored,
  WaitOptions,
  WhenOptions,
} from './saga-types.ts';

/** `Results` with one more. */
export type WithResult<Results, Name extends string, Result> = {
  readonly [K in keyof Results | Name]: K extends keyof Results ? Results[K] : Result;
};

/** `Results` with more. */
export type WithResults<Results, More> = {
  readonly [K in keyof Results | keyof More]: K extends keyof Results
    ? Results[K]
    : K extends keyof More
      ? More[K]
      : never;
};

/** What a step returns, as it is stored; or undefined when it has a condition. */
export type ResultOf<Result, Answer = never> = Maybe<Stored<Awaited<Result>>, Answer>;

/** A result that is undefined when its condition does not hold. */
export type Maybe<Result, Answer> = [Answer] extends [never] ? Result : Result | undefined;

/** Every result of a group; undefined when the group has a condition that does not hold. */
export type MaybeAll<Results, Answer> = { readonly [K in keyof Results]: Maybe<Results[K], Answer> };

/** A name that no step has yet. */
export type UnusedName<Name extends string, Results> = Name extends keyof Results ? never : Name;

/** What a saga has that decides where it may be nested: steps that can be undone, a pivot. */
export type SagaTrait = 'undo' | 'pivot';

/** A declared saga, as a runner takes it. */
export interface Saga<Input = unknown, Results = unknown, Traits extends SagaTrait = SagaTrait> {
  readonly name: string;
  /** The definition's version, from 1. */
  readonly version: number;
  /** Of the name, the version and the steps. A record runs only on the definition that it began with. */
  readonly hash: string;
  /** Its parts without their types, for runners and tools. */
  readonly definition: SagaDefinition;
  /** Carries the types; has no value. */
  readonly types?: { readonly input: Input; readonly results: Results; readonly traits: Traits } | undefined;
}

/** A saga that is nested: in its parent's phase, or committed when it has a pivot. */
export type AfterNested<SchemaInput, Input, Results, Traits extends SagaTrait> = 'pivot' extends Traits
  ? CommittedSaga<SchemaInput, Input, Results, Traits>
  : CompensatableSaga<SchemaInput, Input, Results, Traits>;

/** A saga that has no pivot yet: everything in it can be undone. */
export interface CompensatableSaga<SchemaInput, Input, Results, Traits extends SagaTrait = never>
  extends Saga<SchemaInput, Results, Traits> {
  /**
   * Add a step without an effect: there is nothing to undo.
   *
   * @throws InvalidSagaError when the name is taken or bad, or the undo is missing.
   */
  step<Name extends string, Result, Answer extends boolean = never>(
    name: Name & UnusedName<Name, Results>,
    run: (context: StepContext<Input, Results>) => Result,
    options: HarmlessOptions<Input, Results, Stored<Awaited<Result>>, Answer>,
  ): CompensatableSaga<SchemaInput, Input, WithResult<Results, Name, ResultOf<Result, Answer>>, Traits>;
  /**
   * Add a step that can be undone.
   *
   * @throws InvalidSagaError when the name is taken or bad, or the undo is missing.
   */
  step<Name extends string, Result, Answer extends boolean = never>(
    name: Name & UnusedName<Name, Results>,
    run: (context: StepContext<Input, Results>) => Result,
    options: CompensatableOptions<Input, Results, Stored<Awaited<Result>>, Answer>,
  ): CompensatableSaga<
    SchemaInput,
    Input,
    WithResult<Results, Name, ResultOf<Result, Answer>>,
    Traits | 'undo'
  >;
  /**
   * Add steps that are done at the same time. Each sees the results from before the group. When one is not done, no
   * more are begun, the others' signals abort, and when all have ended the group is undone and then what came before.
   *
   * @throws InvalidSagaError when a name is taken or bad, an undo is missing, or the group is empty.
   */
  parallel<Added, GroupTraits extends SagaTrait, Answer extends boolean = never>(
    name: string,
    members: (
      group: CompensatableGroup<Input, Results, Record<never, never>>,
    ) => CompensatableGroup<Input, Results, Added, GroupTraits>,
    options?: GroupOptions<Input, Results, Answer>,
  ): CompensatableSaga<
    SchemaInput,
    Input,
    WithResults<Results, MaybeAll<Added, Answer>>,
    Traits | GroupTraits
  >;
  /**
   * Let time pass, from the moment at which the saga comes to it. Costs no timer and no memory.
   *
   * @throws InvalidSagaError when the name is taken or bad; InvalidOptionsError when the length is none.
   */
  delay<Name extends string, Answer extends boolean = never>(
    name: Name & UnusedName<Name, Results>,
    length: DelayLength<Input, Results>,
    options?: WhenOptions<Input, Results, Answer>,
  ): CompensatableSaga<SchemaInput, Input, WithResult<Results, Name, undefined>, Traits>;
  /**
   * Let time pass until a moment by the wall clock, in milliseconds or as a `Date`; asked once.
   *
   * @throws InvalidSagaError when the name is taken or bad.
   */
  sleepUntil<Name extends string, Answer extends boolean = never>(
    name: Name & UnusedName<Name, Results>,
    time: (state: SagaState<Input, Results>) => Moment,
    options?: WhenOptions<Input, Results, Answer>,
  ): CompensatableSaga<SchemaInput, Input, WithResult<Results, Name, undefined>, Traits>;
  /**
   * Wait for a signal of this name (`SagaRunner.signal`); its payload is the result. One that came before counts.
   *
   * @throws InvalidSagaError when the name is taken or bad.
   */
  waitFor<
    Name extends string,
    Payload = unknown,
    Timeout extends OnTimeout = 'turn-back',
    Answer extends boolean = never,
  >(
    name: Name & UnusedName<Name, Results>,
    options?: WaitOptions<Input, Results, Payload, Timeout, Answer>,
  ): CompensatableSaga<
    SchemaInput,
    Input,
    WithResult<Results, Name, Signalled<Payload, Timeout, Answer>>,
    Traits
  >;
  /**
   * Add all steps of another saga, under its own names behind this one and a dot. It sees its own input and results.
   * With a pivot, it is this saga's pivot.
   *
   * @throws InvalidSagaError when a name is taken or bad, or the other one has a deadline of its own.
   */
  saga<
    Name extends string,
    ChildInput,
    ChildResults,
    ChildTraits extends SagaTrait,
    Answer extends boolean = never,
  >(
    name: Name & UnusedName<Name, Results>,
    child: Saga<ChildInput, ChildResults, ChildTraits>,
    options: NestedOptions<Input, Results, ChildInput, 'pivot' extends ChildTraits ? never : Answer>,
  ): AfterNested<
    SchemaInput,
    Input,
    WithResult<Results, Name, Maybe<ChildResults, Answer>>,
    Traits | ChildTraits
  >;
  /**
   * Add the point of no return: when it is done the saga only goes forward, when it is refused everything before it is
   * undone, and while that is unknown it is asked again with the same key.
   *
   * @throws InvalidSagaError when the name is taken or bad, or there is an undo or a condition.
   */
  pivot<Name extends string, Result>(
    name: Name & UnusedName<Name, Results>,
    run: (context: StepContext<Input, Results>) => Result,
    options?: PivotOptions<Input, Results, Stored<Awaited<Result>>>,
  ): CommittedSaga<SchemaInput, Input, WithResult<Results, Name, ResultOf<Result>>, Traits | 'pivot'>;
}

/** A saga behind its pivot: what follows is retried until it is done. */
export interface CommittedSaga<SchemaInput, Input, Results, Traits extends SagaTrait = SagaTrait>
  extends Saga<SchemaInput, Results, Traits> {
  /**
   * Add a step that is retried until it is done.
   *
   * @throws InvalidSagaError when the name is taken or bad, or there is an undo.
   */
  step<Name extends string, Result, Answer extends boolean = never>(
    name: Name & UnusedName<Name, Results>,
    run: (context: StepContext<Input, Results>) => Result,
    options?: ForwardOptions<Input, Results, Stored<Awaited<Result>>, Answer>,
  ): CommittedSaga<SchemaInput, Input, WithResult<Results, Name, ResultOf<Result, Answer>>, Traits>;
  /**
   * Add steps that are done at the same time, each retried until it is done.
   *
   * @throws InvalidSagaError when a name is taken or bad, there is an undo, or the group is empty.
   */
  parallel<Added, Answer extends boolean = never>(
    name: string,
    members: (
      group: CommittedGroup<Input, Results, Record<never, never>>,
    ) => CommittedGroup<Input, Results, Added>,
    options?: WhenOptions<Input, Results, Answer>,
  ): CommittedSaga<SchemaInput, Input, WithResults<Results, MaybeAll<Added, Answer>>, Traits>;
  /** Let time pass: see {@link CompensatableSaga.delay}. */
  delay<Name extends string, Answer extends boolean = never>(
    name: Name & UnusedName<Name, Results>,
    length: DelayLength<Input, Results>,
    options?: WhenOptions<Input, Results, Answer>,
  ): CommittedSaga<SchemaInput, Input, WithResult<Results, Name, undefined>, Traits>;
  /** Let time pass until a moment: see {@link CompensatableSaga.sleepUntil}. */
  sleepUntil<Name extends string, Answer extends boolean = never>(
    name: Name & UnusedName<Name, Results>,
    time: (state: SagaState<Input, Results>) => Moment,
    options?: WhenOptions<Input, Results, Answer>,
  ): CommittedSaga<SchemaInput, Input, WithResult<Results, Name, undefined>, Traits>;
  /** Wait for a signal: see {@link CompensatableSaga.waitFor}. Nothing turns back after the pivot. */
  waitFor<
    Name extends string,
    Payload = unknown,
    Timeout extends 'park' | 'continue' = 'park',
    Answer extends boolean = never,
  >(
    name: Name & UnusedName<Name, Results>,
    options?: WaitOptions<Input, Results, Payload, Timeout, Answer>,
  ): CommittedSaga<
    SchemaInput,
    Input,
    WithResult<Results, Name, Signalled<Payload, Timeout, Answer>>,
    Traits
  >;
  /**
   * Add all steps of another saga that has no undos: each is retried until it is done.
   *
   * @throws InvalidSagaError when a name is taken or bad, or the other one has an undo or a deadline of its own.
   */
  saga<Name extends string, ChildInput, ChildResults, Answer extends boolean = never>(
    name: Name & UnusedName<Name, Results>,
    child: Saga<ChildInput, ChildResults, 'pivot'>,
    options: NestedOptions<Input, Results, ChildInput, Answer>,
  ): CommittedSaga<SchemaInput, Input, WithResult<Results, Name, Maybe<ChildResults, Answer>>, Traits>;
}

/** What a wait for a signal results in. */
export type Signalled<Payload, Timeout extends OnTimeout, Answer> =
  | Maybe<Stored<Payload>, Answer>
  | ('continue' extends Timeout ? undefined : never);

/** The members of a parallel group before the pivot. */
export interface CompensatableGroup<Input, Results, Added, Traits extends SagaTrait = never> {
  /** Carries the types; has no value. */
  readonly types?: { readonly added: Added; readonly traits: Traits } | undefined;
  /** Add a member that has no effect. @throws InvalidSagaError when the name is taken or bad. */
  step<Name extends string, Result, Answer extends boolean = never>(
    name: Name & UnusedName<Name, Results & Added>,
    run: (context: StepContext<Input, Results>) => Result,
    options: HarmlessOptions<Input, Results, Stored<Awaited<Result>>, Answer>,
  ): CompensatableGroup<Input, Results, WithResult<Added, Name, ResultOf<Result, Answer>>, Traits>;
  /** Add a member that can be undone. @throws InvalidSagaError when the name is taken or bad, or it has no undo. */
  step<Name extends string, Result, Answer extends boolean = never>(
    name: Name & UnusedName<Name, Results & Added>,
    run: (context: StepContext<Input, Results>) => Result,
    options: CompensatableOptions<Input, Results, Stored<Awaited<Result>>, Answer>,
  ): CompensatableGroup<Input, Results, WithResult<Added, Name, ResultOf<Result, Answer>>, Traits | 'undo'>;
}

/** The members of a parallel group after the pivot. */
export interface CommittedGroup<Input, Results, Added> {
  /** Carries the types; has no value. */
  readonly types?: { readonly added: Added } | undefined;
  /** Add a member. @throws InvalidSagaError when the name is taken or bad, or there is an undo. */
  step<Name extends string, Result, Answer extends boolean = never>(
    name: Name & UnusedName<Name, Results & Added>,
    run: (context: StepContext<Input, Results>) => Result,
    options?: ForwardOptions<Input, Results, Stored<Awaited<Result>>, Answer>,
  ): CommittedGroup<Input, Results, WithResult<Added, Name, ResultOf<Result, Answer>>>;
}
