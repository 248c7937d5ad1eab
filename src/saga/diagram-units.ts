/** A plan as it is drawn: a list of steps, with the steps that belong together in groups. Pure. */

import type { PlannedStep } from './plan.ts';

/** What of a planned step is drawn. */
export interface DrawnStep extends Pick<PlannedStep, 'name' | 'kind' | 'undoable'> {
  readonly type?: 'call' | 'delay' | 'wait' | 'scope' | undefined;
  /** Steps that follow each other and have the same one are parallel. */
  readonly group?: string | undefined;
  readonly once?: boolean | undefined;
  readonly conditional?: boolean | undefined;
  /** Name of the nested saga that it is in. */
  readonly scope?: string | undefined;
}

/** A step, a parallel group, or a nested saga. */
export type DrawnUnit =
  | { readonly type: 'step'; readonly step: DrawnStep }
  | {
      readonly type: 'parallel';
      readonly name: string;
      readonly conditional: boolean;
      readonly units: readonly DrawnUnit[];
    }
  | { readonly type: 'nested'; readonly scope: DrawnStep; readonly units: readonly DrawnUnit[] };

/** The units of a plan, in order. */
export function drawnUnits(steps: readonly DrawnStep[]): readonly DrawnUnit[] {
  const units: DrawnUnit[] = [];
  for (let index = 0; index < steps.length; ) {
    const { unit, size } = unitAt(steps, index);
    units.push(unit);
    index += size;
  }
  return units;
}

function unitAt(
  steps: readonly DrawnStep[],
  index: number,
): { readonly unit: DrawnUnit; readonly size: number } {
  const step = steps[index]!;
  const rest = steps.slice(index + 1);
  if (step.type === 'scope') {
    const inside = leading(rest, ({ scope = '' }) => `${scope}.`.startsWith(`${step.name}.`));
    return { unit: { type: 'nested', scope: step, units: drawnUnits(inside) }, size: 1 + inside.length };
  }
  const { group } = step;
  if (group === undefined) return { unit: { type: 'step', step }, size: 1 };
  const members = [step, ...leading(rest, (other) => other.group === group)];
  // A condition of the group is one of each member, and is drawn once.
  const conditional = members.every((member) => member.conditional === true);
  const units = members.map((member): DrawnUnit => {
    return { type: 'step', step: conditional ? { ...member, conditional: undefined } : member };
  });
  return { unit: { type: 'parallel', name: group, conditional, units }, size: members.length };
}

function leading(steps: readonly DrawnStep[], belongs: (step: DrawnStep) => boolean): readonly DrawnStep[] {
  const end = steps.findIndex((step) => !belongs(step));
  return end < 0 ? steps : steps.slice(0, end);
}

/** Whether a unit may be passed by. */
export function isConditional(unit: DrawnUnit): boolean {
  if (unit.type === 'parallel') return unit.conditional;
  return (unit.type === 'step' ? unit.step : unit.scope).conditional === true;
}
