/**
 * What is fixed when a saga comes to a step, so that no crash changes it: whether its condition holds, how long it
 * waits, what a nested saga is started with; and what ends a wait. The user's functions are asked here, once.
 */
import { InvalidPayloadError } from '../core/errors.ts';
import { isInstance, messageOf } from '../core/holdfast-error.ts';
import type { JsonValue } from '../core/json.ts';
import { toJson } from '../core/json-copy.ts';
import { issueSummary, validate } from '../core/schema.ts';
import type { ParkingPlace, SagaRecord, SagaRequest, StepRecord } from '../ports/saga-store.ts';
import { acceptedBy, SchemaFailure } from './accepted.ts';
import { type Action, decide } from './decide.ts';
import { fold, type JournalEntry, type StepOutcome } from './journal.ts';
import { needsOpening, type PlannedStep } from './plan.ts';
import { stateAt } from './results.ts';
import type { Condition, SagaDefinition, SagaState, StepFunctions } from './saga-types.ts';
import { type Circumstances, turnAt } from './turning.ts';

/** Under which circumstances a saga goes on by itself. */
export interface AdvanceOptions extends Circumstances {
  /** The most bytes that a nested saga's input may have. */
  readonly maxPayload: number;
  /** Told of a signal that does not fit what is waited for. */
  readonly onMisfit?: ((step: string, request: SagaRequest, why: string) => void) | undefined;
}

/** How far a saga came by itself. */
export interface Advance {
  readonly record: SagaRecord;
  /** What happened, in order. */
  readonly entries: readonly JournalEntry[];
}

/**
 * Take a saga as far as it goes without anybody being called: turn it back, open its next steps, end what it waits for.
 * The result is running with something to do, waiting, or settled; all of it is one write. Never rejects.
 */
export async function advance(
  definition: SagaDefinition,
  record: SagaRecord,
  options: AdvanceOptions,
): Promise<Advance> {
  const { plan } = definition;
  const entries: JournalEntry[] = [];
  let current = record;
  let { inherited } = options;
  for (;;) {
    const action = decide(plan, current);
    const turn = turnAt(plan, current, action, { now: options.now, inherited });
    const entry = turn ?? (await entryBy(definition, current, action, options));
    if (entry === undefined) return { record: current, entries };
    entries.push(entry);
    current = fold(plan, current, entry, options.now);
    if (entry.type === 'waiting') return { record: current, entries };
    inherited = false;
  }
}

/** What happens at an action that needs nobody; undefined when it needs somebody. */
async function entryBy(
  definition: SagaDefinition,
  record: SagaRecord,
  action: Action,
  options: AdvanceOptions,
): Promise<JournalEntry | undefined> {
  if (action.type === 'open') return openUnit(definition, record, action.steps, options);
  if (action.type === 'wait') return endWait(definition, record, action, options);
  return action.type === 'do' && record.status === 'waiting' ? { type: 'resumed' } : undefined;
}

/** What makes an opening come to nothing. */
class OpeningError extends Error {}

async function openUnit(
  definition: SagaDefinition,
  record: SagaRecord,
  steps: readonly PlannedStep[],
  options: AdvanceOptions,
): Promise<JournalEntry> {
  const opened: StepOutcome[] = [];
  const answers = new Map<Condition<unknown, unknown>, boolean>();
  for (const step of steps) {
    if (!needsOpening(step) || record.steps.some((s) => s.name === step.name)) continue;
    const functions = definition.functions.get(step.name) ?? {};
    const state = stateAt(definition.plan, record, step);
    try {
      if (!holds(functions.conditions, state, answers)) opened.push(...omitted(definition, step));
      else opened.push(await openStep(step, functions, state, options));
    } catch (error) {
      return unopened(step, error);
    }
  }
  return { type: 'opened', steps: opened };
}

/** A nested saga that does not take place is left out with all its steps. */
function omitted({ plan }: SagaDefinition, { name, type }: PlannedStep): readonly StepOutcome[] {
  const within = type === 'scope' ? plan.steps.filter((s) => isIn(plan, s, name)) : [];
  return [name, ...within.map((s) => s.name)].map((left) => ({ name: left, status: 'omitted' }));
}

function isIn(plan: SagaDefinition['plan'], step: PlannedStep, scope: string): boolean {
  if (step.scope === undefined) return false;
  if (step.scope === scope) return true;
  const outer = plan.steps[plan.positions.get(step.scope) ?? -1];
  return outer !== undefined && isIn(plan, outer, scope);
}

function holds(
  conditions: StepFunctions['conditions'],
  state: SagaState<unknown, unknown>,
  answers: Map<Condition<unknown, unknown>, boolean>,
): boolean {
  return (conditions ?? []).every((condition) => {
    const known = answers.get(condition);
    if (known !== undefined) return known;
    const answer: unknown = condition(state);
    if (typeof answer !== 'boolean') {
      throw new TypeError(`its condition must answer true or false at once, and not ${kindOf(answer)}`);
    }
    answers.set(condition, answer);
    return answer;
  });
}

function kindOf(value: unknown): string {
  return value instanceof Promise ? 'a promise' : typeof value;
}

async function openStep(
  { name, type }: PlannedStep,
  functions: StepFunctions,
  state: SagaState<unknown, unknown>,
  { now, maxPayload }: AdvanceOptions,
): Promise<StepOutcome> {
  if (type === 'delay') return { name, status: 'open', until: functions.until!(state, now) };
  if (type === 'wait') {
    const { timeout } = functions;
    return { name, status: 'open', ...(timeout !== undefined && { until: now + timeout }) };
  }
  if (type === 'call') return { name, status: 'open' };
  const given = functions.input!(state);
  const result = await validate(functions.schema!, given);
  if (result.issues !== undefined) {
    throw new OpeningError(`its input is not what its schema accepts: ${issueSummary(result.issues)}`);
  }
  try {
    return { name, status: 'done', output: toJson(result.value, 'its input', maxPayload) };
  } catch (error) {
    throw error instanceof InvalidPayloadError ? new OpeningError(error.message) : error;
  }
}

/** A wrong input of a nested saga turns the saga back where that is possible; everything else is for a person. */
function unopened({ name, kind, type }: PlannedStep, error: unknown): JournalEntry {
  const isWrongInput = isInstance(error, OpeningError);
  if (isWrongInput && kind !== 'retriable') return { type: 'refused', step: name, error: messageOf(error) };
  // Without its input a nested saga means nothing, so it cannot be entered.
  const skippable = kind === 'retriable' && type !== 'scope';
  const place: ParkingPlace = { step: name, operation: 'do', skippable };
  return { type: 'parked', reason: `${name} could not be begun: ${messageOf(error)}`, place };
}

async function endWait(
  definition: SagaDefinition,
  record: SagaRecord,
  { steps: [step], record: wait }: Extract<Action, { type: 'wait' }>,
  options: AdvanceOptions,
): Promise<JournalEntry> {
  const { name } = step;
  const isOver = wait.until !== undefined && options.now >= wait.until;
  if (step.type === 'delay' && isOver) return { type: 'done', step: name, output: undefined };
  if (step.type === 'wait') {
    const functions = definition.functions.get(name) ?? {};
    const signal = await firstFitting(functions, record, step, options);
    if (signal !== undefined) return signal;
    if (isOver) return timedOut(step, functions);
  }
  return { type: 'waiting', wakeAt: wakeAt(record, wait, step) };
}

/** Not later than the saga's deadline, which ends every wait before the pivot. */
function wakeAt({ deadline }: SagaRecord, { until }: StepRecord, { kind }: PlannedStep): number | undefined {
  if (deadline === undefined || kind === 'retriable') return until;
  return until === undefined ? deadline : Math.min(until, deadline);
}

function timedOut({ name, kind }: PlannedStep, { onTimeout }: StepFunctions): JournalEntry {
  if (onTimeout === 'continue') return { type: 'done', step: name, output: undefined };
  const why = 'the signal did not come in time';
  if (onTimeout === 'turn-back') return { type: 'refused', step: name, error: why };
  const place: ParkingPlace = { step: name, operation: 'do', skippable: kind === 'retriable' };
  return { type: 'parked', reason: `${name}: ${why}`, place };
}

/** What the first signal that fits makes of a wait; undefined while there is none. */
async function firstFitting(
  { schema }: StepFunctions,
  { requests = [], steps }: SagaRecord,
  { name, kind }: PlannedStep,
  { onMisfit }: AdvanceOptions,
): Promise<JournalEntry | undefined> {
  for (const request of requests) {
    if (request.type !== 'signal' || request.name !== name) continue;
    if (steps.some((s) => s.request === request.id)) continue;
    try {
      const output = await checkedPayload(schema, request.payload);
      return { type: 'done', step: name, output, request: request.id };
    } catch (error) {
      if (error instanceof SchemaFailure) {
        // Whether it fits is not known, so it must not be passed over: it is looked at again when a person has mended that.
        const place: ParkingPlace = { step: name, operation: 'do', skippable: kind === 'retriable' };
        return { type: 'parked', reason: `${name}: signal ${request.id} ${error.message}`, place };
      }
      onMisfit?.(name, request, messageOf(error));
    }
  }
  return undefined;
}

/** A signal's payload as its schema makes it. @throws InvalidPayloadError; SchemaFailure when the schema itself throws. */
export async function checkedPayload(
  schema: StepFunctions['schema'],
  payload: JsonValue | undefined,
): Promise<JsonValue | undefined> {
  if (schema === undefined) return payload;
  const accepted = await acceptedBy(schema, payload, 'the signal');
  return accepted === undefined ? undefined : toJson(accepted, 'the signal', Number.POSITIVE_INFINITY);
}
