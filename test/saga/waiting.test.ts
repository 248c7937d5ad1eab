import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { InvalidOptionsError, InvalidPayloadError, UnknownSagaError } from '../../src/core/errors.ts';
import type { SagaRunner } from '../../src/saga/runner.ts';
import { saga } from '../../src/saga/saga.ts';
import { ScriptStage } from './script-stage.ts';

const Input = z.object({});
const hour = 3_600_000;

describe('a delay', () => {
  it('is written down as an absolute time, held by nobody, and ends to the millisecond', async () => {
    const stage = new ScriptStage();
    const { clock } = stage.runtime;
    const shape = saga('order', { input: Input })
      .step('hold', stage.do('hold'), stage.undo('hold'))
      .delay('cool-off', '24h')
      .pivot('pay', stage.do('pay'));
    const sagas = await stage.runner([shape], { pollInterval: '1h' });
    const start = clock.wallTime();
    const ended = sagas.run(shape, {}, { id: 's' });
    await clock.advance(0);
    expect(await stage.record('s')).toMatchObject({ status: 'waiting', wakeAt: start + 24 * hour });
    expect(sagas.size).toBe(0);
    await clock.advance(24 * hour - 1);
    expect(stage.log).toEqual(['hold']);
    await clock.advance(1);
    expect(stage.log).toEqual(['hold', 'pay']);
    expect(await ended).toEqual({ hold: 'hold', 'cool-off': undefined, pay: 'pay' });
    expect(stage.writes).toEqual(['create', 'waiting', 'running', 'completed']);
  });

  it('may be the first step, is asked for once, and outlives every process', async () => {
    const stage = new ScriptStage();
    const { clock } = stage.runtime;
    let asked = 0;
    const shape = saga('order', { input: Input })
      .sleepUntil('payday', () => {
        asked += 1;
        return new Date(clock.wallTime() + 5 * hour);
      })
      .delay('more', () => 250)
      .pivot('pay', stage.do('pay'));
    const first = await stage.runner([shape]);
    await first.begin(shape, {}, { id: 's' });
    expect(stage.writes).toEqual(['create']);
    await first.stop();
    await clock.advance(hour);
    const second = await stage.runner([shape]);
    await clock.advance(4 * hour + 2_000);
    expect(stage.log).toEqual(['pay']);
    expect(asked).toBe(1);
    await second.stop();
    expect(clock.pending).toBe(0);
  });

  it('ends by the time of the store, whatever the clock of the worker says', async () => {
    const stage = new ScriptStage();
    const { clock } = stage.runtime;
    const shape = saga('order', { input: Input, deadline: '3h' })
      .delay('cool-off', '1h')
      .step('hold', stage.do('hold'), stage.undo('hold'))
      .waitFor('approval', { onTimeout: 'turn-back' })
      .pivot('pay', stage.do('pay'));
    const first = await stage.runner([shape]);
    await first.begin(shape, {}, { id: 's' });
    await first.stop();
    const lagging = {
      now: () => clock.now(),
      wallTime: () => clock.wallTime() - 24 * hour,
      schedule: clock.schedule.bind(clock),
    };
    const late = await stage.runner([shape], { runtime: { ...stage.runtime, clock: lagging } });
    await clock.advance(hour + 5_000);
    expect(stage.log).toEqual(['hold']);
    expect(await stage.record('s')).toMatchObject({ status: 'waiting' });
    expect(stage.writes).toEqual(['create', 'running', 'waiting']);
    // What ends it is the saga's deadline.
    await clock.advance(2 * hour);
    expect(stage.log).toEqual(['hold', 'undo hold']);
    expect(await stage.record('s')).toMatchObject({ status: 'compensated' });
    expect(stage.writes).toHaveLength(5);
    await late.stop();
  });

  it('that is over already takes no write of its own, and one that is none parks', async () => {
    const stage = new ScriptStage();
    const shape = saga('order', { input: Input })
      .step('hold', stage.do('hold'), stage.undo('hold'))
      .sleepUntil('past', () => 5)
      .pivot('pay', stage.do('pay'));
    const odd = saga('odd', { input: Input }).delay('d', () => 'soon' as never);
    const sagas = await stage.runner([shape, odd]);
    await sagas.run(shape, {});
    expect(stage.writes).toEqual(['create', 'running', 'completed']);
    await expect(sagas.run(odd, {})).rejects.toThrow('d could not be begun: its length is soon');
  });

  it('costs no timer each', async () => {
    const stage = new ScriptStage();
    const shape = saga('order', { input: Input }).delay('d', '1h').pivot('pay', stage.do('pay'));
    const sagas = await stage.runner([shape]);
    const before = stage.runtime.clock.pending;
    for (let n = 0; n < 500; n += 1) await sagas.begin(shape, {});
    expect(stage.runtime.clock.pending).toBeLessThanOrEqual(before + 1);
    expect(sagas.size).toBe(0);
    await stage.runtime.clock.advance(hour + 30_000);
    expect(stage.log).toHaveLength(500);
  });
});

function approving(stage: ScriptStage, options: object = {}) {
  return saga('order', { input: Input })
    .step('hold', stage.do('hold'), stage.undo('hold'))
    .waitFor('approval', { schema: z.object({ by: z.string() }), ...options })
    .pivot('pay', stage.do('pay'));
}

describe('a wait for a signal', () => {
  it('ends with the first signal of its name, whose payload is the result', async () => {
    const stage = new ScriptStage();
    const shape = approving(stage);
    const sagas = await stage.runner([shape]);
    const ended = sagas.run(shape, {}, { id: 's' });
    await stage.runtime.clock.advance(0);
    expect(await stage.record('s')).toMatchObject({ status: 'waiting' });
    expect(sagas.size).toBe(0);
    expect(await sagas.signal('s', 'approval', { by: 'ann' }, { id: 'hook-1' })).toEqual({
      id: 'hook-1',
      outcome: 'added',
    });
    expect(await sagas.signal('s', 'approval', { by: 'bob' })).toMatchObject({ outcome: 'added' });
    expect(await stage.settle(ended)).toMatchObject({ approval: { by: 'ann' } });
    const { steps } = await stage.record('s');
    expect(steps.find((s) => s.name === 'approval')).toMatchObject({ status: 'done', request: 'hook-1' });
    expect(await sagas.signal('s', 'approval', { by: 'eve' })).toMatchObject({ outcome: 'ended' });
  });

  it('finds a signal that came before it, and one that comes twice counts once', async () => {
    const stage = new ScriptStage();
    const shape = saga('order', { input: Input })
      .delay('d', '1h')
      .waitFor('one', { schema: z.number() })
      .waitFor('two')
      .pivot('pay', stage.do('pay'));
    const sagas = await stage.runner([shape]);
    await sagas.begin(shape, {}, { id: 's' });
    await sagas.signal('s', 'two', 'second', { id: 'b' });
    await sagas.signal('s', 'one', 1, { id: 'a' });
    expect(await sagas.signal('s', 'one', 2, { id: 'a' })).toEqual({ id: 'a', outcome: 'known' });
    await stage.runtime.clock.advance(hour);
    expect(await stage.settle(sagas.run(shape, {}, { id: 's' }))).toMatchObject({ one: 1, two: 'second' });
  });

  it('is not ended by two waits with one signal', async () => {
    const stage = new ScriptStage();
    const child = saga('child', { input: Input }).waitFor('go');
    const shape = saga('order', { input: Input })
      .saga('a', child, { input: () => ({}) })
      .saga('b', child, { input: () => ({}) });
    const sagas = await stage.runner([shape]);
    const ended = sagas.run(shape, {}, { id: 's' });
    await stage.runtime.clock.advance(0);
    await sagas.signal('s', 'a.go', 1, { id: 'x' });
    await stage.runtime.clock.advance(5_000);
    expect(await stage.steps('s')).toMatchObject({ 'a.go': 'done', 'b.go': 'open' });
    await sagas.signal('s', 'b.go', 2, { id: 'y' });
    expect(await stage.settle(ended)).toEqual({ a: { go: 1 }, b: { go: 2 } });
  });

  it.each([
    [undefined, 'turn-back', 'approval was refused: the signal did not come in time'],
    ['park', 'park', 'approval: the signal did not come in time'],
    ['continue', 'continue', undefined],
  ] as const)('that is not ended in time (%s): %s', async (onTimeout, _, message) => {
    const stage = new ScriptStage();
    const shape = approving(stage, { timeout: '1h', ...(onTimeout && { onTimeout }) });
    const sagas = await stage.runner([shape]);
    const ended = sagas.run(shape, {}, { id: 's' });
    void ended.catch(() => {});
    await stage.runtime.clock.advance(hour - 1);
    expect(await stage.record('s')).toMatchObject({ status: 'waiting' });
    await stage.runtime.clock.advance(1);
    if (message !== undefined) await expect(stage.settle(ended)).rejects.toThrow(message);
    else expect(await stage.settle(ended)).toMatchObject({ approval: undefined, pay: 'pay' });
  });

  it('that parked can be waited for again, and after the pivot be skipped', async () => {
    const stage = new ScriptStage();
    const shape = saga('order', { input: Input })
      .pivot('pay', stage.do('pay'))
      .waitFor('receipt', { timeout: '1h' })
      .step('mail', stage.do('mail'));
    const sagas = await stage.runner([shape]);
    for (const id of ['a', 'b']) {
      await sagas.begin(shape, {}, { id });
      await stage.runtime.clock.advance(hour);
      expect(await stage.record(id)).toMatchObject({ status: 'parked' });
    }
    await sagas.retry('a', { by: 'ann', reason: 'they will send it' });
    await stage.runtime.clock.advance(5 * hour);
    expect(await stage.record('a')).toMatchObject({ status: 'waiting' });
    await sagas.signal('a', 'receipt', 7);
    expect(await stage.settle(sagas.run(shape, {}, { id: 'a' }))).toMatchObject({ receipt: 7 });
    await sagas.skip('b', { by: 'ann', reason: 'not needed' });
    expect(await stage.settle(sagas.run(shape, {}, { id: 'b' }))).toMatchObject({ receipt: undefined });
  });
});

describe('a signal', () => {
  let sagas: SagaRunner;
  const begun = async (): Promise<ScriptStage> => {
    const stage = new ScriptStage();
    const shape = approving(stage);
    sagas = await stage.runner([shape], { maxPayload: 1_000 });
    await sagas.begin(shape, {}, { id: 's' });
    await stage.runtime.clock.advance(0);
    return stage;
  };

  it('that fits nothing is refused where the definition is known', async () => {
    const stage = await begun();
    await expect(sagas.signal('nobody', 'approval')).rejects.toBeInstanceOf(UnknownSagaError);
    await expect(sagas.signal('s', 'aproval', {})).rejects.toBeInstanceOf(InvalidOptionsError);
    await expect(sagas.signal('s', 'approval', { by: 5 })).rejects.toBeInstanceOf(InvalidPayloadError);
    await expect(sagas.signal('s', 'approval', 5n)).rejects.toThrow('is a bigint');
    await expect(sagas.signal('s', 'approval', { by: 'x'.repeat(2_000) })).rejects.toThrow(
      '1000 are allowed',
    );
    await expect(sagas.signal('s', 'approval', {}, { id: 'a b' })).rejects.toThrow('SagaRunner.signal: id');
    expect(await stage.record('s')).not.toHaveProperty('requests');
  });

  it('that a runner without the definition took and that does not fit is passed over, and told', async () => {
    const stage = await begun();
    const other = saga('other', { input: Input }).pivot('x', () => 1);
    const stranger = await stage.runner([other]);
    const ignored: unknown[] = [];
    sagas.on('signalIgnored', (event) => ignored.push(event));
    for (const name of [undefined, 5, Symbol('approval'), '', 'x'.repeat(1_001)] as never[]) {
      await expect(stranger.signal('s', name, 1)).rejects.toBeInstanceOf(InvalidOptionsError);
    }
    await stranger.signal('s', 'approval', { by: 5 }, { id: 'bad' });
    await stage.runtime.clock.advance(5_000);
    expect(ignored).toEqual([
      { id: 's', saga: 'order', signal: 'approval', request: 'bad', error: expect.stringContaining('by') },
    ]);
    expect(await stage.record('s')).toMatchObject({ status: 'waiting' });
    await stranger.signal('s', 'approval', { by: 'ann' });
    await stage.runtime.clock.advance(5_000);
    expect(await stage.record('s')).toMatchObject({ status: 'completed' });
  });

  it('races the wait being written and is never lost', async () => {
    for (const [name, moment] of [
      ['before', 'before'],
      ['after', 'after'],
    ] as const) {
      const stage = new ScriptStage();
      const shape = approving(stage);
      const runner = await stage.runner([shape], { pollInterval: '1h' });
      let sent = false;
      const send = async (): Promise<void> => {
        if (sent) return;
        sent = true;
        const payload = { by: name };
        await stage.inner.request('s', { id: 'r', type: 'signal', name: 'approval', payload, at: 1 });
      };
      stage.hooks.update = ({ status }) => {
        if (status !== 'waiting') return undefined;
        if (moment === 'before') return send();
        void Promise.resolve().then(send);
        return undefined;
      };
      const ended = runner.run(shape, {}, { id: 's' });
      void ended.catch(() => {});
      // Longer than a poll: whoever appended it need not be a runner that wakes this one.
      await stage.runtime.clock.advance(2 * hour);
      expect(await ended).toMatchObject({ approval: { by: name } });
    }
  });
});
