import { expect, it } from 'vitest';
import { z } from 'zod';
import { SagaParkedError, SagaRepairError } from '../../src/core/errors.ts';
import { SagaOperator } from '../../src/saga/operator.ts';
import type { SagaRunner } from '../../src/saga/runner.ts';
import { saga } from '../../src/saga/saga.ts';
import { fails, ScriptStage } from './script-stage.ts';

const why = { by: 'ann', reason: 'the bank shows the transfer' };

/** hold, a pivot that is done once, and mail, which gets what the pivot returned. */
function shapeOf(stage: ScriptStage) {
  return saga('order', { input: z.object({}) })
    .step('hold', stage.do('hold'), stage.undo('hold'))
    .pivot('pay', stage.do('pay'), { once: true })
    .step('mail', ({ results }) => stage.act(`mail for ${results.pay}`));
}

type Shape = ReturnType<typeof shapeOf>;

/** A saga whose pivot is in doubt and must not be tried again. */
async function parked(): Promise<{ stage: ScriptStage; shape: Shape; sagas: SagaRunner }> {
  const stage = new ScriptStage();
  const shape = shapeOf(stage);
  stage.script.pay = fails('the connection was reset');
  const sagas = await stage.runner([shape]);
  await expect(stage.settle(sagas.run(shape, {}, { id: 's' }))).rejects.toBeInstanceOf(SagaParkedError);
  stage.log.length = 0;
  return { stage, shape, sagas };
}

it('a pivot done once that happened is passed over by its name, and the saga goes on', async () => {
  const { stage, shape, sagas } = await parked();
  expect((await stage.record('s')).parkedAt).toEqual({
    step: 'pay',
    operation: 'do',
    skippable: true,
    pivot: true,
  });
  const repaired = await sagas.skip('s', { ...why, step: 'pay' });
  expect(repaired).toMatchObject({
    status: 'running',
    repairs: [{ action: 'skip', step: 'pay', ...why, parked: expect.stringContaining('was reset') }],
  });
  expect(await stage.settle(sagas.run(shape, {}, { id: 's' }))).toMatchObject({
    hold: 'hold',
    pay: undefined,
  });
  expect(stage.log).toEqual(['mail for undefined']);
  expect((await stage.record('s')).steps[1]).toMatchObject({ name: 'pay', status: 'done', skipped: true });
  expect((await sagas.history('s'))?.map(({ type }) => type)).toContain('skipped');
  expect(await sagas.cancel('s', { reason: 'late' })).toEqual({ outcome: 'tooLate', status: 'completed' });
});

it('it is not passed over by whoever does not name it, or means another step', async () => {
  const { stage, sagas } = await parked();
  const before = await stage.record('s');
  await expect(sagas.skip('s', why)).rejects.toThrow(
    "pay is the pivot: if you know that it happened, say so by its name, step: 'pay'",
  );
  await expect(sagas.skip('s', { ...why, step: 'mail' })).rejects.toThrow('it is parked at pay, not at mail');
  await expect(sagas.skip('s', { ...why, step: 'mail' })).rejects.toBeInstanceOf(SagaRepairError);
  expect(await stage.record('s')).toEqual({ ...before, epoch: before.epoch + 3 });
  await expect(sagas.retry('s', { ...why, step: 'pay' } as never)).rejects.toThrow(
    'step: got an unknown option; accepts one of by, reason',
  );
});

it('an operator without the definition may say so as well', async () => {
  const { stage, shape, sagas } = await parked();
  const operator = new SagaOperator({ store: stage.store, runtime: stage.runtime });
  await expect(operator.skip('s', why)).rejects.toThrow('pay is the pivot');
  expect(await operator.skip('s', { ...why, step: 'pay' })).toMatchObject({ status: 'running' });
  await stage.settle(sagas.run(shape, {}, { id: 's' }));
  expect(stage.log).toEqual(['mail for undefined']);
});

it.each([
  ['begun when its process died again and again', 'begun', 'running'],
  ['not begun', undefined, undefined],
])('where the store parked it, it may be passed over if it was %s', async (_, status, then) => {
  const stage = new ScriptStage();
  const shape = shapeOf(stage);
  const hold = { name: 'hold', status: 'done', output: 'hold', at: 0 } as const;
  const steps = status === 'begun' ? [hold, { name: 'pay', status, at: 0 } as const] : [hold];
  await stage.abandon(shape, { id: 's', steps });
  const lease = { owner: 'dying', ttl: 1 };
  const definitions = [{ saga: shape.name, hash: shape.hash }];
  for (let claim = 1; claim <= 2; claim += 1) {
    await stage.runtime.clock.advance(60_000);
    await stage.inner.claim({ definitions, limitEach: 1, holding: [], maxClaims: 1 }, lease);
  }
  expect(await stage.record('s')).toMatchObject({ status: 'parked', parkedAt: { skippable: false } });
  const sagas = await stage.runner([shape]);
  const skipped = sagas.skip('s', { ...why, step: 'pay' });
  if (then === undefined) await expect(skipped).rejects.toThrow('whether the pivot pay happened');
  else expect(await skipped).toMatchObject({ status: then });
});

it('one that was done, but whose result cannot be stored, may be passed over', async () => {
  const stage = new ScriptStage();
  const shape = shapeOf(stage);
  stage.script.pay = () => 1n;
  const sagas = await stage.runner([shape]);
  await expect(stage.settle(sagas.run(shape, {}, { id: 's' }))).rejects.toBeInstanceOf(SagaParkedError);
  expect(await sagas.skip('s', { ...why, step: 'pay' })).toMatchObject({ status: 'running' });
});
