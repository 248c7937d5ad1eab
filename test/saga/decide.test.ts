import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RefusedError } from '../../src/core/errors.ts';
import type { SagaRecord } from '../../src/ports/saga-store.ts';
import { type Action, decide } from '../../src/saga/decide.ts';
import { fold, isSettled, type JournalEntry } from '../../src/saga/journal.ts';
import { judgeStep, judgeUndo } from '../../src/saga/judge.ts';
import { emptyPlan, planStep, type SagaPlan } from '../../src/saga/plan.ts';

function planOf(compensatable: readonly boolean[], pivot: boolean, retriable: number): SagaPlan {
  let plan = emptyPlan('s');
  for (const [n, undoable] of compensatable.entries()) {
    plan = planStep(plan, { name: `c${n}`, kind: 'compensatable', type: 'call', undoable });
  }
  if (pivot) plan = planStep(plan, { name: 'pivot', kind: 'pivot', type: 'call', undoable: false });
  for (let n = 0; pivot && n < retriable; n += 1) {
    plan = planStep(plan, { name: `r${n}`, kind: 'retriable', type: 'call', undoable: false });
  }
  return plan;
}

function begun(plan: SagaPlan): SagaRecord {
  const times = { createdAt: 0, updatedAt: 0 };
  return {
    id: 'i',
    saga: 's',
    hash: plan.hash,
    status: 'running',
    input: null,
    steps: [],
    definitionVersion: 1,
    epoch: 1,
    version: 0,
    claims: 0,
    ...times,
  };
}

const plans = fc
  .tuple(fc.array(fc.boolean(), { maxLength: 4 }), fc.boolean(), fc.nat(3))
  .filter(([c, pivot]) => c.length > 0 || pivot)
  .map(([c, pivot, r]) => planOf(c, pivot, r));

describe('decide and fold, for any plan and any outcomes', () => {
  it('come to an end, in one direction, with every effect that must be undone undone in reverse order', () => {
    fc.assert(
      fc.property(
        plans,
        fc.infiniteStream(fc.constantFrom('done', 'done', 'done', 'refused', 'failed')),
        (plan, luck) => {
          let record = begun(plan);
          const trail: Action[] = [];
          let writes = 1;
          while (!isSettled(record.status)) {
            const action = decide(plan, record);
            trail.push(action);
            expect(trail.length).toBeLessThanOrEqual(2 * plan.steps.length);
            record = fold(plan, record, outcomeOf(action, luck), 1);
            writes += 1;
          }
          const done = trail.flatMap((a) => (a.type === 'do' ? a.steps : []));
          const undone = trail.flatMap((a) => (a.type === 'undo' ? a.steps : []));
          expect(done).toEqual(plan.steps.slice(0, done.length));
          const refused = record.steps.find((s) => s.status === 'refused')?.name;
          const due = done.filter((s) => s.undoable && s.name !== refused).reverse();
          expect(undone).toEqual(record.status === 'compensated' ? due : []);
          expect(writes).toBe(1 + done.length + undone.length);
        },
      ),
    );
  });

  it('park a record that does not fit its plan, instead of guessing', () => {
    const plan = planOf([true, true], true, 1);
    const at = 0;
    const misfits: SagaRecord[] = [
      { ...begun(plan), steps: [{ name: 'c1', status: 'done', at }] },
      { ...begun(plan), steps: [{ name: 'c0', status: 'undone', at }] },
      { ...begun(plan), status: 'compensating', steps: [{ name: 'gone', status: 'done', at }] },
      {
        ...begun(plan),
        status: 'compensating',
        steps: ['c0', 'c1', 'pivot'].map((name) => ({ name, status: 'done', at })),
      },
    ];
    for (const record of misfits) expect(decide(plan, record).type).toBe('park');
  });
});

function outcomeOf(action: Action, luck: Iterator<'done' | 'refused' | 'failed'>): JournalEntry {
  if (action.type === 'undo') return { type: 'undone', step: action.steps[0]!.name };
  if (action.type !== 'do') throw new Error(`unexpected ${action.type}`);
  const { name: step, kind } = action.steps[0]!;
  const type = luck.next().value;
  if (kind === 'retriable' || type === 'done') return { type: 'done', step, output: step };
  return { type: kind === 'pivot' ? 'refused' : type, step, error: 'no' };
}

describe('judging a failure', () => {
  const step = (kind: 'compensatable' | 'pivot' | 'retriable') => ({
    name: 'x',
    kind,
    type: 'call' as const,
    undoable: false,
  });
  const refused = new RefusedError('no');
  const conclusive = new RefusedError('no', { conclusive: true });
  const reset = new Error('reset');
  it.each([
    ['compensatable', refused, false, 'refused'],
    ['compensatable', refused, true, 'failed'],
    ['compensatable', conclusive, true, 'refused'],
    ['compensatable', reset, true, 'failed'],
    ['compensatable', reset, false, 'refused'],
    ['pivot', refused, false, 'refused'],
    ['pivot', refused, true, 'retry'],
    ['pivot', conclusive, true, 'refused'],
    ['pivot', reset, true, 'retry'],
    ['retriable', reset, true, 'retry'],
    ['retriable', reset, false, 'retry'],
    ['retriable', refused, false, 'park'],
  ] as const)('a %s step after %s, in doubt: %s → %s', (kind, error, doubtful, verdict) => {
    expect(judgeStep(step(kind), { error, doubtful, rounds: 1 }, 2)).toBe(verdict);
    const last = judgeStep(step(kind), { error, doubtful, rounds: 2 }, 2);
    expect(last).toBe(verdict === 'retry' ? 'park' : verdict);
  });

  it('parks what cannot be asked again, and undoes what may be', () => {
    const unending = { error: reset, doubtful: true, rounds: 1, obstacle: 'unending' } as const;
    const unstorable = { ...unending, obstacle: 'unstorable' } as const;
    for (const kind of ['compensatable', 'pivot', 'retriable'] as const) {
      expect(judgeStep(step(kind), unending, 9)).toBe('park');
      expect(judgeStep(step(kind), unstorable, 9)).toBe(kind === 'compensatable' ? 'failed' : 'park');
    }
    expect(judgeUndo(unending, 9)).toBe('park');
    expect(judgeUndo({ error: refused, doubtful: true, rounds: 1 }, 9)).toBe('park');
    expect(judgeUndo({ error: reset, doubtful: true, rounds: 8 }, 9)).toBe('retry');
    expect(judgeUndo({ error: reset, doubtful: true, rounds: 9 }, 9)).toBe('park');
  });
});

describe('a plan', () => {
  it('has a hash of its name and shape, and of nothing else', () => {
    const hashes = [
      planOf([true], true, 1),
      planOf([false], true, 1),
      planOf([true], true, 2),
      planOf([true], false, 0),
      planStep(emptyPlan('other'), { name: 'pivot', kind: 'pivot', type: 'call', undoable: false }),
    ].map((plan) => plan.hash);
    expect(new Set(hashes).size).toBe(hashes.length);
    expect(planOf([true], true, 1).hash).toBe(hashes[0]);
  });

  it.each(['', 'a/b', ' ', '-a', '../x', 'ü', 'x'.repeat(129)])('refuses the step name %j', (name) => {
    expect(() => planStep(emptyPlan('s'), { name, kind: 'pivot', type: 'call', undoable: false })).toThrow(
      'no name',
    );
  });
});
