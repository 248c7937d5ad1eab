import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { memorySagaStore } from '../../src/adapters/memory/saga-store.ts';
import { withCallContext } from '../../src/core/ambient.ts';
import { SagaParkedError } from '../../src/core/errors.ts';
import { Call } from '../../src/core/policy.ts';
import type { SagaStore } from '../../src/ports/saga-store.ts';
import { timeout } from '../../src/resilience/timeout.ts';
import { SagaRunner } from '../../src/saga/runner.ts';
import { refuse, saga } from '../../src/saga/saga.ts';
import { checkout, failure, Order, refusal, setup } from './runner-stage.ts';

describe('a saga that goes forward', () => {
  it('does its steps in order, each with what came before, and gives all results', async () => {
    const { runner } = setup();
    const sum = saga('sum', { input: Order })
      .step('one', ({ input }) => input.count, { undo: 'nothing' })
      .step('two', async ({ results }) => results.one + 1, { undo: 'nothing' })
      .pivot('three', ({ results }) => [results.one, results.two])
      .step('four', () => {});
    const sagas = await runner(sum);
    const results = await sagas.run(sum, { sku: 'a' }, { id: 's1' });
    expect(results).toEqual({ one: 1, two: 2, three: [1, 2], four: undefined });
    expect((await sagas.get('s1'))?.status).toBe('completed');
    await sagas.stop();
  });

  it('costs one durable write more than it has steps', async () => {
    const { runtime, log } = setup();
    const store = memorySagaStore({ runtime });
    const writes: string[] = [];
    const counted: SagaStore = Object.assign(Object.create(store), {
      create: (...args: Parameters<SagaStore['create']>) => {
        writes.push('create');
        return store.create(...args);
      },
      update: (...args: Parameters<SagaStore['update']>) => {
        writes.push('update');
        return store.update(...args);
      },
    });
    for (const method of [
      'start',
      'claim',
      'take',
      'heartbeat',
      'release',
      'get',
      'list',
      'request',
      'census',
      'purge',
    ] as const) {
      Object.assign(counted, { [method]: store[method].bind(store) });
    }
    const shop = checkout(log);
    const sagas = await new SagaRunner({ store: counted, sagas: [shop], runtime }).start();
    await sagas.run(shop, { sku: 'a' });
    expect(writes).toEqual(['create', ...Array(5).fill('update')]);
  });

  it('passes results as JSON brings them back, so that a crash changes nothing', async () => {
    const { runner } = setup();
    const seen: unknown[] = [];
    const dated = saga('dated', { input: z.object({ at: z.date() }) })
      .step('one', () => ({ at: new Date(0), gone: undefined }), { undo: 'nothing' })
      .pivot('two', ({ input, results }) => void seen.push(input, results));
    const sagas = await runner(dated);
    await sagas.run(dated, { at: new Date(0) });
    const at = '1970-01-01T00:00:00.000Z';
    expect(seen).toEqual([{ at }, { one: { at } }]);
  });

  it('does not inherit the deadline of the request that began it', async () => {
    const { runner, runtime } = setup();
    const inner: (number | undefined)[] = [];
    const policy = timeout('1h', { runtime });
    const quick = saga('quick', { input: Order }).pivot('one', () =>
      policy.run(({ deadline }) => void inner.push(deadline)),
    );
    const sagas = await runner(quick);
    await withCallContext(new Call(AbortSignal.abort(), 1, 5), () => sagas.begin(quick, { sku: 'a' }));
    await runtime.clock.advance(0);
    expect(inner).toEqual([60_000]);
  });
});

describe('a saga at its pivot and behind it', () => {
  it('asks a pivot in doubt again with the same key until it knows, and undoes nothing meanwhile', async () => {
    const { runner, runtime, log } = setup();
    const keys: string[] = [];
    const shop = checkout(log, {
      pay: (key) => {
        keys.push(key);
        return keys.length < 4 ? failure() : 'paid';
      },
    });
    const sagas = await runner(shop);
    await expect(runtime.clock.settle(sagas.run(shop, { sku: 'a' }, { id: 'p' }))).resolves.toMatchObject({
      pay: 'paid',
    });
    expect(keys).toEqual(Array(4).fill('p/pay/do'));
    expect(log).toEqual(['hold', 'tax', 'reserve', 'pay', 'pay', 'pay', 'pay', 'ship']);
  });

  it('parks a pivot that stays in doubt, undoing nothing', async () => {
    const { runner, runtime, log } = setup({ retry: { attempts: 3 } });
    let calls = 0;
    const shop = checkout(log, {
      pay: () => {
        calls += 1;
        return calls === 1 ? failure() : refusal();
      },
    });
    const sagas = await runner(shop);
    await expect(runtime.clock.settle(sagas.run(shop, { sku: 'a' }))).rejects.toThrow(
      'pay (pivot) was tried 3 times: no',
    );
    expect(log.some((l) => l.startsWith('undo'))).toBe(false);
  });

  it('turns back when a refusal speaks for the attempts in doubt, too', async () => {
    const { runner, runtime, log } = setup();
    let calls = 0;
    const shop = checkout(log, {
      pay: () => {
        calls += 1;
        return calls === 1 ? failure() : refuse('declined', { conclusive: true });
      },
    });
    const sagas = await runner(shop);
    const ended = runtime.clock.settle(sagas.run(shop, { sku: 'a' }));
    await expect(ended).rejects.toThrow('pay was refused: declined');
  });

  it('goes only forward after the pivot: retries, then parks; a refusal parks at once', async () => {
    for (const [step, tries] of [
      [failure, 3],
      [refusal, 1],
    ] as const) {
      const { runner, runtime, log } = setup({ retry: { attempts: 3 } });
      const shop = checkout(log, { ship: step });
      const sagas = await runner(shop);
      const ended = runtime.clock.settle(sagas.run(shop, { sku: 'a' }));
      await expect(ended).rejects.toBeInstanceOf(SagaParkedError);
      expect(log.slice(3)).toEqual(['pay', ...Array(tries).fill('ship')]);
    }
  });

  it('holds no slot while it waits for its next try', async () => {
    const { runner, runtime, log } = setup({ concurrency: 1, retry: { base: '1m' } });
    const stuck = saga('stuck', { input: Order }).pivot('fail', failure);
    const shop = checkout(log);
    const sagas = await runner(stuck, shop);
    await sagas.begin(stuck, { sku: 'a' });
    await runtime.clock.advance(0);
    await expect(sagas.run(shop, { sku: 'a' })).resolves.toBeDefined();
  });
});
