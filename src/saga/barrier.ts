/** A saga's side of a participant's barrier: which call a step is. */
import { InvalidOptionsError } from '../core/errors.ts';
import { describe } from '../core/options.ts';
import type { BarrierCall } from '../ports/saga-barrier.ts';
import type { StepContext } from './saga-types.ts';

/** What of a step's context names the call. */
export type CallingContext = Pick<StepContext<unknown, unknown>, 'sagaId' | 'key'>;

/**
 * The call that a step, or its undo, makes, for a barrier in the same program.
 *
 * @example
 * .step('hold', (context) => barrier.run(sagaCall(context), (client) => reserve(client, context.input)), …)
 *
 * @throws InvalidOptionsError when it is not the context of a step.
 */
export function sagaCall(context: CallingContext): BarrierCall {
  const { sagaId, key } = context;
  const named = typeof key === 'string' ? /^(.+)\/([^/]+)\/(do|undo)$/s.exec(key) : null;
  if (named === null || named[1] !== sagaId) {
    const accepts = 'the context that a step or an undo was called with';
    throw new InvalidOptionsError('sagaCall', [{ field: 'context', received: describe(context), accepts }]);
  }
  return { saga: sagaId, step: named[2]!, operation: named[3] as 'do' | 'undo' };
}
