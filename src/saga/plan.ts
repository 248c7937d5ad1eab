/**
 * A saga's shape, without its functions: what the pure decision needs, and what its hash is taken of.
 *
 * Invariant: `compensatable* pivot? retriable*` (Richardson, "Microservices Patterns", 2018, chapter 4).
 */
import { createHash } from 'node:crypto';
import { InvalidSagaError } from '../core/errors.ts';

/**
 * What may happen after a step: a `compensatable` one may be undone, the `pivot` decides, and a `retriable` one, after
 * the pivot, can only be done.
 */
export type StepKind = 'compensatable' | 'pivot' | 'retriable';

/** One step, as the decision sees it. */
export interface PlannedStep {
  readonly name: string;
  readonly kind: StepKind;
  /** Whether there is something to undo; false for `undo: 'nothing'`, the pivot and everything after it. */
  readonly undoable: boolean;
}

/** All steps of a saga, in order. */
export interface SagaPlan {
  /** The saga's name. */
  readonly name: string;
  readonly steps: readonly PlannedStep[];
  /** Of the name and the steps; a record runs only on a definition of its hash. */
  readonly hash: string;
}

const stepName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/** A plan of no steps yet. */
export function emptyPlan(name: string): SagaPlan {
  return withHash(name, []);
}

/**
 * The plan with one more step at its end.
 *
 * @throws InvalidSagaError when its name is bad or taken, or when it may not stand there.
 */
export function planStep(plan: SagaPlan, step: PlannedStep): SagaPlan {
  const refuse = (why: string): never => {
    throw new InvalidSagaError(plan.name, why);
  };
  if (typeof step.name !== 'string' || !stepName.test(step.name)) {
    refuse(
      `${JSON.stringify(step.name)} is no name for a step; use 1 to 128 letters, digits, dots, dashes and underscores`,
    );
  }
  if (plan.steps.some((other) => other.name === step.name)) refuse(`two steps are named ${step.name}`);
  const committed = isCommitted(plan);
  if (step.kind === 'pivot' && committed) refuse(`${step.name} would be a second pivot; a saga has one`);
  if (step.kind === 'compensatable' && committed)
    refuse(`${step.name} comes after the pivot and cannot be undone`);
  if (step.kind === 'retriable' && !committed)
    refuse(`${step.name} comes before the pivot and must be undoable`);
  return withHash(plan.name, [...plan.steps, step]);
}

/** Whether the plan's last step is the pivot or comes after it. */
export function isCommitted(plan: SagaPlan): boolean {
  return plan.steps.some((step) => step.kind === 'pivot');
}

function withHash(name: string, steps: readonly PlannedStep[]): SagaPlan {
  const shape = JSON.stringify([name, ...steps.map((s) => [s.name, s.kind, s.undoable])]);
  return { name, steps, hash: createHash('sha256').update(shape).digest('hex').slice(0, 16) };
}
