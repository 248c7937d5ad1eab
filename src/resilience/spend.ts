import { withCallContext } from '../core/ambient.ts';
import { methodsOption, type z } from '../core/options.ts';
import {
  abortSource,
  Call,
  type CallContext,
  type RetryAllowance,
  settle,
  type Work,
} from '../core/policy.ts';

/** The option `budget` of what repeats attempts. */
export function retryBudgetOption(): z.ZodOptional<z.ZodCustom<RetryAllowance, RetryAllowance>> {
  return methodsOption<RetryAllowance>('a RetryBudget', 'deposit', 'withdraw').optional();
}

/** Whether a budget, if there is one, pays for one more attempt. */
export function pays(budget: RetryAllowance | undefined): boolean {
  return budget === undefined || budget.withdraw();
}

/**
 * The context in which attempts paid by `budget` are made. The outermost that spends it says that a call was made: what
 * is repeated inside belongs to the same call, so that layers do not multiply.
 */
export function spending(context: CallContext, budget: RetryAllowance | undefined): CallContext {
  if (budget === undefined || context.retryBudget === budget) return context;
  budget.deposit();
  return new Call(abortSource(context), context.attempt, context.deadline, budget);
}

/** Make one attempt. One that a budget pays for hands its context on to all that the work calls. */
export function attemptIn<T>(work: Work<T>, context: CallContext): Promise<T> {
  if (context.retryBudget === undefined) return settle(work, context);
  return withCallContext(context, () => settle(work, context));
}
