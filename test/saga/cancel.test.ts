import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  InvalidOptionsError,
  NotRunningError,
  SagaCompensatedError,
  TimeoutError,
  UnknownSagaError,
} from '../../src/core/errors.ts';
import type { SagaRunner } from '../../src/saga/runner.ts';
import { refuse, saga } from '../../src/saga/saga.ts';
import { deferred, fails, ScriptStage } from './script-stage.ts';

const Input = z.object({});
const reason = { reason: 'the customer changed her mind', by: 'ann' };

function order(stage: ScriptStage, options: { deadline?: number } = {}) {
  return saga('order', { input: Input, ...options })
    .step('hold', stage.do('hold'), stage.undo('hold'))
    .step('tax', stage.do('tax'), stage.undo('tax'))
    .pivot('pay', stage.do('pay'))
    .step('ship', stage.do('ship'));
}

/** Begin a saga of which one step is held up. */
async function heldUp(step: string, options: { deadline?: number } = {}) {
  const stage = new ScriptStage();
  const gate = deferred<unknown>();
  stage.script[step] = () => gate.promise;
  const shape = order(stage, options);
  const sagas = await stage.runner([shape]);
  const ended = sagas.run(shape, {}, { id: 's' });
  void ended.catch(() => {});
  await stage.runtime.clock.advance(0);
  return { stage, gate, shape, sagas, ended };
}

describe('a cancel', () => {
  it('before the pivot waits for the step under way, turns the saga back, and says so', async () => {
    const { stage, gate, sagas, ended } = await heldUp('hold');
    const cancelled = sagas.cancel('s', reason);
    await stage.runtime.clock.advance(5_000);
    expect(stage.log).toEqual(['hold']);
    gate.resolve(1);
    expect(await stage.settle(cancelled)).toEqual({ outcome: 'accepted' });
    await expect(ended).rejects.toThrow('cancelled before tax: the customer changed her mind (ann)');
    expect(stage.log).toEqual(['hold', 'undo hold']);
    expect(await sagas.cancel('s', reason)).toEqual({ outcome: 'accepted' });
    expect((await stage.record('s')).requests).toHaveLength(1);
  });

  it('that is not decided when its runner stops says so, and is honoured by the next one', async () => {
    const { stage, gate, shape, sagas } = await heldUp('hold');
    const cancelled = sagas.cancel('s', reason);
    const refused = expect(cancelled).rejects.toBeInstanceOf(NotRunningError);
    await stage.runtime.clock.advance(0);
    const stopped = sagas.stop();
    gate.resolve(1);
    await stage.settle(stopped);
    await stage.settle(refused);
    const next = await stage.runner([shape]);
    expect(await stage.settle(next.cancel('s', reason))).toEqual({ outcome: 'accepted' });
    expect((await stage.record('s')).requests).toHaveLength(1);
  });

  it('without options, or without a reason, is refused by the name of the field', async () => {
    const { sagas } = await heldUp('hold');
    for (const options of [undefined, null, {}] as never[]) {
      await expect(sagas.cancel('s', options)).rejects.toBeInstanceOf(InvalidOptionsError);
    }
    await expect(sagas.cancel('s', {} as never)).rejects.toThrow('reason: got nothing');
  });

  it('once the pivot is begun is too late when that is done, and when it is refused', async () => {
    const { stage, gate, sagas } = await heldUp('pay');
    const cancelled = sagas.cancel('s', reason);
    await stage.runtime.clock.advance(3_000);
    gate.resolve(1);
    expect((await stage.settle(cancelled)).outcome).toBe('tooLate');
    expect(await stage.steps('s')).toMatchObject({ pay: 'done', ship: 'done' });
    const other = await heldUp('pay');
    const late = other.sagas.cancel('s', reason);
    await other.stage.runtime.clock.advance(10);
    other.gate.resolve(Promise.reject(refusedError()));
    expect((await other.stage.settle(late)).outcome).toBe('tooLate');
    await expect(other.ended).rejects.toThrow('pay was refused');
  });

  it('of a saga that waits is honoured at once, also from a runner that does not know it', async () => {
    const stage = new ScriptStage();
    const shape = saga('order', { input: Input })
      .step('hold', stage.do('hold'), stage.undo('hold'))
      .waitFor('approval')
      .pivot('pay', stage.do('pay'));
    const sagas = await stage.runner([shape]);
    const stranger = await stage.runner([saga('other', { input: Input }).pivot('x', () => 1)]);
    await sagas.begin(shape, {}, { id: 's' });
    await stage.runtime.clock.advance(0);
    const cancelled = stranger.cancel('s', reason);
    expect(await stage.settle(cancelled)).toEqual({ outcome: 'accepted' });
    await stage.runtime.clock.advance(2_000);
    expect(stage.log).toEqual(['hold', 'undo hold']);
    expect(await stage.record('s')).toMatchObject({
      status: 'compensated',
      reason: 'cancelled before approval: the customer changed her mind (ann)',
    });
  });

  it('of a saga that ended, turned back before or is parked is too late, with its status', async () => {
    const stage = new ScriptStage();
    const shape = order(stage);
    const sagas = await stage.runner([shape], { retry: { attempts: 1 } });
    await sagas.run(shape, {}, { id: 'done' });
    stage.script.ship = fails();
    await expect(sagas.run(shape, {}, { id: 'parked' })).rejects.toThrow();
    stage.script.pay = () => refuse('no');
    await expect(sagas.run(shape, {}, { id: 'refused' })).rejects.toThrow();
    for (const [id, status] of [
      ['done', 'completed'],
      ['parked', 'parked'],
      ['refused', 'compensated'],
    ] as const) {
      expect(await sagas.cancel(id, reason)).toEqual({ outcome: 'tooLate', status });
      expect(await stage.record(id)).not.toHaveProperty('requests');
    }
    await expect(sagas.cancel('nobody', reason)).rejects.toBeInstanceOf(UnknownSagaError);
    await expect(sagas.cancel('done', { reason: '' })).rejects.toThrow('SagaRunner.cancel: reason');
  });

  it('answered too late while the saga was parked is not honoured after a repair', async () => {
    const stage = new ScriptStage();
    const gate = deferred<unknown>();
    stage.script.hold = () => gate.promise;
    const shape = order(stage);
    const sagas = await stage.runner([shape], { settleTimeout: 10, attemptTimeout: 100 });
    await sagas.begin(shape, {}, { id: 's' });
    await stage.runtime.clock.advance(50);
    const cancelled = sagas.cancel('s', reason);
    await stage.runtime.clock.advance(1_000);
    expect(await cancelled).toEqual({ outcome: 'tooLate', status: 'parked' });
    stage.script.hold = () => 1;
    await sagas.retry('s', { by: 'ann', reason: 'its process is gone' });
    await stage.runtime.clock.advance(1_000);
    expect(await stage.record('s')).toMatchObject({ status: 'completed' });
  });

  it('that came while a parked saga was being repaired is not honoured either', async () => {
    const stage = new ScriptStage();
    stage.script.pay = fails();
    const shape = saga('order', { input: Input })
      .step('hold', stage.do('hold'), stage.undo('hold'))
      .step('check', () => 1, { undo: 'nothing', when: () => stage.act('when') === true })
      .pivot('pay', stage.do('pay'));
    stage.script.when = fails('odd');
    const sagas = await stage.runner([shape]);
    await expect(sagas.run(shape, {}, { id: 's' })).rejects.toThrow('odd');
    delete stage.script.pay;
    stage.script.when = () => true;
    stage.hooks.update = async ({ status }) => {
      stage.hooks.update = () => {};
      if (status !== 'running') return;
      await stage.inner.request('s', { id: 'c', type: 'cancel', reason: 'x', at: 0 });
    };
    await sagas.retry('s', { by: 'ann', reason: 'again' });
    await stage.runtime.clock.advance(1_000);
    expect(await stage.record('s')).toMatchObject({ status: 'completed', repairs: [{ requests: 1 }] });
  });

  it('gives up waiting when told to, and stays asked for', async () => {
    const { stage, gate, sagas, ended } = await heldUp('hold');
    const cancelled = sagas.cancel('s', { ...reason, timeout: '1s' });
    void cancelled.catch(() => {});
    await stage.runtime.clock.advance(1_000);
    await expect(cancelled).rejects.toBeInstanceOf(TimeoutError);
    gate.resolve(1);
    await expect(stage.settle(ended)).rejects.toBeInstanceOf(SagaCompensatedError);
  });

  it('undoes a step that a dead worker may have begun, and never a pivot that it may have begun', async () => {
    const stage = new ScriptStage();
    const shape = order(stage);
    const at = stage.runtime.clock.wallTime();
    const hold = { name: 'hold', status: 'done', output: 1, at } as const;
    const tax = { name: 'tax', status: 'done', output: 2, at } as const;
    await stage.abandon(shape, { id: 'at-tax', steps: [hold] });
    await stage.abandon(shape, { id: 'at-pay', steps: [hold, tax] });
    for (const id of ['at-tax', 'at-pay']) {
      await stage.inner.request(id, { id: 'c', type: 'cancel', reason: 'stop', at });
    }
    const sagas = await stage.runner([shape]);
    await stage.runtime.clock.advance(5_000);
    expect(await stage.steps('at-tax')).toEqual({ hold: 'undone', tax: 'undone' });
    expect(await sagas.cancel('at-tax', reason)).toEqual({ outcome: 'accepted' });
    expect(await stage.record('at-pay')).toMatchObject({ status: 'completed' });
    expect(await sagas.cancel('at-pay', reason)).toEqual({ outcome: 'tooLate', status: 'completed' });
  });
});

function refusedError(): unknown {
  try {
    return refuse('no');
  } catch (error) {
    return error;
  }
}

describe('a cancel that races the pivot and the end, in any order of events', () => {
  it('has exactly one truthful answer, for everybody who asks and for ever', async () => {
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(12), { minLength: 4, maxLength: 4 }),
        fc.array(fc.nat(12), { minLength: 5, maxLength: 5 }),
        fc.array(fc.nat(45), { minLength: 1, maxLength: 3 }),
        fc.boolean(),
        async (steps, writes, cancels, waits) => {
          const stage = new ScriptStage();
          const { clock } = stage.runtime;
          const pass = (time: number): Promise<void> =>
            new Promise((resolve) => clock.schedule(time, resolve));
          for (const [index, name] of ['hold', 'tax', 'pay', 'ship'].entries()) {
            stage.script[name] = () => pass(steps[index]!);
          }
          let update = 0;
          stage.hooks.update = () => pass(writes[update++ % writes.length]!);
          const shape = waits
            ? saga('order', { input: Input })
                .step('hold', stage.do('hold'), stage.undo('hold'))
                .delay('think', steps[1]!)
                .pivot('pay', stage.do('pay'))
                .step('ship', stage.do('ship'))
            : order(stage);
          const sagas = await stage.runner([shape], { pollInterval: 7 });
          await sagas.begin(shape, {}, { id: 's' });
          const answers = cancels.map(async (time) => {
            await pass(time);
            return sagas.cancel('s', reason);
          });
          await clock.advance(2_000);
          const all = await Promise.all(answers);
          const { status } = await stage.record('s');
          const turned = status === 'compensated';
          expect(status).toBe(turned ? 'compensated' : 'completed');
          expect(new Set(all.map(({ outcome }) => outcome))).toEqual(
            new Set([turned ? 'accepted' : 'tooLate']),
          );
          expect(stage.log.includes('pay')).toBe(!turned);
          if (turned) accepted += 1;
          const again = await sagas.cancel('s', reason);
          expect(again.outcome).toBe(turned ? 'accepted' : 'tooLate');
          await sagas.stop();
        },
      ),
      { numRuns: 300 },
    );
    // Both answers were seen.
    expect(accepted).toBeGreaterThan(20);
    expect(accepted).toBeLessThan(280);
  });
});

describe('a deadline', () => {
  it('turns the saga back at the next step, bounds an attempt before the pivot, and not the undo', async () => {
    const { stage, gate, sagas, ended } = await heldUp('tax', { deadline: 1_000 });
    stage.runtime.clock.schedule(1_001, () => gate.reject(new Error('aborted')));
    stage.script['undo hold'] = () =>
      new Promise<void>((resolve) => stage.runtime.clock.schedule(30_000, resolve));
    await stage.runtime.clock.advance(1_000);
    await expect(stage.settle(ended)).rejects.toThrow('tax failed');
    expect(stage.log).toEqual(['hold', 'tax', 'undo tax', 'undo hold']);
    expect(sagas.size).toBe(0);
  });

  it('that passes between two steps turns the saga back before the next', async () => {
    const { stage, gate, ended } = await heldUp('hold', { deadline: 1_000 });
    gate.resolve(new Promise<void>((resolve) => stage.runtime.clock.schedule(999.5, resolve)));
    stage.hooks.update = () => new Promise<void>((resolve) => stage.runtime.clock.schedule(1, resolve));
    await expect(stage.settle(ended)).rejects.toThrow(
      'tax was refused: timeout: the deadline of the saga has passed',
    );
    expect(stage.log).toEqual(['hold', 'undo hold']);
  });

  it('ends a wait, is ignored once the pivot was begun, and outlives a crash', async () => {
    const stage = new ScriptStage();
    const shape = saga('order', { input: Input, deadline: '10s' })
      .step('hold', stage.do('hold'), stage.undo('hold'))
      .waitFor('approval', { timeout: '1h' })
      .pivot('pay', stage.do('pay'))
      .delay('pause', '1m')
      .step('ship', stage.do('ship'));
    const sagas: SagaRunner = await stage.runner([shape]);
    await sagas.begin(shape, {}, { id: 'late' });
    await sagas.begin(shape, {}, { id: 'good' });
    await stage.runtime.clock.advance(9_000);
    expect(await stage.record('late')).toMatchObject({
      status: 'waiting',
      wakeAt: (await stage.record('late')).deadline,
    });
    await sagas.signal('good', 'approval');
    await sagas.stop();
    await stage.runner([shape]);
    await stage.runtime.clock.advance(120_000);
    expect(await stage.record('late')).toMatchObject({
      status: 'compensated',
      reason: 'approval was refused: timeout: the deadline of the saga has passed',
    });
    expect(await stage.record('good')).toMatchObject({ status: 'completed' });
  });
});
