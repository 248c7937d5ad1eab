import { InvalidOptionsError, InvalidSagaError, RefusedError } from '../core/errors.ts';
import { durationOption, methodsOption, nameOption, parseOptions, z } from '../core/options.ts';
import type { Policy } from '../core/policy.ts';
import { isStandardSchema, type StandardSchema } from '../core/schema.ts';
import { emptyPlan, isCommitted, planStep, type SagaPlan, type StepKind } from './plan.ts';
import type {
  CompensatableSaga,
  Saga,
  SagaDefinition,
  StepContext,
  StepFunctions,
  Stored,
} from './saga-types.ts';

/** Options of {@link saga}. */
export interface SagaOptions<Input, Output> {
  /** What a saga of this kind is started with: a schema of any library that speaks Standard Schema. */
  readonly input: StandardSchema<Input, Output>;
}

const schemaOption = z.custom<StandardSchema>(isStandardSchema, {
  error: 'a Standard Schema, such as z.object({ … })',
});
const optionsSchema = z.strictObject({ input: schemaOption });
const stepOptions = {
  policy: methodsOption<Policy>('a policy', 'run').optional(),
  timeout: durationOption(1).optional(),
};
const forwardSchema = z.strictObject(stepOptions);
const undoOption = z.custom<StepFunctions['undo'] | 'nothing'>(
  (value) => typeof value === 'function' || value === 'nothing',
  { error: "a function that undoes the step, or 'nothing' when the step has no effect" },
);
const compensatableSchema = z.strictObject({ ...stepOptions, undo: undoOption });

/**
 * Declare a transaction across services: steps in order, each with its undo; then at most one pivot, the point of no
 * return; then steps that are retried until they are done. Each call returns a new declaration.
 *
 * A step must be idempotent by its `key`: after a crash or a timeout it is called again with the same one.
 *
 * @example
 * saga('checkout', { input: Order })
 *   .step('hold', ({ input, key }) => stock.reserve(input.sku, key), { undo: ({ forwardKey }) => stock.release(forwardKey) })
 *   .pivot('pay', ({ input, key }) => payments.charge(input, key))
 *   .step('ship', ({ results, key }) => shipping.book(results.hold.id, key));
 *
 * @throws InvalidOptionsError when the name or the schema is none.
 */
export function saga<Input, Output>(
  name: string,
  options: SagaOptions<Input, Output>,
): CompensatableSaga<Input, Stored<Output>, Record<never, never>> {
  const plan = emptyPlan(parseOptions('saga', z.object({ name: nameOption() }), { name }).name);
  const { input } = parseOptions(`saga ${name}`, optionsSchema, options);
  return new SagaBuilder(plan, input, new Map()) as unknown as CompensatableSaga<
    Input,
    Stored<Output>,
    Record<never, never>
  >;
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

/** The steps as they were given; typed from outside by the interfaces of `saga-types`. */
type Step = (context: StepContext<unknown, unknown>) => unknown;

/** The one implementation of the builder's two phases. Immutable. */
class SagaBuilder implements Saga<unknown, unknown> {
  readonly definition: SagaDefinition;

  constructor(plan: SagaPlan, schema: StandardSchema, functions: ReadonlyMap<string, StepFunctions>) {
    this.definition = { plan, schema, functions };
  }

  get name(): string {
    return this.definition.plan.name;
  }

  get hash(): string {
    return this.definition.plan.hash;
  }

  step(name: string, run: Step, options: object = {}): SagaBuilder {
    const { plan } = this.definition;
    if (isCommitted(plan)) {
      if ('undo' in options)
        throw new InvalidSagaError(
          plan.name,
          `${name} comes after the pivot, where nothing is undone: leave out its undo; it is retried until it is done`,
        );
      return this.#add(name, 'retriable', run, {
        ...this.#parse(name, forwardSchema, options),
        undo: undefined,
      });
    }
    if (!('undo' in options)) {
      throw new InvalidSagaError(
        plan.name,
        `${name} comes before the pivot and needs an undo (or undo: 'nothing' when it has no effect)`,
      );
    }
    const { undo, ...rest } = this.#parse(name, compensatableSchema, options);
    return this.#add(name, 'compensatable', run, { ...rest, undo: undo === 'nothing' ? undefined : undo });
  }

  pivot(name: string, run: Step, options: object = {}): SagaBuilder {
    if ('undo' in options) {
      throw new InvalidSagaError(
        this.name,
        `${name} is the pivot, which is never undone: leave out its undo`,
      );
    }
    return this.#add(name, 'pivot', run, { ...this.#parse(name, forwardSchema, options), undo: undefined });
  }

  #parse<S extends z.ZodType>(step: string, schema: S, options: object): z.output<S> {
    return parseOptions(`saga ${this.name}, step ${step}`, schema, options);
  }

  #add(name: string, kind: StepKind, run: Step, rest: Omit<StepFunctions, 'run'>): SagaBuilder {
    const { plan, schema, functions } = this.definition;
    const next = planStep(plan, { name, kind, undoable: rest.undo !== undefined });
    if (typeof run !== 'function') {
      const accepts = 'a function that does the step';
      throw new InvalidOptionsError(`saga ${plan.name}`, [{ field: name, received: typeof run, accepts }]);
    }
    return new SagaBuilder(next, schema, new Map(functions).set(name, { run, ...rest }));
  }
}
