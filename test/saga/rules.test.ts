/**
 * The rules of the engine by number, one test each; other files look closer. Rule 9, what a participant does with a call
 * that comes twice, late or never, is the barriers': test/conformance/*-saga-barrier.test.ts.
 */
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { SagaConflictError, SagaParkedError } from '../../src/core/errors.ts';
import type { SagaRecord } from '../../src/ports/saga-store.ts';
import { retry } from '../../src/resilience/retry.ts';
import { refuse, saga } from '../../src/saga/saga.ts';
import { deferred, fails, ScriptStage } from './script-stage.ts';

const Input = z.object({ n: z.number().default(0) });

function order(stage: ScriptStage) {
  return saga('order', { input: Input })
    .step('hold', stage.do('hold'), stage.undo('hold'))
    .step('tax', stage.do('tax'), stage.undo('tax'))
    .pivot('pay', stage.do('pay'))
    .step('ship', stage.do('ship'));
}

const done = (...names: readonly string[]): SagaRecord['steps'] =>
  names.map((name) => ({ name, status: 'done', output: name, at: 0 }));

describe('the rules', () => {
  it('1: a saga that has ended never leaves its end', async () => {
    const stage = new ScriptStage();
    const shape = order(stage);
    const sagas = await stage.runner([shape]);
    await sagas.run(shape, {}, { id: 's' });
    const ended = await stage.record('s');
    await sagas.cancel('s', { reason: 'late' });
    await expect(sagas.retry('s', { by: 'ann', reason: 'again' })).rejects.toThrow('it is completed');
    await stage.runtime.clock.advance(100_000);
    expect(await sagas.run(shape, {}, { id: 's' })).toMatchObject({ ship: 'ship' });
    expect(await stage.record('s')).toEqual(ended);
    expect(stage.log).toEqual(['hold', 'tax', 'pay', 'ship']);
  });

  it('2: refused is only what says so, with no attempt in doubt before it; all else is doubt', async () => {
    for (const [outcomes, status] of [
      [[() => refuse('no')], 'refused'],
      [[fails('reset'), () => refuse('no')], 'undone'],
      [[fails('reset'), () => refuse('no', { conclusive: true })], 'refused'],
      [[fails('reset'), fails('reset')], 'undone'],
    ] as const) {
      const stage = new ScriptStage();
      const calls = [...outcomes];
      stage.script.hold = () => calls.shift()?.();
      const policy = retry({ attempts: outcomes.length, runtime: stage.runtime });
      const shape = saga('order', { input: Input }).step('hold', stage.do('hold'), {
        ...stage.undo('hold'),
        policy,
      });
      const sagas = await stage.runner([shape]);
      await expect(stage.settle(sagas.run(shape, {}, { id: 's' }))).rejects.toThrow('hold');
      expect((await stage.steps('s')).hold).toBe(status);
    }
  });

  it('3: what was done and what is in doubt is undone, with what is known of it', async () => {
    const stage = new ScriptStage();
    const seen: unknown[] = [];
    const shape = saga('order', { input: Input })
      .step('hold', () => ({ shelf: 7 }), {
        undo: ({ input, result, error, key, forwardKey }) =>
          void seen.push({ input, result, error, key, forwardKey }),
      })
      .step('tax', fails('reset'), { undo: ({ result }) => void seen.push(result) });
    const sagas = await stage.runner([shape]);
    await expect(sagas.run(shape, { n: 5 }, { id: 's' })).rejects.toThrow();
    expect(seen).toEqual([
      undefined,
      {
        input: { n: 5 },
        result: { shelf: 7 },
        error: 'tax failed: reset',
        key: 's/hold/undo',
        forwardKey: 's/hold/do',
      },
    ]);
  });

  it('4: it is written down before its first effect, and after a crash what comes next is in doubt', async () => {
    const stage = new ScriptStage();
    const shape = order(stage);
    stage.script.hold = () => stage.writes.length;
    const sagas = await stage.runner([shape]);
    expect(await sagas.run(shape, {})).toMatchObject({ hold: 1 });
    stage.script.tax = () => refuse('no');
    await stage.abandon(shape, { id: 's', steps: done('hold') });
    await stage.runtime.clock.advance(5_000);
    expect(await stage.steps('s')).toEqual({ hold: 'undone', tax: 'undone' });
  });

  it('5: an outcome and what follows are one write; that it turns back is written before the first undo', async () => {
    const stage = new ScriptStage();
    const shape = order(stage);
    stage.script.pay = () => refuse('no');
    const statuses: string[] = [];
    stage.script['undo tax'] = async () => void statuses.push((await stage.record('s')).status);
    const sagas = await stage.runner([shape]);
    await expect(sagas.run(shape, {}, { id: 's' })).rejects.toThrow('pay was refused');
    expect(statuses).toEqual(['compensating']);
    // hold, tax, pay, undo tax, undo hold
    expect(stage.writes).toEqual([
      'create',
      'running',
      'running',
      'compensating',
      'compensating',
      'compensated',
    ]);
  });

  it.each([
    ['before an outcome', { steps: done('hold') }, ['tax', 'pay', 'ship']],
    ['after an outcome', { steps: done('hold', 'tax') }, ['pay', 'ship']],
    ['behind the pivot', { steps: done('hold', 'tax', 'pay') }, ['ship']],
    [
      'in the middle of undoing',
      {
        status: 'compensating',
        reason: 'pay was refused: no',
        steps: [
          ...done('hold'),
          { name: 'tax', status: 'undone', output: 1, at: 0 },
          { name: 'pay', status: 'refused', error: 'no', at: 0 },
        ],
      },
      ['undo hold'],
    ],
    [
      'after the last undo',
      {
        status: 'compensating',
        reason: 'hold was refused: no',
        steps: [{ name: 'hold', status: 'refused', error: 'no', at: 0 }],
      },
      [],
    ],
  ] as const)('6: a crash %s is made good, in the same direction', async (_, record, log) => {
    const stage = new ScriptStage();
    await stage.abandon(order(stage), { id: 's', ...(record as Partial<SagaRecord>) });
    await stage.runner([order(stage)]);
    await stage.runtime.clock.advance(5_000);
    expect(stage.log).toEqual(log);
    const back = 'status' in record;
    expect((await stage.record('s')).status).toBe(back ? 'compensated' : 'completed');
  });

  it('7: a key names saga, step and direction, whatever the attempt, and an id means one input', async () => {
    const stage = new ScriptStage();
    const keys: string[] = [];
    let tries = 0;
    stage.script.ship = (key) => {
      keys.push(key);
      tries += 1;
      return tries < 3 ? fails()() : 1;
    };
    const shape = order(stage);
    const sagas = await stage.runner([shape]);
    await stage.settle(sagas.run(shape, { n: 1 }, { id: 's' }));
    expect(new Set(keys)).toEqual(new Set(['s/ship/do']));
    await expect(sagas.begin(shape, { n: 2 }, { id: 's' })).rejects.toBeInstanceOf(SagaConflictError);
    expect(await sagas.begin(shape, { n: 1 }, { id: 's' })).toEqual({ id: 's', created: false });
  });

  it('8: nothing is undone before an attempt that was given up has ended', async () => {
    const stage = new ScriptStage();
    const gate = deferred();
    stage.script.hold = () => gate.promise;
    const shape = order(stage);
    const sagas = await stage.runner([shape], { attemptTimeout: 100 });
    const ended = sagas.run(shape, {});
    void ended.catch(() => {});
    await stage.runtime.clock.advance(5_000);
    expect(stage.log).toEqual(['hold']);
    gate.resolve();
    await expect(stage.settle(ended)).rejects.toThrow('hold failed');
    expect(stage.log).toEqual(['hold', 'undo hold']);
  });

  it('10: a worker whose saga was claimed by another writes nothing more and aborts its attempt', async () => {
    const stage = new ScriptStage();
    const aborted: string[] = [];
    const gate = deferred();
    const shape = saga('order', { input: Input }).pivot('pay', async ({ signal }) => {
      signal.addEventListener('abort', () => aborted.push('pay'));
      await gate.promise;
      return stage.log.push('pay');
    });
    const first = await stage.runner([shape], { lease: 900 });
    const frozen = (owner: string): unknown => (owner === 'id-1' ? new Promise(() => {}) : undefined);
    stage.hooks.heartbeat = ({ owner }) => frozen(owner);
    stage.hooks.claim = (_, { owner }) => frozen(owner);
    const lost: string[] = [];
    first.on('lost', ({ id }) => lost.push(id));
    await first.begin(shape, {}, { id: 's' });
    const second = await stage.runner([shape], { lease: 900 });
    await stage.runtime.clock.advance(10_000);
    expect(aborted).toContain('pay');
    const { epoch } = await stage.record('s');
    expect(epoch).toBe(2);
    gate.resolve();
    await stage.runtime.clock.advance(1_000);
    expect(lost).toEqual(['s']);
    expect(await stage.record('s')).toMatchObject({ status: 'completed', epoch: 2, version: 1 });
    await second.stop();
  });

  it('11: it is undone in the reverse of its order', async () => {
    const stage = new ScriptStage();
    const shape = order(stage);
    stage.script.pay = () => refuse('no');
    const sagas = await stage.runner([shape]);
    await expect(sagas.run(shape, {})).rejects.toThrow();
    expect(stage.log).toEqual(['hold', 'tax', 'pay', 'undo tax', 'undo hold']);
  });

  it('12: an undo that fails is repeated, then parks its saga alone, and keeps the first cause', async () => {
    const stage = new ScriptStage();
    const shape = order(stage);
    stage.script.pay = (key) => (key.startsWith('bad') ? refuse('declined') : 1);
    stage.script['undo tax'] = fails('away');
    const sagas = await stage.runner([shape], { retry: { attempts: 3 } });
    await expect(stage.settle(sagas.run(shape, {}, { id: 'bad' }))).rejects.toBeInstanceOf(SagaParkedError);
    expect(stage.log.filter((l) => l === 'undo tax')).toHaveLength(3);
    expect(stage.log).not.toContain('undo hold');
    expect((await stage.record('bad')).reason).toContain('pay was refused: declined');
    expect(await sagas.run(shape, {}, { id: 'good' })).toMatchObject({ ship: 'ship' });
    delete stage.script['undo tax'];
    await sagas.retry('bad', { by: 'ann', reason: 'it is back' });
    await expect(stage.settle(sagas.run(shape, {}, { id: 'bad' }))).rejects.toThrow(
      'pay was refused: declined',
    );
    expect((await stage.record('bad')).repairs).toMatchObject([{ action: 'retry', by: 'ann' }]);
  });

  it('13: what cannot be got any further with is parked, and what has made progress is not', async () => {
    const stage = new ScriptStage();
    const shape = order(stage);
    await stage.abandon(shape, { id: 's', steps: done('hold') });
    const definitions = [{ saga: 'order', hash: shape.hash }];
    const request = { definitions, limitEach: 9, holding: [], maxClaims: 3 };
    for (let life = 0; life < 3; life += 1) {
      const owner = `life ${life}`;
      expect(await stage.inner.claim(request, { owner, ttl: 1_000 })).toMatchObject([{ status: 'running' }]);
      await stage.inner.release(owner);
    }
    const sagas = await stage.runner([shape], { maxClaims: 3 });
    await stage.runtime.clock.advance(5_000);
    expect(await stage.record('s')).toMatchObject({
      status: 'parked',
      reason: expect.stringContaining('3 times'),
    });
    expect(stage.log).toEqual([]);
    await sagas.retry('s', { by: 'ann', reason: 'mended' });
    await stage.runtime.clock.advance(1_000);
    expect(await stage.record('s')).toMatchObject({ status: 'completed', claims: 0 });
  });

  it('14: a record runs on the definition that it began with, and is left alone by others', async () => {
    const stage = new ScriptStage();
    const old = order(stage);
    const next = old.step('mail', stage.do('mail'));
    await stage.abandon(old, { id: 's', steps: done('hold') });
    await stage.runner([next]);
    await stage.runtime.clock.advance(10_000);
    expect(stage.log).toEqual([]);
    await stage.runner([next, old]);
    await stage.runtime.clock.advance(5_000);
    expect(stage.log).toEqual(['tax', 'pay', 'ship']);
  });

  it('15: a cancel has one answer, and undoes before the pivot only', async () => {
    const stage = new ScriptStage();
    const gates = { early: deferred(), late: deferred() };
    stage.script.hold = (key) => (key.startsWith('early') ? gates.early.promise : 1);
    stage.script.pay = () => gates.late.promise;
    const shape = order(stage);
    const sagas = await stage.runner([shape]);
    await sagas.begin(shape, {}, { id: 'early' });
    await sagas.begin(shape, {}, { id: 'late' });
    await stage.runtime.clock.advance(0);
    const answers = ['early', 'late'].map((id) => sagas.cancel(id, { reason: 'x' }));
    await stage.runtime.clock.advance(100);
    for (const gate of Object.values(gates)) gate.resolve();
    await stage.runtime.clock.advance(5_000);
    expect((await Promise.all(answers)).map(({ outcome }) => outcome)).toEqual(['accepted', 'tooLate']);
    expect(await stage.record('early')).toMatchObject({ status: 'compensated' });
    expect(await stage.record('late')).toMatchObject({ status: 'completed' });
  });

  it('16: signals wait for their waiter, count once, and times are absolute', async () => {
    const stage = new ScriptStage();
    const shape = saga('order', { input: Input })
      .delay('d', '10s')
      .waitFor('go')
      .pivot('pay', stage.do('pay'));
    const first = await stage.runner([shape]);
    await first.begin(shape, {}, { id: 's' });
    await first.signal('s', 'go', 1, { id: 'x' });
    await first.signal('s', 'go', 2, { id: 'x' });
    await stage.runtime.clock.advance(6_000);
    await first.stop();
    await stage.runner([shape]);
    await stage.runtime.clock.advance(3_999);
    expect(stage.log).toEqual([]);
    await stage.runtime.clock.advance(1_001);
    expect(stage.log).toEqual(['pay']);
    expect((await stage.record('s')).requests).toHaveLength(1);
  });

  it('17: a semantic lock keeps others off what a saga works on, and is given back either way', async () => {
    const stage = new ScriptStage();
    const seats = new Map<string, string>();
    const shape = saga('order', { input: Input })
      .step(
        'lock',
        ({ sagaId }) => {
          if (seats.has('1A')) refuse('somebody is about to buy it');
          seats.set('1A', sagaId);
        },
        { undo: ({ sagaId }) => void (seats.get('1A') === sagaId && seats.delete('1A')) },
      )
      .pivot('pay', stage.do('pay'))
      .step('unlock', () => void seats.delete('1A'));
    const gate = deferred();
    stage.script.pay = () => gate.promise;
    const sagas = await stage.runner([shape]);
    const first = sagas.run(shape, {}, { id: 'first' });
    await stage.runtime.clock.advance(0);
    await expect(sagas.run(shape, {}, { id: 'second' })).rejects.toThrow('about to buy it');
    expect(seats.get('1A')).toBe('first');
    gate.resolve();
    await first;
    expect(seats.size).toBe(0);
  });
});
