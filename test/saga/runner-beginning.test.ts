import { describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { memorySagaStore } from '../../src/adapters/memory/saga-store.ts';
import {
  InvalidOptionsError,
  InvalidPayloadError,
  SagaConflictError,
  UnknownSagaError,
} from '../../src/core/errors.ts';
import { SagaRunner } from '../../src/saga/runner.ts';
import { saga } from '../../src/saga/saga.ts';
import { checkout, Order, setup } from './runner-stage.ts';

describe('beginning a saga', () => {
  it('is idempotent by id: joins, and gives the result of one that has ended', async () => {
    const { runner, log } = setup();
    const shop = checkout(log);
    const sagas = await runner(shop);
    const both = [
      sagas.run(shop, { sku: 'a' }, { id: 'i' }),
      sagas.run(shop, { count: 1, sku: 'a' }, { id: 'i' }),
    ];
    const [one, two] = await Promise.all(both);
    expect(two).toEqual(one);
    expect(await sagas.run(shop, { sku: 'a' }, { id: 'i' })).toEqual(one);
    expect(await sagas.begin(shop, { sku: 'a' }, { id: 'i' })).toEqual({ id: 'i', created: false });
    expect(log).toEqual(['hold', 'tax', 'reserve', 'pay', 'ship']);
  });

  it('is waited for by many at once without a warning of a leak', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const { runner } = setup();
    const one = saga('one', { input: Order }).step('only', () => 1, { undo: 'nothing' });
    const sagas = await runner(one);
    await Promise.all(Array.from({ length: 20 }, () => sagas.run(one, { sku: 'a' })));
    await sagas.stop();
    expect(warned).not.toHaveBeenCalled();
    warned.mockRestore();
  });

  it('refuses another input and another saga under the same id', async () => {
    const { runner, log } = setup();
    const shop = checkout(log);
    const other = saga('other', { input: Order }).pivot('x', () => 1);
    const sagas = await runner(shop, other);
    await sagas.run(shop, { sku: 'a' }, { id: 'c' });
    await expect(sagas.begin(shop, { sku: 'b' }, { id: 'c' })).rejects.toBeInstanceOf(SagaConflictError);
    const asAnother = sagas.begin(other, { sku: 'a' }, { id: 'c' });
    await expect(asAnother).rejects.toBeInstanceOf(SagaConflictError);
    await expect(asAnother).rejects.toThrow(`saga ${shop.name} c was started before and is no ${other.name}`);
  });

  it('refuses bad input, bad ids and sagas it was not given', async () => {
    const { runner, log } = setup();
    const shop = checkout(log);
    const sagas = await runner(shop);
    await expect(sagas.begin(shop, { sku: 1 } as never)).rejects.toThrow(/sku/);
    await expect(sagas.begin(shop, { sku: 'a' }, { id: 'a b' })).rejects.toBeInstanceOf(InvalidOptionsError);
    await expect(sagas.begin(shop, { sku: 'a' }, { id: '' })).rejects.toBeInstanceOf(InvalidOptionsError);
    const longer = saga('checkout', { input: Order }).pivot('x', () => 1);
    await expect(sagas.begin(longer, { sku: 'a' })).rejects.toBeInstanceOf(UnknownSagaError);
    const loose = saga('loose', { input: z.unknown() }).pivot('x', () => 1);
    const others = await runner(loose);
    const cycle: Record<string, unknown> = {};
    cycle.self = cycle;
    for (const input of [10n, cycle, () => 1, { n: Number.NaN }]) {
      await expect(others.begin(loose, input)).rejects.toBeInstanceOf(InvalidPayloadError);
    }
    expect(await sagas.list()).toEqual([]);
  });

  it('gives up waiting by signal and timeout, while the saga goes on', async () => {
    const { runner, runtime } = setup({ attemptTimeout: '1h' });
    let end = (): void => {};
    const slow = saga('slow', { input: Order }).pivot(
      'x',
      () =>
        new Promise<void>((r) => {
          end = r;
        }),
    );
    const sagas = await runner(slow);
    const waiting = expect(sagas.run(slow, { sku: 'a' }, { id: 'w', timeout: '1s' })).rejects.toThrow(
      '1000 ms',
    );
    await runtime.clock.advance(1_000);
    await waiting;
    end();
    await runtime.clock.advance(0);
    expect((await sagas.get('w'))?.status).toBe('completed');
  });
});

describe('options', () => {
  const store = memorySagaStore();
  const one = saga('one', { input: Order }).pivot('x', () => 1);
  const empty = saga('empty', { input: Order });
  it.each([
    [{ store, sagas: [] }, 'sagas'],
    [{ store, sagas: [{}] }, 'sagas'],
    [{ store, sagas: [one, one] }, 'each saga once'],
    [{ store, sagas: [empty] }, 'at least one step'],
    [{ sagas: [one] }, 'store'],
    [{ store, sagas: [one], lease: '1ms' }, 'lease'],
    [{ store, sagas: [one], concurrency: 0 }, 'concurrency'],
    [{ store, sagas: [one], retry: { attempts: 1.5 } }, 'retry.attempts'],
    [{ store, sagas: [one], pollintervall: 1 }, 'pollintervall'],
  ])('%# are refused naming the field', (options, field) => {
    expect(() => new SagaRunner(options as never)).toThrow(field);
  });
});
