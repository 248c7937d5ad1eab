/**
 * A saga's shape, without its functions: what the pure decision needs, and what its hash is taken of.
 *
 * Invariant: `compensatable* pivot? retriable*` (Richardson, "Microservices Patterns", 2018, chapter 4). The steps of a
 * group and those of a nested saga stand together, a nested saga's behind the step that has its input.
 */
import { createHash } from 'node:crypto';
import { InvalidSagaError } from '../core/errors.ts';

/**
 * What may happen after a step: a `compensatable` one may be undone, the `pivot` decides, and a `retriable` one, after
 * the pivot, can only be done.
 */
export type StepKind = 'compensatable' | 'pivot' | 'retriable';

/** What a step does: call somebody, let time pass, wait for a signal, or hold the input of a nested saga. */
export type StepType = 'call' | 'delay' | 'wait' | 'scope';

/** One step, as the decision sees it. */
export interface PlannedStep {
  /** Of a step in a nested saga: behind the nested saga's name and a dot. */
  readonly name: string;
  readonly kind: StepKind;
  readonly type: StepType;
  /** Whether there is something to undo; false for `undo: 'nothing'`, the pivot and everything after it. */
  readonly undoable: boolean;
  /** The parallel group that it is in; its members stand together. */
  readonly group?: string | undefined;
  /** Whether its group is undone all at once, and not one after the other. */
  readonly undoneTogether?: true | undefined;
  /** Name of the `scope` step of the nested saga that it is in. */
  readonly scope?: string | undefined;
  /** Whether it must never be attempted again when an attempt may have had an effect. */
  readonly once?: true | undefined;
  /** Whether it is done only if a condition holds. */
  readonly conditional?: true | undefined;
}

/** All steps of a saga, in order. */
export interface SagaPlan {
  /** The saga's name. */
  readonly name: string;
  /** The definition's version, from 1. */
  readonly version: number;
  /** Whether outcomes are written down only when the saga's status changes. */
  readonly lazy: boolean;
  readonly steps: readonly PlannedStep[];
  /** The steps again, a parallel group's together: what is done one after the other. */
  readonly units: readonly (readonly PlannedStep[])[];
  /** Where each step stands, by its name. */
  readonly positions: ReadonlyMap<string, number>;
  /** Whether some step has something to be fixed when the saga comes to it: a condition, a time, an input. */
  readonly hasOpenings: boolean;
  /** Of all this; a record runs only on a definition of its hash. */
  readonly hash: string;
}

/** What a plan has besides its steps. */
export type PlanTerms = Pick<SagaPlan, 'name' | 'version' | 'lazy'>;

const stepName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/** A plan of no steps yet. */
export function emptyPlan(name: string, terms: Partial<Omit<PlanTerms, 'name'>> = {}): SagaPlan {
  return build({ name, version: 1, lazy: false, ...terms }, []);
}

/** The plan with one more step at its end. @throws What {@link planSteps} throws. */
export function planStep(plan: SagaPlan, step: PlannedStep): SagaPlan {
  return planSteps(plan, [step]);
}

/**
 * The plan with more steps at its end.
 *
 * @throws InvalidSagaError when a name is bad or taken, or when one may not stand there.
 */
export function planSteps(plan: SagaPlan, steps: readonly PlannedStep[]): SagaPlan {
  const all = [...plan.steps];
  for (const step of steps) {
    check(plan, all, step);
    all.push(step);
  }
  return build(plan, all);
}

function check(plan: SagaPlan, before: readonly PlannedStep[], step: PlannedStep): void {
  const refuse = (why: string): never => {
    throw new InvalidSagaError(plan.name, why);
  };
  assertName(plan.name, step.name, 'a step');
  if (before.some((other) => other.name === step.name)) refuse(`two steps are named ${step.name}`);
  const committed = before.some((other) => other.kind === 'pivot');
  if (step.kind === 'pivot' && committed) refuse(`${step.name} would be a second pivot; a saga has one`);
  if (step.kind === 'compensatable' && committed)
    refuse(`${step.name} comes after the pivot and cannot be undone`);
  if (step.kind === 'retriable' && !committed)
    refuse(`${step.name} comes before the pivot and must be undoable`);
  if (step.once && plan.lazy) {
    refuse(
      `${step.name} is to be done once, so a crash must find it written down: leave out durability 'lazy'`,
    );
  }
  const { group } = step;
  if (group === undefined || before.at(-1)?.group === group) return;
  assertName(plan.name, group, 'a group');
  if (before.some((other) => other.group === group)) refuse(`two groups are named ${group}`);
}

/** @throws InvalidSagaError when it is no name. */
export function assertName(saga: string, name: unknown, what: string): void {
  if (typeof name === 'string' && stepName.test(name)) return;
  throw new InvalidSagaError(
    saga,
    `${JSON.stringify(name)} is no name for ${what}; use 1 to 128 letters, digits, dots, dashes and underscores`,
  );
}

/** Whether the plan's last step is the pivot or comes after it. */
export function isCommitted(plan: SagaPlan): boolean {
  return plan.steps.some((step) => step.kind === 'pivot');
}

/** Whether something must be fixed when the saga comes to a step, and written down before it goes on. */
export function needsOpening(step: PlannedStep): boolean {
  return step.conditional === true || step.type !== 'call';
}

function build({ name, version, lazy }: PlanTerms, steps: readonly PlannedStep[]): SagaPlan {
  return {
    name,
    version,
    lazy,
    steps,
    units: toUnits(steps),
    positions: new Map(steps.map((step, position) => [step.name, position])),
    hasOpenings: steps.some(needsOpening),
    hash: hashOf({ name, version, lazy }, steps),
  };
}

function toUnits(steps: readonly PlannedStep[]): readonly (readonly PlannedStep[])[] {
  const units: PlannedStep[][] = [];
  for (const step of steps) {
    const last = units.at(-1);
    if (step.group !== undefined && last?.[0]?.group === step.group) last.push(step);
    else units.push([step]);
  }
  return units;
}

/** What a plain step does not have stays out, so that a saga keeps its hash when the library learns more. */
function hashOf({ name, version, lazy }: PlanTerms, steps: readonly PlannedStep[]): string {
  const shape = steps.map(({ name, kind, type, undoable, ...more }) => {
    const special = Object.entries({ type: type === 'call' ? undefined : type, ...more })
      .filter(([, value]) => value !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1));
    return special.length === 0 ? [name, kind, undoable] : [name, kind, undoable, special];
  });
  const terms = version === 1 && !lazy ? [] : [{ version, lazy }];
  const text = JSON.stringify([name, ...terms, ...shape]);
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
