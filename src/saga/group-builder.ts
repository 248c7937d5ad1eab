import type { PlannedStep, SagaPlan } from './plan.ts';
import type { StepFunctions } from './saga-types.ts';
import { type Step, stepOf } from './step-parts.ts';

/** The one implementation of both kinds of group. Immutable. */
export class GroupBuilder {
  readonly members: readonly (readonly [PlannedStep, StepFunctions])[];
  readonly #plan: SagaPlan;

  /** @param plan what comes before the group, which decides what its members may be */
  constructor(plan: SagaPlan, members: readonly (readonly [PlannedStep, StepFunctions])[]) {
    this.#plan = plan;
    this.members = members;
  }

  step(name: string, run: Step, options: object = {}): GroupBuilder {
    return new GroupBuilder(this.#plan, [...this.members, stepOf(this.#plan, { name, run, options })]);
  }
}
