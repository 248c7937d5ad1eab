/** What every barrier does around its own transaction. */
import { InvalidPayloadError } from '../../core/errors.ts';
import type { JsonValue } from '../../core/json.ts';
import { barrierResult, checkBarrierCall } from '../../ports/barrier-decision.ts';
import type { BarrierCall, BarrierOutcome, BarrierWork, SagaBarrier } from '../../ports/saga-barrier.ts';

/** A barrier whose calls are checked before it hears of them; `run` follows from `attempt`. */
export abstract class CheckedBarrier<Transaction> implements SagaBarrier<Transaction> {
  abstract readonly name: string;
  abstract start(): Promise<void>;
  abstract purge(before: number, limit: number): Promise<number>;
  protected abstract perform(call: BarrierCall, work: BarrierWork<Transaction>): Promise<BarrierOutcome>;

  async attempt(call: BarrierCall, work: BarrierWork<Transaction>): Promise<BarrierOutcome> {
    return this.perform(checkBarrierCall(call), work);
  }

  async run(call: BarrierCall, work: BarrierWork<Transaction>): Promise<JsonValue | undefined> {
    return barrierResult(call, await this.attempt(call, work));
  }
}

/**
 * For transactions that are synchronous: a promise would go on after the commit.
 *
 * @throws InvalidPayloadError when the work returned one.
 */
export function assertSynchronous(value: unknown): void {
  if (typeof (value as { then?: unknown } | null | undefined)?.then !== 'function') return;
  // Nobody will wait for it any more, and a rejection that nobody handles ends the process.
  Promise.resolve(value).catch(() => {});
  const why = 'the work returned a promise, but this transaction is synchronous: await before the barrier';
  throw new InvalidPayloadError('the result of a call', why);
}
