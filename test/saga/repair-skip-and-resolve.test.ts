import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { SagaCompensatedError, SagaRepairError, SagaResolvedError } from '../../src/core/errors.ts';
import type { SagaRunner } from '../../src/saga/runner.ts';
import { refuse, saga } from '../../src/saga/saga.ts';
import { ann, fail, park, stage } from './repair-stage.ts';

const statuses = async (sagas: SagaRunner): Promise<(string | undefined)[]> =>
  (await sagas.get('s'))?.steps.map((s) => `${s.name} ${s.skipped ? 'skipped as ' : ''}${s.status}`) ?? [];

describe('an operator who skips', () => {
  it('goes on after a step behind the pivot, which has no result', async () => {
    const here = stage();
    const { runtime, shop, log, script, runner } = here;
    script.ship = () => refuse('lost');
    const sagas = await runner();
    await park(here, sagas);
    const record = await sagas.skip('s', ann);
    expect(record).toMatchObject({ status: 'running', repairs: [{ action: 'skip', step: 'ship' }] });
    const results = await runtime.clock.settle(sagas.run(shop, {}, { id: 's' }));
    expect(results).toEqual({
      hold: 'hold',
      tax: 'tax',
      pay: 'pay',
      ship: undefined,
      mail: 'mail without ship',
    });
    expect(log).toEqual(['mail without ship']);
    expect((await statuses(sagas)).slice(3)).toEqual(['ship skipped as done', 'mail done']);
  });

  it('ends the saga at once when nothing is left, and tells', async () => {
    const here = stage();
    const { script, runner } = here;
    script.mail = fail;
    const sagas = await runner();
    await park(here, sagas);
    const told: string[] = [];
    for (const event of ['repaired', 'completed', 'parked'] as const) sagas.on(event, () => told.push(event));
    expect(await sagas.skip('s', ann)).toMatchObject({ status: 'completed' });
    expect(told).toEqual(['repaired', 'completed']);
    expect(sagas.size).toBe(0);
  });

  it('passes over an undo and undoes the rest', async () => {
    const here = stage();
    const { runtime, shop, log, script, runner } = here;
    script.pay = () => refuse('declined');
    script['undo tax'] = () => refuse('gone');
    const sagas = await runner();
    await park(here, sagas);
    expect(await sagas.skip('s', ann)).toMatchObject({ status: 'compensating', repairs: [{ step: 'tax' }] });
    await expect(runtime.clock.settle(sagas.run(shop, {}, { id: 's' }))).rejects.toBeInstanceOf(
      SagaCompensatedError,
    );
    expect(log).toEqual(['undo hold']);
    expect(await statuses(sagas)).toEqual(['hold undone', 'tax skipped as undone', 'pay refused']);
  });

  it('is refused at a pivot in doubt and at a step before it, and nothing is changed', async () => {
    const here = stage();
    const { script, runner, inner } = here;
    script.pay = fail;
    const sagas = await runner({ attemptTimeout: '1s', settleTimeout: '1s' });
    await park(here, sagas);
    const before = await inner.get('s');
    const refused = expect(sagas.skip('s', ann)).rejects;
    await refused.toThrow('whether the pivot pay happened decides everything');
    expect(await inner.get('s')).toEqual({ ...before, epoch: before!.epoch + 1 });
    script.hold = () => new Promise(() => {});
    await park(here, sagas, 't');
    await expect(sagas.skip('t', ann)).rejects.toThrow('whether hold was done');
    await expect(sagas.skip('t', ann)).rejects.toBeInstanceOf(SagaRepairError);
  });
});

describe('an operator who resolves', () => {
  it('ends it for good without another step, and whoever awaits it is told', async () => {
    const here = stage();
    const { runtime, shop, log, script, runner } = here;
    script.pay = fail;
    const sagas = await runner();
    await park(here, sagas);
    const record = await sagas.resolve('s', { by: ' ann ', reason: 'paid in cash' });
    expect(record).toMatchObject({ status: 'resolved', reason: 'paid in cash' });
    expect(record.repairs).toMatchObject([
      { action: 'resolve', by: 'ann', parked: expect.stringContaining('pay') },
    ]);
    await runtime.clock.advance(120_000);
    expect(log).toEqual([]);
    const joined = sagas.run(shop, {}, { id: 's' });
    await expect(joined).rejects.toBeInstanceOf(SagaResolvedError);
    await expect(joined).rejects.toThrow('paid in cash');
    await expect(sagas.retry('s', ann)).rejects.toThrow('it is resolved');
  });

  it('needs no definition, nor do the others: what they set going waits for a runner that has it', async () => {
    const here = stage();
    const { runtime, shop, log, script, runner } = here;
    script.pay = fail;
    const first = await runner();
    for (const id of ['a', 'b', 'c']) await park(here, first, id);
    await first.stop();
    const other = saga('other', { input: z.object({}) }).pivot('x', () => 1);
    const sagas = await runner({ sagas: [other] });
    expect(await sagas.resolve('a', ann)).toMatchObject({ status: 'resolved' });
    await expect(sagas.skip('b', ann)).rejects.toThrow('whether the pivot pay happened decides everything');
    expect(await sagas.retry('c', ann)).toMatchObject({ status: 'running' });
    await runtime.clock.advance(5_000);
    expect(log).toEqual([]);
    script.pay = () => 'paid';
    const knowing = await runner();
    await runtime.clock.settle(knowing.run(shop, {}, { id: 'c' }));
    expect(log).toEqual(['pay', 'ship', 'mail']);
  });
});
