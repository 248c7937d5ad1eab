/** A barrier against a model of it: what may have become of a step's calls, in any order and at the same time. */
import fc from 'fast-check';
import { expect } from 'vitest';
import { RefusedError } from '../../../src/core/errors.ts';
import type { BarrierOutcome, BarrierWork } from '../../../src/ports/saga-barrier.ts';
import type { SagaBarrierHarness } from '../../../src/testing/conformance/saga-barrier-stage.ts';

type Ending = 'succeed' | 'fail' | 'refuse';

/** One call: which it is, and how its work ends if it is run. */
export interface ModelCall {
  readonly operation: 'do' | 'undo';
  readonly step: number;
  readonly ending: Ending;
}

type Answer = BarrierOutcome | { readonly type: 'failed' };

/** What the model knows of one step. */
interface Known {
  done?: 'performed' | 'refused' | 'blocked';
  undone?: true;
}

/** Random calls at two steps. */
export const someCalls: fc.Arbitrary<readonly ModelCall[]> = fc.array(
  fc.record({
    operation: fc.constantFrom('do' as const, 'undo' as const),
    step: fc.integer({ min: 0, max: 1 }),
    ending: fc.constantFrom<Ending>('succeed', 'succeed', 'fail', 'refuse'),
  }),
  { maxLength: 12 },
);

/** What rule 9 says becomes of a call. */
function expected(known: Known, { operation, ending }: ModelCall): Answer['type'] {
  if (operation === 'do') {
    if (known.done === 'blocked' || known.done === 'refused') return 'refused';
    if (known.done === 'performed') return 'repeated';
    if (ending === 'fail') return 'failed';
    known.done = ending === 'refuse' ? 'refused' : 'performed';
    return ending === 'refuse' ? 'refused' : 'performed';
  }
  known.done ??= 'blocked';
  if (known.done !== 'performed') return 'nothing';
  if (known.undone) return 'repeated';
  // A refusal in an undo is a failure like any other.
  if (ending !== 'succeed') return 'failed';
  known.undone = true;
  return 'performed';
}

async function make(
  { barrier, other, add }: SagaBarrierHarness<unknown>,
  saga: string,
  call: ModelCall,
  index: number,
): Promise<Answer> {
  const { operation, step, ending } = call;
  const end = (): string => {
    if (ending === 'fail') throw new Error('boom');
    if (ending === 'refuse') throw new RefusedError('no');
    return `${operation} ${index}`;
  };
  const work: BarrierWork<unknown> = (transaction) => {
    const added = add(transaction, operation === 'do' ? 1 : -1);
    return added instanceof Promise ? added.then(end) : end();
  };
  const through = index % 2 === 0 ? barrier : other;
  return through.attempt({ saga, step: `step${step}`, operation }, work).catch((error: Error) => {
    if (error.message !== 'boom' && error.message !== 'no') throw error;
    return { type: 'failed' as const };
  });
}

/** One call after another: each becomes exactly what the model says. */
export async function followsTheModel(
  harness: SagaBarrierHarness<unknown>,
  saga: string,
  calls: readonly ModelCall[],
): Promise<void> {
  const known: Known[] = [{}, {}];
  const before = await harness.balance();
  const first = new Map<string, unknown>();
  for (const [index, call] of calls.entries()) {
    const answer = await make(harness, saga, call, index);
    expect(answer.type, `call ${index}`).toBe(expected(known[call.step]!, call));
    const name = `${call.operation} ${call.step}`;
    if (answer.type === 'performed') first.set(name, answer.result);
    if (answer.type === 'repeated') expect(answer.result).toBe(first.get(name));
  }
  const net = known.filter(({ done, undone }) => done === 'performed' && !undone).length;
  expect((await harness.balance()) - before).toBe(net);
}

/** All calls at once: whatever the order was, what became of them is what some order makes of them. */
export async function isSomeOrder(
  harness: SagaBarrierHarness<unknown>,
  saga: string,
  calls: readonly ModelCall[],
): Promise<void> {
  const before = await harness.balance();
  const answers = await Promise.all(calls.map((call, index) => make(harness, saga, call, index)));
  let net = 0;
  for (const step of [0, 1]) {
    const of = (operation: string, ...types: string[]): number =>
      answers.filter(
        (a, n) => calls[n]!.step === step && calls[n]!.operation === operation && types.includes(a.type),
      ).length;
    const [done, undone] = [of('do', 'performed'), of('undo', 'performed')];
    expect(done).toBeLessThanOrEqual(1);
    expect(undone).toBeLessThanOrEqual(done);
    if (done === 1) expect(of('do', 'refused') + of('undo', 'nothing')).toBe(0);
    else expect(of('do', 'repeated') + of('undo', 'repeated')).toBe(0);
    net += done - undone;
  }
  expect((await harness.balance()) - before).toBe(net);
}
