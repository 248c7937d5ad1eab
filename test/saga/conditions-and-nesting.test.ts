import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { SagaCompensatedError, SagaParkedError } from '../../src/core/errors.ts';
import { refuse, saga } from '../../src/saga/saga.ts';
import { deferred, ScriptStage } from './script-stage.ts';

const Input = z.object({ gift: z.boolean().default(false) });

describe('a condition', () => {
  it('decides whether a step is done, in the same write as the step before it', async () => {
    const stage = new ScriptStage();
    const shape = saga('order', { input: Input })
      .step('wrap', stage.do('wrap'), { ...stage.undo('wrap'), when: ({ input }) => input.gift })
      .step('hold', stage.do('hold'), stage.undo('hold'))
      .pivot('pay', stage.do('pay'))
      .step('card', stage.do('card'), { when: ({ results }) => results.wrap !== undefined });
    const sagas = await stage.runner([shape]);
    expect(await sagas.run(shape, { gift: true }, { id: 'yes' })).toMatchObject({
      wrap: 'wrap',
      card: 'card',
    });
    expect(stage.writes).toEqual(['create', 'running', 'running', 'running', 'completed']);
    expect(await sagas.run(shape, {}, { id: 'no' })).toEqual({
      wrap: undefined,
      hold: 'hold',
      pay: 'pay',
      card: undefined,
    });
    expect(await stage.steps('no')).toEqual({ wrap: 'omitted', hold: 'done', pay: 'done', card: 'omitted' });
  });

  it('is asked once, whatever happens afterwards, and a step that was left out is not undone', async () => {
    const stage = new ScriptStage();
    let asked = 0;
    const shape = saga('order', { input: Input })
      .step('wrap', stage.do('wrap'), {
        ...stage.undo('wrap'),
        when: () => {
          asked += 1;
          return asked > 1;
        },
      })
      .step('hold', stage.do('hold'), stage.undo('hold'))
      .pivot('pay', () => refuse('declined', { conclusive: true }));
    const first = await stage.runner([shape]);
    const hold = deferred();
    stage.script.hold = () => hold.promise;
    await first.begin(shape, {}, { id: 's' });
    await stage.runtime.clock.advance(0);
    void first.stop();
    hold.resolve();
    await stage.runtime.clock.advance(0);
    const second = await stage.runner([shape]);
    await expect(stage.settle(second.run(shape, {}, { id: 's' }))).rejects.toBeInstanceOf(
      SagaCompensatedError,
    );
    expect(asked).toBe(1);
    expect(stage.log).toEqual(['hold', 'undo hold']);
  });

  it('parks the saga when it throws or does not answer, before anything is done; a retry asks again', async () => {
    const stage = new ScriptStage();
    const answers: unknown[] = [new Error('odd'), Promise.resolve(true), true];
    const shape = saga('order', { input: Input })
      .step('hold', stage.do('hold'), stage.undo('hold'))
      .pivot('pay', stage.do('pay'))
      .step('card', stage.do('card'), {
        when: () => {
          const answer = answers.shift();
          if (answer instanceof Error) throw answer;
          return answer as boolean;
        },
      });
    const sagas = await stage.runner([shape]);
    await expect(sagas.run(shape, {}, { id: 's' })).rejects.toThrow('card could not be begun: odd');
    expect(stage.log).toEqual(['hold', 'pay']);
    await sagas.retry('s', { by: 'ann', reason: 'mended' });
    await expect(stage.settle(sagas.run(shape, {}, { id: 's' }))).rejects.toThrow('and not a promise');
    await sagas.retry('s', { by: 'ann', reason: 'mended' });
    expect(await stage.settle(sagas.run(shape, {}, { id: 's' }))).toMatchObject({ card: 'card' });
  });

  it('of a group decides for all its members at once', async () => {
    const stage = new ScriptStage();
    let asked = 0;
    const shape = saga('order', { input: Input })
      .parallel(
        'pack',
        (group) =>
          group
            .step('box', stage.do('box'), stage.undo('box'))
            .step('bow', stage.do('bow'), { ...stage.undo('bow'), when: ({ input }) => input.gift }),
        {
          when: () => {
            asked += 1;
            return true;
          },
        },
      )
      .parallel('never', (group) => group.step('x', stage.do('x'), stage.undo('x')), { when: () => false })
      .pivot('pay', stage.do('pay'));
    const sagas = await stage.runner([shape]);
    expect(await sagas.run(shape, {}, { id: 's' })).toEqual({
      box: 'box',
      bow: undefined,
      x: undefined,
      pay: 'pay',
    });
    expect(asked).toBe(1);
  });
});

describe('a nested saga', () => {
  const City = z.object({ city: z.string().transform((c) => c.toUpperCase()) });
  function shapes(stage: ScriptStage) {
    const seen: unknown[] = [];
    const travel = saga('travel', { input: City })
      .step(
        'hotel',
        ({ input, results, key }) => {
          seen.push({ input, results, key });
          return stage.act('hotel', key);
        },
        stage.undo('hotel'),
      )
      .step('car', ({ results, key }) => stage.act(`car ${results.hotel}`, key), stage.undo('car'));
    const order = saga('order', { input: Input })
      .step('find', stage.do('find'), stage.undo('find'))
      .saga('travel', travel, { input: ({ results }) => ({ city: String(results.find) }) })
      .pivot('pay', ({ results }) => stage.act(`pay ${JSON.stringify(results)}`));
    return { travel, order, seen };
  }

  it('sees its own checked input and results, under keys of its own, and is undone with its parent', async () => {
    const stage = new ScriptStage();
    const { order, seen } = shapes(stage);
    const sagas = await stage.runner([order]);
    expect(await sagas.run(order, {}, { id: 's' })).toMatchObject({
      find: 'find',
      travel: { hotel: 'hotel', car: 'car hotel' },
    });
    expect(seen).toEqual([{ input: { city: 'FIND' }, results: {}, key: 's/travel.hotel/do' }]);
    expect(stage.log.at(-1)).toBe('pay {"find":"find","travel":{"hotel":"hotel","car":"car hotel"}}');
    const plain = { find: 'find', travel: { hotel: 'hotel', car: 'car hotel' } };
    stage.script[`pay ${JSON.stringify(plain)}`] = () => refuse('declined');
    await expect(sagas.run(order, {}, { id: 't' })).rejects.toBeInstanceOf(SagaCompensatedError);
    expect(stage.log.slice(-3)).toEqual(['undo car', 'undo hotel', 'undo find']);
  });

  it('whose input is wrong turns back before the pivot and parks after it', async () => {
    const stage = new ScriptStage();
    const { order, travel } = shapes(stage);
    const wrong = saga('wrong', { input: Input })
      .step('find', stage.do('find'), stage.undo('find'))
      .saga('travel', travel, { input: () => ({ city: 5 as never }) });
    const late = saga('late', { input: Input })
      .pivot('pay', stage.do('pay'))
      .saga('tell', saga('tell', { input: City }).pivot('mail', stage.do('mail')), {
        input: () => ({ city: 5 as never }),
      });
    const sagas = await stage.runner([order, wrong, late]);
    await expect(sagas.run(wrong, {}, { id: 'w' })).rejects.toThrow('travel was refused: its input is not');
    expect(stage.log).toEqual(['find', 'undo find']);
    await expect(sagas.run(late, {}, { id: 'l' })).rejects.toBeInstanceOf(SagaParkedError);
    await expect(sagas.skip('l', { by: 'ann', reason: 'x' })).rejects.toThrow('cannot be skipped');
  });

  it('that does not take place leaves out all its steps, and those nested in it', async () => {
    const stage = new ScriptStage();
    const { travel } = shapes(stage);
    const tour = saga('tour', { input: City })
      .saga('leg', travel, { input: ({ input }) => input })
      .step('guide', stage.do('guide'), stage.undo('guide'));
    const shape = saga('order', { input: Input })
      .saga('tour', tour, { input: () => ({ city: 'Oslo' }), when: ({ input }) => input.gift })
      .pivot('pay', stage.do('pay'));
    const sagas = await stage.runner([shape]);
    expect(await sagas.run(shape, {}, { id: 's' })).toEqual({ tour: undefined, pay: 'pay' });
    expect(stage.log).toEqual(['pay']);
    expect(await sagas.run(shape, { gift: true }, { id: 't' })).toEqual({
      tour: { leg: { hotel: 'hotel', car: 'car hotel' }, guide: 'guide' },
      pay: 'pay',
    });
  });

  it('with a pivot is its parent’s pivot', async () => {
    const stage = new ScriptStage();
    const deal = saga('deal', { input: City })
      .step('hold', stage.do('hold'), stage.undo('hold'))
      .pivot('sign', stage.do('sign'));
    const shape = saga('order', { input: Input })
      .step('find', stage.do('find'), stage.undo('find'))
      .saga('deal', deal, { input: () => ({ city: 'Oslo' }) })
      .step('mail', stage.do('mail'));
    const sagas = await stage.runner([shape]);
    await sagas.run(shape, {}, { id: 's' });
    stage.script.sign = () => refuse('no');
    await expect(sagas.run(shape, {}, { id: 't' })).rejects.toThrow('deal.sign was refused: no');
    expect(stage.log.slice(-2)).toEqual(['undo hold', 'undo find']);
    delete stage.script.sign;
    stage.script.mail = () => refuse('no');
    await expect(sagas.run(shape, {}, { id: 'u' })).rejects.toBeInstanceOf(SagaParkedError);
  });
});
