/**
 * The decisions of a barrier, pure: what adapters share, so that they differ only in how they read and write.
 *
 * Two marks are kept of a step: one that says that its `do` was seen, and by whom, and one for its `undo`. An undo sets
 * the do's mark first: if it was not there, the do has not come and never may.
 */
import { InvalidPayloadError, RefusedError } from '../core/errors.ts';
import { type JsonValue, parseJson, stringifyJson } from '../core/json.ts';
import { parseOptions, z } from '../core/options.ts';
import type { BarrierCall, BarrierContext, BarrierOutcome } from './saga-barrier.ts';

/** What is stored of one operation. */
export interface BarrierMark {
  /** Who set it: the operation itself, or an undo that was there before its do. */
  readonly by: 'do' | 'undo';
  readonly fingerprint?: string | undefined;
  /** Why the work refused. */
  readonly refused?: string | undefined;
  /** What the work returned, as JSON text. */
  readonly result?: string | undefined;
}

/** The marks of one step. */
export interface BarrierMarks {
  readonly do?: BarrierMark | undefined;
  readonly undo?: BarrierMark | undefined;
}

/** Whether to run the work, or what to answer without it. */
export type BarrierDecision =
  | { readonly type: 'perform'; readonly context: BarrierContext }
  | { readonly type: 'answer'; readonly outcome: BarrierOutcome };

/** Why a do is refused whose undo came first. */
export const undoneBefore = 'the step was undone before this call of it came';

const text = (maximum: number): z.ZodString =>
  // A NUL is no text to Postgres, and half a surrogate pair is none to UTF-8: two names could become one.
  z
    .string()
    .min(1)
    .max(maximum)
    .regex(/^[^\0]*$/, { error: 'text without NUL' })
    .refine(isWellFormed, {
      error: 'well-formed Unicode',
    });

function isWellFormed(value: string): boolean {
  return !/\p{Surrogate}/u.test(value);
}

const callSchema: z.ZodType<BarrierCall> = z.object({
  saga: text(200),
  step: text(1_000),
  operation: z.enum(['do', 'undo']),
  fingerprint: text(200).optional(),
});

/** @throws InvalidOptionsError naming the field that a barrier cannot go by. */
export function checkBarrierCall(call: BarrierCall): BarrierCall {
  return parseOptions('SagaBarrier', callSchema, call);
}

/** What to do with a call, by the marks that were there before it set its own. */
export function decideBarrier(call: BarrierCall, found: BarrierMarks): BarrierDecision {
  const earlier = found[call.operation];
  const conflict = isOther(call.fingerprint, earlier?.fingerprint);
  if (conflict) return { type: 'answer', outcome: { type: 'conflict' } };
  return call.operation === 'do' ? decideDo(found.do) : decideUndo(found);
}

function isOther(one: string | undefined, other: string | undefined): boolean {
  return one !== undefined && other !== undefined && one !== other;
}

function decideDo(earlier: BarrierMark | undefined): BarrierDecision {
  if (earlier === undefined) return { type: 'perform', context: { done: undefined } };
  if (earlier.by === 'undo') return answer({ type: 'refused', by: 'undo', reason: undoneBefore });
  if (earlier.refused !== undefined) {
    return answer({ type: 'refused', by: 'work', reason: earlier.refused });
  }
  return answer({ type: 'repeated', result: resultOf(earlier) });
}

function decideUndo(found: BarrierMarks): BarrierDecision {
  // By an undo too: then this one, or one before it, came before the do.
  if (found.do === undefined || found.do.by === 'undo') return answer({ type: 'nothing' });
  if (found.do.refused !== undefined) return answer({ type: 'nothing' });
  if (found.undo !== undefined) return answer({ type: 'repeated', result: resultOf(found.undo) });
  return { type: 'perform', context: { done: resultOf(found.do) } };
}

function answer(outcome: BarrierOutcome): BarrierDecision {
  return { type: 'answer', outcome };
}

function resultOf({ result }: BarrierMark): JsonValue | undefined {
  return result === undefined ? undefined : parseJson(result, 'the stored result of a call');
}

/** The marks after a call set its own, before its work is run. What was there stays. */
export function setMarks({ operation, fingerprint }: BarrierCall, found: BarrierMarks): BarrierMarks {
  const own = { by: operation, ...(fingerprint !== undefined && { fingerprint }) };
  if (operation === 'do') return { do: found.do ?? own, undo: found.undo };
  return { do: found.do ?? { by: 'undo' }, undo: found.undo ?? own };
}

/**
 * What the work returned, as it is stored; undefined for nothing.
 *
 * @throws InvalidPayloadError when it is not JSON.
 */
export function encodeResult(call: BarrierCall, value: unknown): string | undefined {
  return value === undefined ? undefined : stringifyJson(value, `the result of ${nameOf(call)}`);
}

/** What the work made of a call. */
export function performed(result: string | undefined): BarrierOutcome {
  return { type: 'performed', result: resultOf({ by: 'do', result }) };
}

/** Why the work of a call refused it, if that is what it did; an undo cannot refuse. */
export function refusalOf({ operation }: BarrierCall, error: unknown): string | undefined {
  return operation === 'do' && error instanceof RefusedError ? error.message : undefined;
}

/**
 * What `run` of a barrier returns for an outcome.
 *
 * @throws RefusedError, conclusive, and InvalidPayloadError for a conflict.
 */
export function barrierResult(call: BarrierCall, outcome: BarrierOutcome): JsonValue | undefined {
  if (outcome.type === 'refused') throw new RefusedError(outcome.reason, { conclusive: true });
  if (outcome.type === 'conflict') {
    throw new InvalidPayloadError(nameOf(call), 'it was called before and asked for something else');
  }
  return outcome.type === 'nothing' ? undefined : outcome.result;
}

function nameOf({ saga, step, operation }: BarrierCall): string {
  return `${operation === 'undo' ? 'the undo of ' : ''}step ${step} of saga ${saga}`;
}
