/** A step as the builder takes it, checked, in the two parts that a definition keeps: what is planned and what is called. */
import { InvalidOptionsError, InvalidSagaError } from '../core/errors.ts';
import { parseOptions } from '../core/options.ts';
import { isCommitted, type PlannedStep, type SagaPlan, type StepKind } from './plan.ts';
import type { StepContext, StepFunctions } from './saga-types.ts';
import { type CheckedCall, compensatableSchema, forwardSchema, pivotSchema } from './step-options.ts';

/** The steps as they were given; typed from outside by the interfaces of `saga-phases`. */
export type Step = (context: StepContext<unknown, unknown>) => unknown;

/** A step that is declared. */
export interface DeclaredStep {
  readonly name: string;
  readonly run: Step;
  readonly options: object;
  readonly pivot?: boolean | undefined;
}

/** Whose option it is, for messages. */
export function stepsOwner({ name }: SagaPlan, step: string): string {
  return `saga ${name}, ${step}`;
}

/** @throws InvalidSagaError when it has what may not be at its place; InvalidOptionsError when an option is wrong. */
export function stepOf(plan: SagaPlan, step: DeclaredStep): readonly [PlannedStep, StepFunctions] {
  if (typeof step.run !== 'function') {
    const accepts = 'a function that does the step';
    const received = typeof step.run;
    throw new InvalidOptionsError(`saga ${plan.name}`, [{ field: step.name, received, accepts }]);
  }
  if (step.pivot) return pivotOf(plan, step);
  return isCommitted(plan) ? forwardOf(plan, step) : compensatableOf(plan, step);
}

function pivotOf(plan: SagaPlan, step: DeclaredStep): readonly [PlannedStep, StepFunctions] {
  const { name, options } = step;
  if ('undo' in options) {
    throw new InvalidSagaError(plan.name, `${name} is the pivot, which is never undone: leave out its undo`);
  }
  if ('when' in options) {
    throw new InvalidSagaError(
      plan.name,
      `${name} is the pivot, which a saga has or has not: leave out its condition`,
    );
  }
  return parts(
    step,
    'pivot',
    parseOptions(stepsOwner(plan, `step ${name}`), pivotSchema, options),
    undefined,
  );
}

function forwardOf(plan: SagaPlan, step: DeclaredStep): readonly [PlannedStep, StepFunctions] {
  const { name, options } = step;
  if ('undo' in options) {
    throw new InvalidSagaError(
      plan.name,
      `${name} comes after the pivot, where nothing is undone: leave out its undo; it is retried until it is done`,
    );
  }
  const checked = parseOptions(stepsOwner(plan, `step ${name}`), forwardSchema, options);
  return parts(step, 'retriable', checked, undefined);
}

function compensatableOf(plan: SagaPlan, step: DeclaredStep): readonly [PlannedStep, StepFunctions] {
  const { name, options } = step;
  if (!('undo' in options)) {
    throw new InvalidSagaError(
      plan.name,
      `${name} comes before the pivot and needs an undo (or undo: 'nothing' when it has no effect)`,
    );
  }
  const owner = stepsOwner(plan, `step ${name}`);
  const { undo, ...checked } = parseOptions(owner, compensatableSchema, options);
  return parts(step, 'compensatable', checked, undo === 'nothing' ? undefined : undo);
}

function parts(
  { name, run }: DeclaredStep,
  kind: StepKind,
  { once, when, ...checked }: CheckedCall,
  undo: StepFunctions['undo'],
): readonly [PlannedStep, StepFunctions] {
  const planned: PlannedStep = {
    name,
    kind,
    type: 'call',
    undoable: undo !== undefined,
    ...(once && { once: true as const }),
    ...(when !== undefined && { conditional: true as const }),
  };
  return [planned, { run, undo, ...checked, ...(when !== undefined && { conditions: [when] }) }];
}
