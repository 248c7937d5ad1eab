import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { memorySagaStore } from '../../src/adapters/memory/saga-store.ts';
import {
  InvalidOptionsError,
  InvalidPayloadError,
  NotRunningError,
  SagaCompensatedError,
  SagaParkedError,
  SagaRepairError,
  SagaResolvedError,
  StoreError,
  UnknownSagaError,
} from '../../src/core/errors.ts';
import type { SagaStore } from '../../src/ports/saga-store.ts';
import { SagaRunner } from '../../src/saga/runner.ts';
import type { SagaRunnerOptions } from '../../src/saga/runner-options.ts';
import { refuse, saga } from '../../src/saga/saga.ts';
import { type TestRuntime, testRuntime } from '../../src/testing/test-runtime.ts';

const ann = { by: 'ann', reason: 'the gateway is up again' };
const fail = (): never => {
  throw new Error('reset');
};

/** hold and tax, then pay, then ship and mail; `script` says what each does, and may change. */
function stage(overrides: Partial<SagaStore> = {}) {
  const runtime = testRuntime();
  const inner = memorySagaStore({ runtime });
  const store = Object.assign(Object.create(inner), bound(inner), overrides) as SagaStore;
  const log: string[] = [];
  const script: Record<string, () => unknown> = {};
  const act = (name: string): unknown => {
    log.push(name);
    return script[name]?.() ?? name;
  };
  const shop = saga('shop', { input: z.object({}) })
    .step('hold', () => act('hold'), { undo: () => act('undo hold') })
    .step('tax', () => act('tax'), { undo: () => act('undo tax') })
    .pivot('pay', () => act('pay'))
    .step('ship', () => act('ship'))
    .step('mail', ({ results }) => (results.ship === undefined ? act('mail without ship') : act('mail')));
  const runner = (options: Partial<SagaRunnerOptions> = {}): Promise<SagaRunner> =>
    new SagaRunner({ store, sagas: [shop], runtime, retry: { attempts: 2 }, ...options }).start();
  return { runtime, inner, store, log, script, shop, runner };
}

type Stage = ReturnType<typeof stage>;

/** Run it until it parks. */
async function park({ runtime, shop, log }: Stage, sagas: SagaRunner, id = 's'): Promise<void> {
  const ended = runtime.clock.settle(sagas.run(shop, {}, { id }));
  await expect(ended).rejects.toBeInstanceOf(SagaParkedError);
  log.length = 0;
}

const statuses = async (sagas: SagaRunner): Promise<(string | undefined)[]> =>
  (await sagas.get('s'))?.steps.map((s) => `${s.name} ${s.skipped ? 'skipped as ' : ''}${s.status}`) ?? [];

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

  it('needs no definition; the others do, and leave it as it is', async () => {
    const here = stage();
    const { script, runner, inner } = here;
    script.pay = fail;
    await park(here, await runner());
    const before = await inner.get('s');
    const other = saga('other', { input: z.object({}) }).pivot('x', () => 1);
    const sagas = await runner({ sagas: [other] });
    await expect(sagas.retry('s', ann)).rejects.toBeInstanceOf(UnknownSagaError);
    await expect(sagas.skip('s', ann)).rejects.toBeInstanceOf(UnknownSagaError);
    expect(await inner.get('s')).toEqual(before);
    expect(await sagas.resolve('s', ann)).toMatchObject({ status: 'resolved' });
  });
});

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

/** A runtime whose timers never fire: a process that is frozen or dead, as the others see it. */
function deaf(runtime: TestRuntime): TestRuntime {
  const { clock } = runtime;
  const still = { now: () => 0, wallTime: () => clock.wallTime(), schedule: () => ({ cancel() {} }) };
  return { ...runtime, clock: still as never };
}

const methods = [
  'start',
  'create',
  'update',
  'claim',
  'take',
  'heartbeat',
  'release',
  'get',
  'list',
  'close',
] as const;

function bound(store: SagaStore): Partial<SagaStore> {
  return Object.fromEntries(methods.map((m) => [m, store[m].bind(store)]));
}
