import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { SagaCompensatedError, SagaParkedError } from '../../src/core/errors.ts';
import { type CallContext, type Policy, wrapWith } from '../../src/core/policy.ts';
import { retry } from '../../src/resilience/retry.ts';
import { refuse, saga } from '../../src/saga/saga.ts';
import type { CallOptions } from '../../src/saga/saga-types.ts';
import { fails, ScriptStage } from './script-stage.ts';

const Input = z.object({});
type Any = CallOptions<unknown, unknown, unknown>;

/** A policy that tries so often, whatever the error says. */
function stubborn(attempts: number): Policy {
  const policy: Policy = {
    async run(work, options) {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await work(options as CallContext);
        } catch (error) {
          if (attempt >= attempts) throw error;
        }
      }
    },
    wrap: (work) => wrapWith(policy, work),
  };
  return policy;
}

/** hold, then a pivot, then mail; one of them is done once. */
function shapeOf(stage: ScriptStage, which: string, options: Any = {}) {
  const once = (name: string): Any => (name === which ? { ...options, once: true } : {});
  return saga('order', { input: Input })
    .step('first', stage.do('first'), stage.undo('first'))
    .step('hold', stage.do('hold'), { ...stage.undo('hold'), ...(once('hold') as object) })
    .pivot('pay', stage.do('pay'), once('pay') as object)
    .step('mail', stage.do('mail'), once('mail') as object);
}

describe('a step that is done once', () => {
  it('costs one write more, before its attempt', async () => {
    const stage = new ScriptStage();
    const shape = shapeOf(stage, 'hold');
    const sagas = await stage.runner([shape]);
    stage.script.hold = () => stage.writes.length;
    expect(await sagas.run(shape, {})).toMatchObject({ hold: 3 });
    expect(stage.writes).toHaveLength(6);
  });

  it.each([
    ['hold', 'compensated', ['first', 'hold', 'undo hold', 'undo first']],
    ['pay', 'parked', ['first', 'hold', 'pay']],
    ['mail', 'parked', ['first', 'hold', 'pay', 'mail']],
  ])('is never tried again in doubt, whatever the policy: %s → %s', async (which, status, log) => {
    for (const kind of ['retry', 'stubborn']) {
      const stage = new ScriptStage();
      const policy = kind === 'retry' ? retry({ attempts: 5, runtime: stage.runtime }) : stubborn(5);
      const shape = shapeOf(stage, which, { policy });
      stage.script[which] = fails('the connection was reset');
      const sagas = await stage.runner([shape]);
      const ended = stage.settle(sagas.run(shape, {}, { id: 's' }));
      await expect(ended).rejects.toThrow('the connection was reset');
      expect(await stage.record('s')).toMatchObject({ status });
      expect(stage.log).toEqual(log);
    }
  });

  it('is tried again after a refusal, as its policy says', async () => {
    const stage = new ScriptStage();
    let tries = 0;
    stage.script.hold = () => {
      tries += 1;
      return tries < 3 ? refuse('busy') : 'held';
    };
    const policy = stubborn(5);
    const shape = shapeOf(stage, 'hold', { policy });
    const sagas = await stage.runner([shape]);
    expect(await stage.settle(sagas.run(shape, {}))).toMatchObject({ hold: 'held' });
  });

  it.each([
    ['hold', 'compensated', ['undo hold', 'undo first']],
    ['pay', 'parked', []],
    ['mail', 'parked', []],
  ])('that was begun when its process died is not called again: %s → %s', async (which, status, log) => {
    const stage = new ScriptStage();
    const shape = shapeOf(stage, which);
    const names = ['first', 'hold', 'pay', 'mail'];
    const before = names.slice(0, names.indexOf(which));
    const at = 0;
    const steps = [
      ...before.map((name) => ({ name, status: 'done', output: name, at }) as const),
      { name: which, status: 'begun', at } as const,
    ];
    await stage.abandon(shape, { id: 's', steps });
    await stage.runner([shape]);
    await stage.runtime.clock.advance(60_000);
    expect(await stage.record('s')).toMatchObject({ status });
    expect(stage.log).toEqual(log);
  });

  it('that was not begun when its process died is not in doubt', async () => {
    const stage = new ScriptStage();
    const shape = shapeOf(stage, 'hold');
    await stage.abandon(shape, { id: 's', steps: [{ name: 'first', status: 'done', output: 1, at: 0 }] });
    stage.script.hold = () => refuse('no');
    await stage.runner([shape]);
    await stage.runtime.clock.advance(10_000);
    expect(await stage.steps('s')).toEqual({ first: 'undone', hold: 'refused' });
  });

  it('is asked after a doubt, until it answers: it happened', async () => {
    const stage = new ScriptStage();
    const answers = [new Error('away'), { odd: true }, { happened: true, result: 'receipt' }];
    const asked: string[] = [];
    const query = ({ key }: { readonly key: string }): never => {
      asked.push(key);
      const answer = answers.shift();
      if (answer instanceof Error) throw answer;
      return answer as never;
    };
    const shape = shapeOf(stage, 'pay', { query });
    stage.script.pay = fails('reset');
    const sagas = await stage.runner([shape]);
    expect(await stage.settle(sagas.run(shape, {}, { id: 's' }))).toMatchObject({
      pay: 'receipt',
      mail: 'mail',
    });
    expect(asked).toEqual(['s/pay/do', 's/pay/do', 's/pay/do']);
    expect(stage.log).toEqual(['first', 'hold', 'pay', 'mail']);
  });

  it('is asked after a doubt: it did not happen, so it may be tried again, or was refused', async () => {
    const query = (): { happened: false } => ({ happened: false });
    const stage = new ScriptStage();
    const shape = shapeOf(stage, 'pay', { query });
    let tries = 0;
    stage.script.pay = () => {
      tries += 1;
      return tries < 3 ? fails('reset')() : 'paid';
    };
    const sagas = await stage.runner([shape]);
    expect(await stage.settle(sagas.run(shape, {}))).toMatchObject({ pay: 'paid' });
    const other = new ScriptStage();
    const hold = shapeOf(other, 'hold', { query });
    other.script.hold = fails('reset');
    const more = await other.runner([hold]);
    await expect(other.settle(more.run(hold, {}, { id: 's' }))).rejects.toBeInstanceOf(SagaCompensatedError);
    expect(await other.steps('s')).toEqual({ first: 'undone', hold: 'refused' });
    await other.abandon(hold, {
      id: 't',
      steps: [
        { name: 'first', status: 'done', output: 1, at: 0 },
        { name: 'hold', status: 'begun', at: 0 },
      ],
    });
    delete other.script.hold;
    other.log.length = 0;
    await other.runtime.clock.advance(5_000);
    expect(other.log).toEqual(['hold', 'pay', 'mail']);
  });

  it('that never answers is given up and parked, before the pivot undone', async () => {
    for (const [which, kind] of [
      ['pay', SagaParkedError],
      ['hold', SagaCompensatedError],
    ] as const) {
      const stage = new ScriptStage();
      const shape = shapeOf(stage, which, { query: fails('away') });
      stage.script[which] = fails('reset');
      const sagas = await stage.runner([shape], { retry: { attempts: 3 } });
      await expect(stage.settle(sagas.run(shape, {}))).rejects.toBeInstanceOf(kind);
      expect(stage.log.filter((l) => l === which)).toHaveLength(1);
    }
  });

  it('that parked is tried again when a person says so', async () => {
    const stage = new ScriptStage();
    const shape = shapeOf(stage, 'pay');
    stage.script.pay = fails('reset');
    const sagas = await stage.runner([shape]);
    await expect(sagas.run(shape, {}, { id: 's' })).rejects.toBeInstanceOf(SagaParkedError);
    delete stage.script.pay;
    await sagas.retry('s', { by: 'ann', reason: 'I looked: it did not happen' });
    expect(await stage.settle(sagas.run(shape, {}, { id: 's' }))).toMatchObject({ pay: 'pay' });
  });
});

describe('a lazy saga', () => {
  const lazy = (stage: ScriptStage) =>
    saga('order', { input: Input, durability: 'lazy' })
      .step('a', stage.do('a'), stage.undo('a'))
      .step('b', stage.do('b'), stage.undo('b'))
      .pivot('pay', stage.do('pay'))
      .step('ship', stage.do('ship'));

  it('costs two writes when it goes well, and writes a turn down at once', async () => {
    const stage = new ScriptStage();
    const told: string[] = [];
    const shape = lazy(stage);
    const sagas = await stage.runner([shape]);
    sagas.on('stepDone', ({ step }) => told.push(`${step} after ${stage.writes.length}`));
    expect(await sagas.run(shape, {})).toMatchObject({ a: 'a', ship: 'ship' });
    expect(stage.writes).toEqual(['create', 'completed']);
    expect(told).toEqual(['a after 2', 'b after 2', 'pay after 2', 'ship after 2']);
    stage.writes.length = 0;
    stage.script.pay = () => refuse('no');
    await expect(sagas.run(shape, {})).rejects.toThrow('pay was refused');
    expect(stage.writes).toEqual(['create', 'compensating', 'compensating', 'compensated']);
  });

  it('that is left when its runner stops goes on where it was', async () => {
    const stage = new ScriptStage();
    const shape = lazy(stage);
    let stopped: Promise<void> | undefined;
    const first = await stage.runner([shape]);
    stage.script.b = () => {
      stopped = first.stop();
    };
    await first.begin(shape, {}, { id: 's' });
    await stage.runtime.clock.advance(0);
    await stopped;
    expect(await stage.steps('s')).toEqual({ a: 'done', b: 'done' });
    await stage.runner([shape]);
    await stage.runtime.clock.advance(0);
    expect(stage.log).toEqual(['a', 'b', 'pay', 'ship']);
  });

  it('after a crash does all of it again, and does not turn back while a step is in doubt', async () => {
    const stage = new ScriptStage();
    const shape = lazy(stage);
    // Somebody did all of it, also the pivot, and did not live to write anything down.
    await stage.abandon(shape, { id: 's', steps: [] });
    let tries = 0;
    stage.script.a = () => {
      tries += 1;
      return tries < 4 ? fails('away')() : 'a';
    };
    await stage.runner([shape]);
    await stage.runtime.clock.advance(60_000);
    expect(await stage.record('s')).toMatchObject({ status: 'completed' });
    expect(stage.log).toEqual(['a', 'a', 'a', 'a', 'b', 'pay', 'ship']);
  });

  it('after a crash turns back when a step certainly never happened, and parks when that stays unknown', async () => {
    const stage = new ScriptStage();
    const shape = lazy(stage);
    for (const id of ['s', 't']) await stage.abandon(shape, { id, steps: [] });
    stage.script.b = (key) => refuse('no', { conclusive: key.startsWith('s') });
    await stage.runner([shape], { retry: { attempts: 3 } });
    await stage.runtime.clock.advance(60_000);
    expect(await stage.steps('s')).toEqual({ a: 'undone', b: 'refused' });
    expect(await stage.record('t')).toMatchObject({ status: 'parked', parkedAt: { step: 'b' } });
    expect(stage.log).not.toContain('undo b');
  });

  it('is not turned back by a cancel when nobody knows how far it went', async () => {
    const stage = new ScriptStage();
    const shape = lazy(stage);
    await stage.abandon(shape, { id: 's', steps: [] });
    await stage.inner.request('s', { id: 'c', type: 'cancel', reason: 'x', at: 0 });
    const sagas = await stage.runner([shape]);
    await stage.runtime.clock.advance(5_000);
    expect(await sagas.cancel('s', { reason: 'x' })).toEqual({ outcome: 'tooLate', status: 'completed' });
  });

  it('hears of a cancel at its next step while it runs', async () => {
    const stage = new ScriptStage();
    const shape = lazy(stage);
    const sagas = await stage.runner([shape]);
    stage.script.a = () => new Promise<void>((resolve) => stage.runtime.clock.schedule(100, resolve));
    const ended = sagas.run(shape, {}, { id: 's' });
    void ended.catch(() => {});
    await stage.runtime.clock.advance(50);
    expect(await stage.settle(sagas.cancel('s', { reason: 'x' }))).toEqual({ outcome: 'accepted' });
    await expect(stage.settle(ended)).rejects.toThrow('cancelled before b: x');
  });

  it('whose results the store will never take is parked, and does not hang', async () => {
    const stage = new ScriptStage();
    const shape = lazy(stage);
    const { InvalidPayloadError } = await import('../../src/core/errors.ts');
    stage.hooks.update = ({ steps }) => {
      if (steps.some((s) => s.output === 'odd')) throw new InvalidPayloadError('saga s', 'half a character');
    };
    stage.script.a = () => 'odd';
    const sagas = await stage.runner([shape]);
    await expect(stage.settle(sagas.run(shape, {}))).rejects.toThrow(
      'the store does not take what its steps returned',
    );
  });
});
