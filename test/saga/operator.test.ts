import { describe, expect, it } from 'vitest';
import { InvalidOptionsError, SagaRepairError, UnknownSagaError } from '../../src/core/errors.ts';
import { SagaOperator } from '../../src/saga/operator.ts';
import { refuse } from '../../src/saga/saga.ts';
import { ann, fail, park, type Stage, stage } from './repair-stage.ts';

const operatorOf = ({ store, runtime }: Stage): SagaOperator => new SagaOperator({ store, runtime });

async function parked(at: string) {
  const here = stage();
  here.script[at] = fail;
  const sagas = await here.runner();
  await park(here, sagas);
  delete here.script[at];
  return { ...here, here, sagas, operator: operatorOf(here) };
}

describe('an operator without definitions', () => {
  it('lets a parked saga be tried again, and a runner that knows it goes on', async () => {
    const { runtime, sagas, shop, log, operator } = await parked('ship');
    const record = await operator.retry('s', ann);
    expect(record).toMatchObject({ status: 'running', repairs: [{ action: 'retry', ...ann }] });
    expect(record.parkedAt).toBeUndefined();
    await expect(runtime.clock.settle(sagas.run(shop, {}, { id: 's' }))).resolves.toMatchObject({
      ship: 'ship',
    });
    expect(log).toEqual(['ship', 'mail']);
  });

  it('sends it on backward when it had turned', async () => {
    const here = stage();
    here.script.pay = () => refuse('declined');
    here.script['undo tax'] = fail;
    const sagas = await here.runner();
    await park(here, sagas);
    const operator = operatorOf(here);
    const record = await operator.skip('s', ann);
    expect(record).toMatchObject({ status: 'compensating', reason: 'pay was refused: declined' });
    const ended = here.runtime.clock.settle(sagas.run(here.shop, {}, { id: 's' }));
    await expect(ended).rejects.toThrow('was compensated');
    expect(here.log).toEqual(['undo hold']);
    expect((await operator.history('s')).map(({ type, step }) => `${type} ${step ?? ''}`.trim())).toEqual([
      ...['began', 'done hold', 'done tax', 'refused pay', 'turned-back'],
      ...['repaired tax', 'skipped tax', 'undone hold', 'compensated'],
    ]);
  });

  it('lets what can be skipped be skipped, and nothing else', async () => {
    const { runtime, sagas, shop, log, operator } = await parked('ship');
    expect(await operator.skip('s', ann)).toMatchObject({ status: 'running' });
    await expect(runtime.clock.settle(sagas.run(shop, {}, { id: 's' }))).resolves.toMatchObject({
      mail: expect.anything(),
    });
    expect(log).toEqual(['mail without ship']);
    const pivot = await parked('pay');
    await expect(pivot.operator.skip('s', ann)).rejects.toThrow(SagaRepairError);
    expect((await pivot.operator.get('s')).status).toBe('parked');
    expect(await pivot.operator.resolve('s', ann)).toMatchObject({ status: 'resolved', reason: ann.reason });
  });

  it('holds nothing afterwards: another runner may take it over at once', async () => {
    const { here, runtime, sagas, shop, operator } = await parked('ship');
    await sagas.stop();
    await operator.retry('s', ann);
    const other = await here.runner();
    await expect(runtime.clock.settle(other.run(shop, {}, { id: 's' }))).resolves.toBeDefined();
  });

  it('is one of several: one wins, and the others are told', async () => {
    const { here, operator } = await parked('ship');
    const operators = [operator, operatorOf(here), operatorOf(here)];
    const outcomes = await Promise.allSettled(operators.map((one) => one.resolve('s', ann)));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(SagaRepairError);
    }
  });

  it('says what it does not know and does not accept', async () => {
    const { operator } = await parked('ship');
    await expect(operator.get('none')).rejects.toThrow(UnknownSagaError);
    await expect(operator.retry('none', ann)).rejects.toThrow(UnknownSagaError);
    await expect(operator.cancel('none', ann)).rejects.toThrow(UnknownSagaError);
    await expect(operator.retry('s', { ...ann, by: ' ' })).rejects.toThrow(InvalidOptionsError);
    await expect(operator.cancel('s', { ...ann, reason: '' })).rejects.toThrow('SagaOperator.cancel: reason');
    expect(() => new SagaOperator({} as never)).toThrow('store: got nothing');
    expect((await operator.list({ status: 'parked' })).map(({ id }) => id)).toEqual(['s']);
  });
});

describe("an operator's cancel", () => {
  it('waits until it is decided, which takes a runner', async () => {
    const here = stage();
    const { runtime, shop } = here;
    let release = (): void => {};
    here.script.hold = () =>
      new Promise<void>((resolve) => {
        release = resolve;
      });
    const sagas = await here.runner();
    await sagas.begin(shop, {}, { id: 's' });
    const operator = operatorOf(here);
    expect(await operator.cancel('s', ann)).toBeUndefined();
    const decided = operator.cancel('s', { ...ann, wait: '1m' });
    release();
    expect(await runtime.clock.settle(decided)).toEqual({ outcome: 'accepted' });
    const ended = runtime.clock.settle(sagas.run(shop, {}, { id: 's' }));
    await expect(ended).rejects.toThrow('was compensated');
    const record = await operator.get('s');
    expect(record.requests).toMatchObject([{ type: 'cancel', reason: `${ann.reason} (ann)` }]);
    expect(await operator.cancel('s', ann)).toEqual({ outcome: 'accepted' });
  });

  it('is undecided after its time, and too late for what is over or parked', async () => {
    const here = stage();
    here.script.hold = () => new Promise(() => {});
    const sagas = await here.runner();
    await sagas.begin(here.shop, {}, { id: 'slow' });
    const operator = operatorOf(here);
    expect(await here.runtime.clock.settle(operator.cancel('slow', { ...ann, wait: '5s' }))).toBeUndefined();
    const over = await parked('ship');
    expect(await over.operator.cancel('s', ann)).toEqual({ outcome: 'tooLate', status: 'parked' });
    await over.operator.resolve('s', ann);
    expect(await over.operator.cancel('s', ann)).toEqual({ outcome: 'tooLate', status: 'resolved' });
    expect((await over.operator.get('s')).requests).toBeUndefined();
  });
});

describe('an operator that is asked wrongly', () => {
  it('names the field, and asks nothing of the store', async () => {
    const operator = operatorOf(stage());
    const queries = [{ limit: -1 }, { limit: 'x' }, { status: 'bogus' }, { statuss: 'parked' }, null];
    for (const query of queries as never[]) {
      await expect(operator.list(query)).rejects.toThrow(/^SagaOperator\.list: /);
    }
    for (const options of [undefined, null, { ...ann, waitt: 1 }] as never[]) {
      await expect(operator.cancel('s', options)).rejects.toBeInstanceOf(InvalidOptionsError);
    }
  });
});
