import { describe, expect, it } from 'vitest';
import { SagaCompensatedError, SagaParkedError } from '../../src/core/errors.ts';
import { SagaRunner } from '../../src/saga/runner.ts';
import { refuse } from '../../src/saga/saga.ts';
import { ann, deaf, fail, park, stage } from './repair-stage.ts';

describe('an operator who tries a parked saga again', () => {
  it('sends it on from where it parked, with as many tries as before, and awaits it by its id', async () => {
    const here = stage();
    const { runtime, shop, log, script, runner } = here;
    script.ship = fail;
    const sagas = await runner();
    await park(here, sagas);
    const told: unknown[] = [];
    sagas.on('repaired', (event) => told.push(event));
    const record = await sagas.retry('s', ann);
    const parked = 'ship (retriable) was tried 2 times: reset';
    const repair = { action: 'retry', ...ann, parked, at: record.updatedAt };
    expect(record).toMatchObject({ status: 'running', repairs: [repair] });
    expect(record.reason).toBeUndefined();
    expect(told).toEqual([{ id: 's', saga: 'shop', ...repair }]);
    await expect(runtime.clock.settle(sagas.run(shop, {}, { id: 's' }))).rejects.toThrow('tried 2 times');
    expect(log).toEqual(['ship', 'ship']);
    script.ship = () => 'sent';
    await sagas.retry('s', { by: 'bob', reason: 'again' });
    await expect(runtime.clock.settle(sagas.run(shop, {}, { id: 's' }))).resolves.toMatchObject({
      ship: 'sent',
    });
    const ended = await sagas.get('s');
    expect(ended?.repairs?.map(({ by }) => by)).toEqual(['ann', 'bob']);
    expect(ended?.reason).toBeUndefined();
  });

  it('sends it on backward when it had turned, with the reason why it had', async () => {
    const here = stage();
    const { runtime, shop, log, script, runner } = here;
    script.pay = () => refuse('declined');
    script['undo tax'] = fail;
    const sagas = await runner();
    await park(here, sagas);
    delete script['undo tax'];
    const record = await sagas.retry('s', ann);
    expect(record).toMatchObject({ status: 'compensating', reason: 'pay was refused: declined' });
    const ended = runtime.clock.settle(sagas.run(shop, {}, { id: 's' }));
    await expect(ended).rejects.toThrow('was compensated: pay was refused: declined');
    expect(log).toEqual(['undo tax', 'undo hold']);
  });

  it('keeps a pivot in doubt, so that a refusal now does not speak for the tries before', async () => {
    const here = stage();
    const { runtime, shop, log, script, runner } = here;
    script.pay = fail;
    const sagas = await runner();
    await park(here, sagas);
    script.pay = () => refuse('no');
    await sagas.retry('s', ann);
    const ended = runtime.clock.settle(sagas.run(shop, {}, { id: 's' }));
    await expect(ended).rejects.toBeInstanceOf(SagaParkedError);
    expect(log).toEqual(['pay', 'pay']);
    script.pay = () => refuse('no', { conclusive: true });
    await sagas.retry('s', ann);
    await expect(runtime.clock.settle(sagas.run(shop, {}, { id: 's' }))).rejects.toBeInstanceOf(
      SagaCompensatedError,
    );
  });

  it('works from another runner while the one that parked it lives, and survives a crash right after', async () => {
    const here = stage();
    const { runtime, shop, script, runner, log, store } = here;
    script.ship = fail;
    const first = await runner();
    await park(here, first);
    // A runner whose timers never fire and that never answers: it dies with the saga in its hands.
    script.ship = () => new Promise(() => {});
    const dying = await new SagaRunner({ store, sagas: [shop], runtime: deaf(runtime) }).start();
    await dying.retry('s', ann);
    await runtime.clock.advance(0);
    script.ship = () => 'sent';
    expect((await first.get('s'))?.status).toBe('running');
    await expect(runtime.clock.settle(first.run(shop, {}, { id: 's' }))).resolves.toMatchObject({
      ship: 'sent',
    });
    expect(log).toEqual(['ship', 'ship', 'mail']);
    expect((await first.get('s'))?.repairs).toHaveLength(1);
  });
});
