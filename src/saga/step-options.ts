/** The options of a saga and of its steps, checked once. */
import { wallTimeOf } from '../core/clock.ts';
import type { Duration } from '../core/duration.ts';
import { parseDuration } from '../core/duration.ts';
import { durationOption, functionOption, methodsOption, z } from '../core/options.ts';
import type { Policy } from '../core/policy.ts';
import { isStandardSchema, type StandardSchema } from '../core/schema.ts';
import type { Condition, SagaState, StepFunctions } from './saga-types.ts';

/** A schema given by the user. */
export const schemaOption: z.ZodCustom<StandardSchema, StandardSchema> = z.custom<StandardSchema>(
  isStandardSchema,
  { error: 'a Standard Schema, such as z.object({ … })' },
);

const when = functionOption<Condition<unknown, unknown>>(
  'a function that says whether it is done',
).optional();
const callOptions = {
  policy: methodsOption<Policy>('a policy', 'run').optional(),
  timeout: durationOption(1).optional(),
  once: z.boolean().default(false),
  query: functionOption<NonNullable<StepFunctions['query']>>(
    'a function that asks whether the step happened',
  ).optional(),
};
const onceIsMeant = { path: ['query'], error: 'a query only with once: true' };
const undo = z.custom<StepFunctions['undo'] | 'nothing'>(
  (value) => typeof value === 'function' || value === 'nothing',
  { error: "a function that undoes the step, or 'nothing' when the step has no effect" },
);

/** Options that every call has in common. */
export interface CheckedCall {
  readonly policy?: Policy | undefined;
  readonly timeout?: number | undefined;
  readonly once: boolean;
  readonly query?: StepFunctions['query'];
  readonly when?: Condition<unknown, unknown> | undefined;
}

function queried({ once, query }: CheckedCall): boolean {
  return query === undefined || once;
}

/** Of the pivot. */
export const pivotSchema: z.ZodType<CheckedCall> = z.strictObject(callOptions).refine(queried, onceIsMeant);
/** Of a step after the pivot. */
export const forwardSchema: z.ZodType<CheckedCall> = z
  .strictObject({ ...callOptions, when })
  .refine(queried, onceIsMeant);
/** Of a step before the pivot. */
export const compensatableSchema: z.ZodType<
  CheckedCall & { readonly undo: StepFunctions['undo'] | 'nothing' }
> = z.strictObject({ ...callOptions, when, undo }).refine(queried, onceIsMeant);
/** Of a delay, and of a group after the pivot. */
export const whenSchema: z.ZodType<Pick<CheckedCall, 'when'>> = z.strictObject({ when });
/** Of a group before the pivot. */
export const groupSchema: z.ZodType<Pick<CheckedCall, 'when'> & { readonly undo: 'reverse' | 'concurrent' }> =
  z.strictObject({ when, undo: z.enum(['reverse', 'concurrent']).default('reverse') });
/** Of a nested saga. */
export const nestedSchema: z.ZodType<
  Pick<CheckedCall, 'when'> & { readonly input: NonNullable<StepFunctions['input']> }
> = z.strictObject({
  when,
  input: functionOption<NonNullable<StepFunctions['input']>>(
    'a function that gives the input of the nested saga',
  ),
});
/** Of a wait for a signal. */
export const waitSchema: z.ZodType<
  Pick<CheckedCall, 'when' | 'timeout'> & Pick<StepFunctions, 'schema' | 'onTimeout'>
> = z.strictObject({
  when,
  timeout: durationOption(0).optional(),
  schema: schemaOption.optional(),
  onTimeout: z.enum(['turn-back', 'park', 'continue']).optional(),
});

/** The length of a delay. */
export const lengthSchema: z.ZodType<{ readonly length: Duration | StepFunctions['input'] }> = z.object({
  length: z.custom<Duration | StepFunctions['input']>(
    (value) => typeof value === 'function' || parseDuration(value) !== undefined,
    { error: "a duration such as '24h', or a function that gives one" },
  ),
});

/** What tells when a delay of this length ends. */
export function untilAfter(length: Duration | StepFunctions['input']): NonNullable<StepFunctions['until']> {
  return (state, now) => {
    const given = typeof length === 'function' ? length(state) : length;
    const wait = parseDuration(given);
    if (wait === undefined) throw new TypeError(`its length is ${String(given)}, which is no duration`);
    return now + wait;
  };
}

/** What tells when a sleep until a moment ends. */
export function untilTime(
  time: (state: SagaState<unknown, unknown>) => unknown,
): NonNullable<StepFunctions['until']> {
  return (state) => {
    const given = time(state);
    const until = wallTimeOf(given);
    if (until !== undefined) return until;
    throw new TypeError(`its time is ${String(given)}, which is neither a date nor milliseconds since 1970`);
  };
}
