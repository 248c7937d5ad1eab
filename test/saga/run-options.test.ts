import { describe, expect, it } from 'vitest';
import { InvalidOptionsError, TimeoutError } from '../../src/core/errors.ts';
import { timeout } from '../../src/resilience/timeout.ts';
import { saga } from '../../src/saga/saga.ts';
import type { StepContext } from '../../src/saga/saga-types.ts';
import { never, Order, setup } from './runner-stage.ts';

const input = { sku: 'a' };
const one = saga('one', { input: Order }).step('only', () => 1, { undo: 'nothing' });

describe('the options of a run', () => {
  it.each([
    [
      'a misspelt one',
      { idd: 'i' },
      'idd: got an unknown option; accepts one of id, signal, timeout, deadline',
    ],
    ['what only a context has, by itself', { key: 'i' }, 'key: got an unknown option'],
    ['null', null, 'options: got null; accepts an object'],
    ['a text', 'i', 'options: got "i"; accepts an object'],
    ['a signal that is none', { signal: {} }, 'signal: got an object; accepts an AbortSignal'],
    ['a signal that is null', { signal: null }, 'signal: got null; accepts an AbortSignal'],
    ['a timeout that is none', { timeout: 'soon' }, 'timeout: got "soon"'],
    ['a deadline that is none', { deadline: '1s' }, 'deadline: got "1s"'],
  ])('are refused when there is %s among them, and nothing is begun', async (_, options, message) => {
    const { runner, store } = setup();
    const sagas = await runner(one);
    const begin = (verb: string): Promise<unknown> =>
      verb === 'run' ? sagas.run(one, input, options as never) : sagas.begin(one, input, options as never);
    for (const verb of ['run', 'begin']) {
      const call = begin(verb);
      await expect(call).rejects.toBeInstanceOf(InvalidOptionsError);
      await expect(call).rejects.toThrow(message);
    }
    expect(await store.list({})).toEqual([]);
  });

  it('are refused to a cancel and a stop as well', async () => {
    const { runner } = setup();
    const sagas = await runner(one);
    const { id } = await sagas.begin(one, input);
    await expect(sagas.cancel(id, { reason: 'no', timeOut: '1s' } as never)).rejects.toThrow(
      'timeOut: got an unknown option; accepts one of reason, by, signal, timeout, deadline',
    );
    await expect(sagas.cancel(id, null as never)).rejects.toThrow('SagaRunner.cancel: options: got null');
    await expect(sagas.stop(null as never)).rejects.toThrow('SagaRunner.stop: options: got null');
    await expect(sagas.stop({ timeOut: 1 } as never)).rejects.toThrow(
      'timeOut: got an unknown option; accepts one of timeout',
    );
    expect(await sagas.run(one, input)).toEqual({ only: 1 });
    await sagas.stop({ timeout: undefined });
  });

  it('name the saga that is none', async () => {
    const sagas = await setup().runner(one);
    await expect(sagas.run(undefined as never, input)).rejects.toThrow('saga: got nothing; accepts a saga');
    await expect(sagas.begin({} as never, input)).rejects.toThrow('saga: got an object; accepts a saga');
  });

  it('may be the context of a step, whose signal and deadline then count', async () => {
    const { runner, runtime } = setup({ attemptTimeout: '10s', settleTimeout: '1m' });
    const slow = saga('slow', { input: Order }).step('only', () => never<void>(), { undo: 'nothing' });
    const limits: unknown[] = [];
    const outer = saga('outer', { input: Order }).step(
      'inner',
      async (context: StepContext<unknown, unknown>) => {
        expect(await sagas.run(one, input, context)).toEqual({ only: 1 });
        expect(await sagas.run(one, input, { ...context, id: context.key })).toEqual({ only: 1 });
        // A second before the step's own limit.
        const hurried = { ...context, deadline: context.deadline! - 1_000 };
        await sagas.run(slow, input, hurried).catch((error) => limits.push(error));
      },
      { undo: 'nothing' },
    );
    const sagas = await runner(one, slow, outer);
    await runtime.clock.settle(sagas.run(outer, input, { id: 'o' }));
    expect(limits).toEqual([expect.any(TimeoutError)]);
    expect(await sagas.get('o/inner/do')).toMatchObject({ status: 'completed' });
  });

  it('may be the context of a policy', async () => {
    const { runner, runtime } = setup();
    const slow = saga('slow', { input: Order }).step('only', () => never<void>(), { undo: 'nothing' });
    const sagas = await runner(one, slow);
    const limited = timeout('5s', { runtime });
    expect(await limited.run((context) => sagas.run(one, input, context))).toEqual({ only: 1 });
    const late = limited.run((context) => sagas.run(slow, input, context));
    await expect(runtime.clock.settle(late)).rejects.toBeInstanceOf(TimeoutError);
  });
});
