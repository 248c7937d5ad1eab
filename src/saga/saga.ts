import type { Duration } from '../core/duration.ts';
import { InvalidOptionsError, InvalidSagaError, RefusedError } from '../core/errors.ts';
import { durationOption, nameOption, parseOptions, z } from '../core/options.ts';
import type { StandardSchema } from '../core/schema.ts';
import { GroupBuilder } from './group-builder.ts';
import { nest } from './nest.ts';
import { emptyPlan, isCommitted, type PlannedStep, planSteps, type SagaPlan } from './plan.ts';
import type { CompensatableSaga, Saga } from './saga-phases.ts';
import type { SagaDefinition, StepFunctions, Stored } from './saga-types.ts';
import {
  groupSchema,
  lengthSchema,
  nestedSchema,
  schemaOption,
  untilAfter,
  untilTime,
  waitSchema,
  whenSchema,
} from './step-options.ts';
import { type Step, stepOf, stepsOwner } from './step-parts.ts';

/** Options of {@link saga}. */
export interface SagaOptions<Input, Output> {
  /** What a saga of this kind is started with: a schema of any library that speaks Standard Schema. */
  readonly input: StandardSchema<Input, Output>;
  /**
   * Of the definition, a whole number. Raise it when what the steps mean changes though their shape does not: a record
   * runs only on the version that it began with. Default 1.
   */
  readonly version?: number | undefined;
  /** How long after its start it turns back, unless its pivot was begun by then. Default: never. */
  readonly deadline?: Duration | undefined;
  /**
   * `lazy` writes outcomes down only when the saga turns, waits or ends: two writes for a saga that goes well. After a
   * crash it begins again where it was last written down, so every step must be idempotent by its key, and one that is
   * in doubt is asked again until it is known. Default `every-step`.
   */
  readonly durability?: 'every-step' | 'lazy' | undefined;
}

const optionsSchema = z.strictObject({
  input: schemaOption,
  version: z.int().min(1).default(1),
  deadline: durationOption(1).optional(),
  durability: z.enum(['every-step', 'lazy']).default('every-step'),
});

const nameSchema = z.object({ name: nameOption() });

/**
 * Declare a transaction across services: steps in order, each with its undo; then at most one pivot, the point of no
 * return; then steps that are retried until they are done. Each call returns a new declaration.
 *
 * A step must be idempotent by its `key`: after a crash or a timeout it is called again with the same one. One that
 * cannot be says `once`.
 *
 * @example
 * saga('checkout', { input: Order })
 *   .step('hold', ({ input, key }) => stock.reserve(input.sku, key), { undo: ({ forwardKey }) => stock.release(forwardKey) })
 *   .pivot('pay', ({ input, key }) => payments.charge(input, key))
 *   .step('ship', ({ results, key }) => shipping.book(results.hold.id, key));
 *
 * @throws InvalidOptionsError when the name or an option is none.
 */
export function saga<Input, Output>(
  name: string,
  options: SagaOptions<Input, Output>,
): CompensatableSaga<Input, Stored<Output>, Record<never, never>> {
  parseOptions('saga', nameSchema, { name });
  const { input, version, deadline, durability } = parseOptions(`saga ${name}`, optionsSchema, options);
  const plan = emptyPlan(name, { version, lazy: durability === 'lazy' });
  const builder = new SagaBuilder({ plan, schema: input, functions: new Map(), deadline });
  return builder as unknown as CompensatableSaga<Input, Stored<Output>, Record<never, never>>;
}

/** Options of {@link refuse}. */
export interface RefuseOptions {
  /** What made it refuse. */
  readonly cause?: unknown;
  /**
   * True when the participant remembers keys, so that its refusal also says that no earlier attempt under this key had
   * an effect. Then even a step that was in doubt counts as refused. Default false.
   */
  readonly conclusive?: boolean;
}

/**
 * Say, from inside a step, that it certainly had no effect and will have none: the saga turns back without undoing this
 * step. Everything else that a step throws leaves it in doubt. After the pivot, and in an undo, it parks the saga.
 *
 * @throws RefusedError always.
 */
export function refuse(reason: string, options: RefuseOptions = {}): never {
  throw new RefusedError(reason, options);
}

/** A step without what its place in the saga decides. */
type Loose = Pick<PlannedStep, 'name' | 'type'>;

/** The one implementation of the builder's two phases. Immutable. */
class SagaBuilder implements Saga {
  readonly definition: SagaDefinition;

  constructor(definition: SagaDefinition) {
    this.definition = definition;
  }

  get name(): string {
    return this.definition.plan.name;
  }

  get version(): number {
    return this.definition.plan.version;
  }

  get hash(): string {
    return this.definition.plan.hash;
  }

  step(name: string, run: Step, options: object = {}): SagaBuilder {
    return this.#add([stepOf(this.#plan, { name, run, options })]);
  }

  pivot(name: string, run: Step, options: object = {}): SagaBuilder {
    return this.#add([stepOf(this.#plan, { name, run, options, pivot: true })]);
  }

  parallel(name: string, members: (group: GroupBuilder) => unknown, options: object = {}): SagaBuilder {
    const owner = stepsOwner(this.#plan, `group ${name}`);
    this.#refuseUndo(name, options);
    const group = isCommitted(this.#plan)
      ? { undo: 'reverse', ...parseOptions(owner, whenSchema, options) }
      : parseOptions(owner, groupSchema, options);
    const built = typeof members === 'function' ? members(new GroupBuilder(this.#plan, [])) : undefined;
    if (!(built instanceof GroupBuilder) || built.members.length === 0) {
      throw new InvalidSagaError(
        this.name,
        `the group ${name} has no steps: return the group with its steps`,
      );
    }
    return this.#add(
      built.members.map(([step, functions]) => [
        {
          ...step,
          group: name,
          ...(group.undo === 'concurrent' && { undoneTogether: true as const }),
          ...(group.when !== undefined && { conditional: true as const }),
        },
        { ...functions, conditions: [...toArray(group.when), ...(functions.conditions ?? [])] },
      ]),
    );
  }

  delay(name: string, length: unknown, options: object = {}): SagaBuilder {
    const owner = stepsOwner(this.#plan, `delay ${name}`);
    const checked = parseOptions(owner, lengthSchema, { length });
    return this.#addSilent({ name, type: 'delay' }, options, { until: untilAfter(checked.length) });
  }

  sleepUntil(name: string, time: unknown, options: object = {}): SagaBuilder {
    if (typeof time !== 'function') {
      const accepts = 'a function that gives a Date or milliseconds since 1970';
      throw new InvalidOptionsError(`saga ${this.name}`, [{ field: name, received: typeof time, accepts }]);
    }
    const until = untilTime(time as Parameters<typeof untilTime>[0]);
    return this.#addSilent({ name, type: 'delay' }, options, { until });
  }

  waitFor(name: string, options: object = {}): SagaBuilder {
    this.#refuseUndo(name, options);
    const owner = stepsOwner(this.#plan, `waitFor ${name}`);
    const { when, schema, timeout, onTimeout } = parseOptions(owner, waitSchema, options);
    const committed = isCommitted(this.#plan);
    if (committed && onTimeout === 'turn-back') {
      throw new InvalidSagaError(
        this.name,
        `${name} comes after the pivot, where nothing turns back: use 'park'`,
      );
    }
    const functions = {
      schema,
      timeout,
      onTimeout: onTimeout ?? (committed ? 'park' : 'turn-back'),
    } as const;
    return this.#addSilent({ name, type: 'wait' }, { when }, functions);
  }

  saga(name: string, child: Saga, options: object): SagaBuilder {
    const owner = stepsOwner(this.#plan, `saga ${name}`);
    const { definition } = child as Partial<Saga>;
    if (definition?.plan === undefined) {
      const accepts = "a saga, made by saga('name', …)";
      throw new InvalidOptionsError(owner, [{ field: name, received: typeof child, accepts }]);
    }
    return this.#add(nest(this.#plan, name, definition, parseOptions(owner, nestedSchema, options)));
  }

  get #plan(): SagaPlan {
    return this.definition.plan;
  }

  /** Nothing of this kind takes part in undoing. */
  #addSilent(step: Loose, options: object, functions: StepFunctions): SagaBuilder {
    this.#refuseUndo(step.name, options);
    const { when } = parseOptions(stepsOwner(this.#plan, step.name), whenSchema, options);
    const kind = isCommitted(this.#plan) ? 'retriable' : 'compensatable';
    const conditional = when === undefined ? {} : { conditional: true as const };
    const planned = { ...step, kind, undoable: false, ...conditional } as const;
    return this.#add([[planned, { ...functions, conditions: toArray(when) }]]);
  }

  #refuseUndo(name: string, options: object): void {
    const isGroup = 'undo' in options && (options.undo === 'reverse' || options.undo === 'concurrent');
    if (!('undo' in options) || (isGroup && !isCommitted(this.#plan))) return;
    throw new InvalidSagaError(this.name, `${name} is never undone: leave out its undo`);
  }

  #add(steps: readonly (readonly [PlannedStep, StepFunctions])[]): SagaBuilder {
    const plan = planSteps(
      this.#plan,
      steps.map(([step]) => step),
    );
    const functions = new Map(this.definition.functions);
    for (const [step, made] of steps) functions.set(step.name, made);
    return new SagaBuilder({ ...this.definition, plan, functions });
  }
}

function toArray<T>(value: T | undefined): readonly T[] {
  return value === undefined ? [] : [value];
}
