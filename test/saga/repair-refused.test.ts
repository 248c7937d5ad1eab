import { describe, expect, it } from 'vitest';
import {
  InvalidOptionsError,
  InvalidPayloadError,
  NotRunningError,
  SagaCompensatedError,
  SagaParkedError,
  SagaRepairError,
  StoreError,
} from '../../src/core/errors.ts';
import { SagaRunner } from '../../src/saga/runner.ts';
import { ann, fail, park, type Stage, stage } from './repair-stage.ts';

describe('repairs that cannot be', () => {
  it('are refused when the saga is unknown, not parked, or the runner or the options are not right', async () => {
    const here = stage();
    const { runtime, shop, runner, store } = here;
    const sagas = await runner();
    await runtime.clock.settle(sagas.run(shop, {}, { id: 's' }));
    for (const action of ['retry', 'skip', 'resolve'] as const) {
      await expect(sagas[action]('nobody', ann)).rejects.toThrow('no saga nobody');
      await expect(sagas[action]('s', ann)).rejects.toThrow('it is completed, and only what is parked');
      await expect(sagas[action]('s', { by: ' ', reason: 'x' })).rejects.toBeInstanceOf(InvalidOptionsError);
      await expect(sagas[action]('s', { by: 'x' } as never)).rejects.toThrow('reason');
      const idle = new SagaRunner({ store, sagas: [shop], runtime });
      await expect(idle[action]('s', ann)).rejects.toBeInstanceOf(NotRunningError);
    }
    await sagas.stop();
    await expect(sagas.retry('s', ann)).rejects.toBeInstanceOf(NotRunningError);
  });

  it('let one of two operators win, on one runner or on two, and the other is told', async () => {
    for (const runners of [1, 2]) {
      const here = stage();
      const { runtime, shop, script, log, runner } = here;
      script.ship = fail;
      const first = await runner();
      const second = runners === 1 ? first : await runner();
      await park(here, first);
      delete script.ship;
      const both = await Promise.allSettled([
        first.retry('s', ann),
        second.resolve('s', ann),
        second.skip('s', ann),
      ]);
      expect(both.filter((b) => b.status === 'fulfilled')).toHaveLength(1);
      for (const lost of both)
        if (lost.status === 'rejected') expect(lost.reason).toBeInstanceOf(SagaRepairError);
      await runtime.clock.settle(first.run(shop, {}, { id: 's' })).catch(() => {});
      expect((await first.get('s'))?.repairs).toHaveLength(1);
      expect(log.filter((l) => l === 'mail').length).toBeLessThan(2);
    }
  });

  it('end with the store’s error when it may be written; and what is written goes on', async () => {
    let broken = false;
    const here: Stage = stage({
      update: async (record) => {
        const written = await here.inner.update(record);
        if (broken) throw new Error('the connection was reset');
        return written;
      },
    });
    const { runtime, shop, script, runner } = here;
    script.ship = fail;
    const sagas = await runner();
    await park(here, sagas);
    delete script.ship;
    broken = true;
    await expect(sagas.retry('s', ann)).rejects.toBeInstanceOf(StoreError);
    broken = false;
    expect((await sagas.get('s'))?.status).toBe('running');
    await expect(runtime.clock.settle(sagas.run(shop, {}, { id: 's' }))).resolves.toBeDefined();
  });
});

describe('what a store will never take', () => {
  /** A store that refuses records with this text in their steps or reason. */
  const choosy = (text: string): Stage => {
    const here: Stage = stage({
      update: async (record) => {
        if (!JSON.stringify([record.steps, record.reason]).includes(text)) return here.inner.update(record);
        throw new InvalidPayloadError(`saga ${record.id}`, 'has what this store cannot hold');
      },
    });
    return here;
  };

  it.each([
    ['hold', SagaCompensatedError, 'hold failed: its result cannot be stored', ['undo hold']],
    ['pay', SagaParkedError, 'pay was done, but its result cannot be stored', []],
    ['ship', SagaParkedError, 'ship was done, but its result cannot be stored', []],
  ] as const)(
    'turns the saga back or parks it after %s, and never hangs',
    async (step, kind, message, undos) => {
      const { runtime, shop, script, runner, log } = choosy('odd');
      script[step] = () => 'odd';
      const ended = runtime.clock.settle((await runner()).run(shop, {}));
      await expect(ended).rejects.toBeInstanceOf(kind);
      await expect(ended).rejects.toThrow(message);
      expect(log.filter((l) => l.startsWith('undo'))).toEqual(undos);
      expect(log.filter((l) => l === step)).toHaveLength(1);
    },
  );

  it('says less of an error, and of a reason to park', async () => {
    for (const [step, message] of [
      ['hold', 'hold failed: the store does not take its error'],
      ['ship', 'the store does not take what was to be written'],
    ] as const) {
      const { runtime, shop, script, runner } = choosy('odd');
      script[step] = () => {
        throw new Error('odd');
      };
      await expect(runtime.clock.settle((await runner()).run(shop, {}))).rejects.toThrow(message);
    }
  });

  it('tells who repairs that the repair is not taken', async () => {
    const here = choosy('odd');
    here.script.pay = fail;
    const sagas = await here.runner();
    await park(here, sagas);
    const odd = { by: 'ann', reason: 'odd' };
    await expect(sagas.resolve('s', odd)).rejects.toBeInstanceOf(InvalidPayloadError);
    expect((await sagas.get('s'))?.status).toBe('parked');
  });
});
