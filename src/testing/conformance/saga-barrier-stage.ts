import assert from 'node:assert/strict';
import { RefusedError } from '../../core/errors.ts';
import type { BarrierCall, BarrierOutcome, BarrierWork, SagaBarrier } from '../../ports/saga-barrier.ts';

/** One fresh, empty barrier under test. */
export interface SagaBarrierHarness<Transaction> {
  /** The barrier under test, not started. */
  readonly barrier: SagaBarrier<Transaction>;
  /** Another one on the same data, as another process would have. May be the same object in memory. */
  readonly other: SagaBarrier<Transaction>;
  /** Change a balance that is kept beside the marks, in the transaction. May return a promise. */
  readonly add: (transaction: Transaction, amount: number) => unknown;
  /** The balance as it is committed; 0 at first. */
  readonly balance: () => Promise<number>;
  /** Milliseconds since 1970, by the clock that ages marks. */
  readonly wallTime: () => number;
  /** Let time pass: on a virtual clock by moving it, on a real one by sleeping. Milliseconds. */
  readonly advance: (duration: number) => Promise<void>;
  /** Clean up after the test. */
  readonly close: () => Promise<void>;
}

/** What a test gets. */
export interface BarrierStage extends SagaBarrierHarness<unknown> {
  /** Work that changes the balance and then ends like this. */
  readonly adding: (amount: number, end?: () => unknown) => BarrierWork<unknown>;
}

/** Tests by name. */
export type BarrierTests = Readonly<Record<string, (stage: BarrierStage) => Promise<void>>>;

/** One call. */
export const call = (operation: 'do' | 'undo', step = 'hold', saga = 's1'): BarrierCall => ({
  saga,
  step,
  operation,
});
/** Work that must not be run. */
export const never: BarrierWork<unknown> = () => assert.fail('the work of a repeated call was run');
/** What a participant may say. */
export const refuseSoldOut = (): never => {
  throw new RefusedError('sold out');
};
/** What became of calls, sorted. */
export const types = (outcomes: readonly BarrierOutcome[]): string[] =>
  outcomes.map((outcome) => outcome.type).sort();

/** What a test gets, of a harness. */
export function stageOf(harness: SagaBarrierHarness<unknown>): BarrierStage {
  const adding: BarrierStage['adding'] =
    (amount, end = () => undefined) =>
    (transaction) => {
      const added = harness.add(transaction, amount);
      return added instanceof Promise ? added.then(() => end()) : end();
    };
  return { ...harness, adding };
}
