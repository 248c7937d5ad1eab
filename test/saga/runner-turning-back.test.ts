import { describe, expect, it } from 'vitest';
import { CircuitOpenError, SagaCompensatedError, SagaParkedError } from '../../src/core/errors.ts';
import type { Call, Policy } from '../../src/core/policy.ts';
import { refuse } from '../../src/saga/saga.ts';
import { checkout, failure, never, refusal, setup } from './runner-stage.ts';

describe('a saga that turns back', () => {
  it('undoes what was done in reverse order, and not what was refused', async () => {
    const { runner, log } = setup();
    const shop = checkout(log, { pay: refusal });
    const sagas = await runner(shop);
    await expect(sagas.run(shop, { sku: 'a' }, { id: 'r' })).rejects.toBeInstanceOf(SagaCompensatedError);
    expect(log.slice(4)).toEqual(['undo reserve {"by":"reserve"}', 'undo hold {"by":"hold"}']);
    const record = await sagas.get('r');
    expect(record?.reason).toBe('pay was refused: no');
    expect(record?.steps.map((s) => `${s.name} ${s.status}`)).toEqual([
      'hold undone',
      'tax done',
      'reserve undone',
      'pay refused',
    ]);
  });

  it('undoes a step in doubt, without a result', async () => {
    const { runner, log } = setup();
    const shop = checkout(log, { reserve: failure });
    const sagas = await runner(shop);
    await expect(sagas.run(shop, { sku: 'a' })).rejects.toThrow('reserve failed: reset');
    expect(log).toEqual(['hold', 'tax', 'reserve', 'undo reserve undefined', 'undo hold {"by":"hold"}']);
  });

  it('does not take a refusal for certain when an earlier attempt is in doubt', async () => {
    const twice: Policy = {
      run: (work, options) => {
        const context = options as Call;
        return (async () => work(context))().catch(() => work(context)) as never;
      },
      wrap: (() => {}) as never,
    };
    for (const conclusive of [false, true]) {
      const { runner, log } = setup();
      let calls = 0;
      const shop = checkout(
        log,
        {
          reserve: () => {
            calls += 1;
            return calls === 1 ? failure() : refuse('no', { conclusive });
          },
        },
        twice,
      );
      const sagas = await runner(shop);
      await expect(sagas.run(shop, { sku: 'a' })).rejects.toBeInstanceOf(SagaCompensatedError);
      expect(log.includes('undo reserve undefined')).toBe(!conclusive);
    }
  });

  it('takes a policy that made no attempt for a refusal', async () => {
    const { runner, log } = setup();
    const open: Policy = {
      run: () => Promise.reject(new CircuitOpenError('b', 'open', 5)),
      wrap: (() => {}) as never,
    };
    const shop = checkout(log, {}, open);
    const sagas = await runner(shop);
    await expect(sagas.run(shop, { sku: 'a' }, { id: 'x' })).rejects.toThrow('hold was refused');
    expect(log).toEqual([]);
    expect((await sagas.get('x'))?.version).toBe(1);
  });

  it('waits until an attempt that timed out has ended before it undoes it', async () => {
    const { runner, runtime, log } = setup({ attemptTimeout: '1s', settleTimeout: '10s' });
    let end = (): void => {};
    const shop = checkout(log, {
      hold: () =>
        new Promise<void>((resolve) => {
          end = resolve;
        }),
    });
    const sagas = await runner(shop);
    const ended = expect(sagas.run(shop, { sku: 'a' })).rejects.toBeInstanceOf(SagaCompensatedError);
    await runtime.clock.advance(5_000);
    expect(log).toEqual(['hold']);
    end();
    await runtime.clock.advance(0);
    await ended;
    expect(log).toEqual(['hold', 'undo hold undefined']);
  });

  it('parks when an attempt that was given up never ends', async () => {
    const { runner, runtime, log } = setup({ attemptTimeout: '1s', settleTimeout: '10s' });
    const shop = checkout(log, { hold: () => never() });
    const sagas = await runner(shop);
    const ended = expect(sagas.run(shop, { sku: 'a' })).rejects.toBeInstanceOf(SagaParkedError);
    await runtime.clock.advance(11_001);
    await ended;
    expect(log).toEqual(['hold']);
  });

  it('retries an undo with backoff, and parks with the original cause kept', async () => {
    const { runner, runtime, log } = setup({ retry: { attempts: 3, base: 100 } });
    const shop = checkout(log, { pay: refusal, 'undo hold {"by":"hold"}': failure });
    const sagas = await runner(shop);
    const ended = sagas.run(shop, { sku: 'a' }, { id: 'u' });
    await expect(runtime.clock.settle(ended)).rejects.toThrow(
      /undo of hold was tried 3 times: reset · .* because pay was refused: no/,
    );
    expect(log.filter((l) => l.startsWith('undo hold'))).toHaveLength(3);
    expect((await sagas.get('u'))?.steps.map((s) => s.status)).toEqual(['done', 'done', 'undone', 'refused']);
  });

  it('undoes a step whose result cannot be stored', async () => {
    const { runner, log } = setup();
    const shop = checkout(log, { hold: () => 10n });
    const sagas = await runner(shop);
    await expect(sagas.run(shop, { sku: 'a' })).rejects.toThrow('bigint');
    expect(log).toEqual(['hold', 'undo hold undefined']);
  });

  // At 200 levels it is a result that can be stored by itself, but not within a record.
  it.each([199, 200, 500])(
    'goes on or turns back, and never hangs, after a result of %i levels',
    async (depth) => {
      const nested = (): unknown => JSON.parse('['.repeat(depth) + ']'.repeat(depth));
      for (const result of [nested, () => ({ toJSON: nested })]) {
        const { runner, log } = setup();
        const shop = checkout(log, { hold: result });
        const sagas = await runner(shop);
        const ended = sagas.run(shop, { sku: 'a' });
        if (depth < 200) await expect(ended).resolves.toMatchObject({ ship: { by: 'ship' } });
        else await expect(ended).rejects.toThrow('nested deeper than 199 levels');
        expect(log[1]).toBe(depth < 200 ? 'tax' : 'undo hold undefined');
      }
    },
  );

  it('undoes a step whose error has a message that is no text', async () => {
    const { runner, log } = setup();
    const odd = (): never => {
      throw Object.assign(new Error(), { message: { code: 5n } });
    };
    const shop = checkout(log, { hold: odd });
    const sagas = await runner(shop);
    await expect(sagas.run(shop, { sku: 'a' })).rejects.toThrow('hold failed: [object Object]');
    expect(log).toEqual(['hold', 'undo hold undefined']);
  });
});
