import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { InvalidPayloadError, SagaParkedError, TimeoutError } from '../../src/core/errors.ts';
import { saga } from '../../src/saga/saga.ts';
import { Slots } from '../../src/saga/slots.ts';
import { deferred, ScriptStage } from './script-stage.ts';

const Any = z.any();
const nothing = { undo: 'nothing' } as const;

describe('bad values', () => {
  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;
  const bad: readonly (readonly [string, unknown, string])[] = [
    ['a BigInt', { n: 5n }, 'n is a bigint'],
    ['a cycle', cycle, 'self contains itself'],
    ['a function', { f: () => 1 }, 'f is a function'],
    ['a symbol', Symbol('x'), 'is a symbol'],
    ['NaN', [Number.NaN], '[0] is NaN'],
    ['an instance', new Map(), 'is an instance of Map'],
    ['10 MB', 'x'.repeat(10_000_000), '1048576 are allowed'],
    ['10 MB of escapes', ['\u0000'.repeat(2_000_000)], 'bytes long'],
    ['a key of a prototype', JSON.parse('{"__proto__": 1}'), '__proto__'],
  ];

  it.each(bad)('%s as input is refused by name, and nothing is begun', async (_, value, message) => {
    const stage = new ScriptStage();
    const shape = saga('s', { input: Any }).pivot('a', () => 1);
    const sagas = await stage.runner([shape]);
    const begun = sagas.begin(shape, value);
    await expect(begun).rejects.toBeInstanceOf(InvalidPayloadError);
    await expect(begun).rejects.toThrow(message);
    expect(stage.writes).toEqual([]);
    expect(await sagas.run(shape, 'good')).toEqual({ a: 1 });
  });

  it.each(bad)('%s as a result turns back or parks, and the others go on', async (_, value, message) => {
    const stage = new ScriptStage();
    const shape = saga('s', { input: Any })
      .step('a', ({ input }) => (input === 'a' ? value : 1), stage.undo('a'))
      .pivot('b', ({ input }) => (input === 'b' ? value : 2))
      .step('c', ({ input }) => (input === 'c' ? value : 3));
    const sagas = await stage.runner([shape]);
    await expect(stage.settle(sagas.run(shape, 'a'))).rejects.toThrow(message);
    expect(stage.log).toEqual(['undo a']);
    for (const step of ['b', 'c']) {
      const ended = stage.settle(sagas.run(shape, step));
      await expect(ended).rejects.toBeInstanceOf(SagaParkedError);
      await expect(ended).rejects.toThrow(message);
    }
    expect(await sagas.run(shape, 'good')).toEqual({ a: 1, b: 2, c: 3 });
  });

  it('gives results that nobody can change', async () => {
    const stage = new ScriptStage();
    const shape = saga('s', { input: Any })
      .step('a', () => ({ list: [1] }), nothing)
      .pivot('b', ({ results }) => {
        expect(() => (results.a.list as number[]).push(2)).toThrow(TypeError);
        return results.a;
      });
    const sagas = await stage.runner([shape]);
    expect(await sagas.run(shape, 1)).toEqual({ a: { list: [1] }, b: { list: [1] } });
  });

  it('keeps the message of an error that is as long as a book short', async () => {
    const stage = new ScriptStage();
    const shape = saga('s', { input: Any }).step(
      'a',
      () => {
        throw new Error('x'.repeat(1_000_000));
      },
      nothing,
    );
    const sagas = await stage.runner([shape]);
    await expect(sagas.run(shape, 1, { id: 's' })).rejects.toThrow('a failed');
    expect((await stage.record('s')).reason?.length).toBeLessThan(5_000);
  });
});

describe('the capacity of a runner', () => {
  it('makes begin wait for room, until its signal or timeout', async () => {
    const stage = new ScriptStage();
    const gates = [deferred(), deferred(), deferred()];
    let next = 0;
    const shape = saga('s', { input: Any }).pivot('a', () => gates[next++]?.promise);
    const sagas = await stage.runner([shape], { capacity: 2 });
    await sagas.begin(shape, 1);
    await sagas.begin(shape, 2);
    const late = sagas.begin(shape, 3, { timeout: '1s' });
    void late.catch(() => {});
    const given = new AbortController();
    const aborted = sagas.begin(shape, 3, { signal: given.signal });
    void aborted.catch(() => {});
    const third = sagas.begin(shape, 3, { id: 'third' });
    given.abort(new Error('never mind'));
    await stage.runtime.clock.advance(1_000);
    await expect(late).rejects.toBeInstanceOf(TimeoutError);
    await expect(aborted).rejects.toThrow('never mind');
    expect(sagas.size).toBe(2);
    gates[0]!.resolve();
    expect(await third).toEqual({ id: 'third', created: true });
    await stage.runtime.clock.advance(0);
    for (const gate of gates) gate.resolve();
    await stage.runtime.clock.advance(0);
    expect(sagas.size).toBe(0);
    for (let n = 0; n < 5; n += 1) await sagas.run(shape, n, { id: `again ${n}`.replace(' ', '-') });
    await expect(sagas.begin(shape, 1, { id: 'third' })).rejects.toThrow('another input');
    expect(await sagas.begin(shape, 3, { id: 'third' })).toEqual({ id: 'third', created: false });
  });

  it('does not count sagas that wait for time or a signal', async () => {
    const stage = new ScriptStage();
    const shape = saga('s', { input: Any }).waitFor('x');
    const sagas = await stage.runner([shape], { capacity: 1 });
    for (let n = 0; n < 10; n += 1) await sagas.begin(shape, n);
    expect(await stage.inner.list({ status: 'waiting' })).toHaveLength(10);
  });
});

describe('slots', () => {
  it('go to the definitions in turn, so that a crowd of one keeps nobody waiting', async () => {
    const stage = new ScriptStage();
    const order: string[] = [];
    const gate = deferred();
    const of = (name: string) =>
      saga(name, { input: Any }).pivot('a', async () => {
        order.push(name);
        await gate.promise;
      });
    const [crowd, few] = [of('crowd'), of('few')];
    const sagas = await stage.runner([crowd, few], { concurrency: 1 });
    for (let n = 0; n < 20; n += 1) await sagas.begin(crowd, n);
    await sagas.begin(few, 1);
    await stage.runtime.clock.advance(0);
    gate.resolve();
    await stage.runtime.clock.advance(0);
    expect(order).toHaveLength(21);
    expect(order.indexOf('few')).toBeLessThanOrEqual(2);
  });

  it('are given in the order of the queue, and left by those who give up', async () => {
    const slots = new Slots(1);
    const live = new AbortController();
    expect(slots.tryAcquire()).toBe(true);
    expect(slots.tryAcquire()).toBe(false);
    const got: string[] = [];
    const gone = new AbortController();
    const wait = (name: string, signal: AbortSignal): Promise<unknown> =>
      slots.acquire('q', signal).then((has) => got.push(`${name} ${has}`));
    const all = [wait('a', live.signal), wait('b', gone.signal), wait('c', live.signal)];
    expect(slots.free).toBe(-3);
    gone.abort();
    slots.release();
    await Promise.resolve();
    slots.release();
    await Promise.all(all);
    expect(got.sort()).toEqual(['a true', 'b false', 'c true']);
    slots.release();
    slots.seize();
    slots.seize();
    expect(slots.free).toBe(-1);
    slots.release();
    expect(slots.free).toBe(0);
  });
});

describe('poison', () => {
  it('parks a saga whose step kills its process again and again, and the others go on', async () => {
    const stage = new ScriptStage();
    const options = { lease: 1_000, pollInterval: 100, maxClaims: 4 } as const;
    const deaths = { count: 0 };
    const shape = saga('s', { input: Any })
      .step(
        'a',
        () => {
          deaths.count += 1;
          return new Promise(() => {});
        },
        nothing,
      )
      .pivot('b', () => 1);
    const parked: string[] = [];
    const dead = new Set<string>();
    const never = new Promise<never>(() => {});
    stage.hooks.heartbeat = ({ owner }) => (dead.has(owner) ? never : undefined);
    stage.hooks.claim = (_, { owner }) => (dead.has(owner) ? never : undefined);
    stage.hooks.update = () => (dead.size > 0 && deaths.count < 4 ? undefined : undefined);
    await (await stage.runner([shape], options)).begin(shape, 1, { id: 'killer' });
    for (let life = 1; life < 8; life += 1) {
      dead.add(`id-${life}`);
      const next = await stage.runner([shape], options);
      next.on('parked', ({ reason }) => parked.push(reason));
      await stage.runtime.clock.advance(3_000);
    }
    expect(await stage.record('killer')).toMatchObject({ status: 'parked' });
    expect(parked).toEqual([expect.stringContaining('claimed 4 times')]);
    expect(deaths.count).toBe(5);
  });
});

describe('versions', () => {
  it('runs what was begun on the definition that it was begun with, and knows when that can go', async () => {
    const stage = new ScriptStage();
    const of = (version: number) =>
      saga('s', { input: Any, version })
        .step('a', stage.do(`a${version}`), stage.undo('a'))
        .waitFor('go')
        .pivot('b', stage.do(`b${version}`));
    const [one, two] = [of(1), of(2)];
    const old = await stage.runner([one]);
    await old.begin(one, 1, { id: 'old' });
    await stage.runtime.clock.advance(0);
    expect(await stage.record('old')).toMatchObject({ definitionVersion: 1, hash: one.hash });
    await old.stop();
    const unclaimed: unknown[] = [];
    const fresh = await stage.runner([two], { pollInterval: '1s' });
    fresh.on('unclaimed', (event) => unclaimed.push(event));
    await fresh.begin(two, 1, { id: 'new' });
    await fresh.signal('old', 'go');
    await stage.runtime.clock.advance(61_000);
    expect(unclaimed).toEqual([{ saga: 's', hash: one.hash, definitionVersion: 1, count: 1 }]);
    expect(await stage.record('old')).toMatchObject({ status: 'waiting', epoch: 1 });
    expect(await fresh.safeToRemove(one)).toBe(false);
    const both = await stage.runner([one, two]);
    await stage.runtime.clock.advance(5_000);
    expect(await stage.record('old')).toMatchObject({ status: 'completed' });
    expect(stage.log).toEqual(['a1', 'a2', 'b1']);
    expect(await fresh.safeToRemove(one)).toBe(true);
    expect(await both.safeToRemove(two)).toBe(false);
  });

  it('lists by version, and purges what has ended', async () => {
    const stage = new ScriptStage();
    const shape = saga('s', { input: Any, version: 3 }).pivot('a', () => 1);
    const sagas = await stage.runner([shape]);
    for (let n = 0; n < 5; n += 1) await sagas.run(shape, n, { id: `x-${n}` });
    await stage.runtime.clock.advance(10_000);
    await sagas.run(shape, 5, { id: 'y' });
    expect(await sagas.list({ definitionVersion: 3, idPrefix: 'x-', limit: 2 })).toHaveLength(2);
    expect(await sagas.list({ definitionVersion: 2 })).toHaveLength(0);
    await expect(sagas.list({ stauts: 'running' } as never)).rejects.toThrow('SagaRunner.list: stauts');
    await expect(sagas.purge({ endedBefore: 'x' as never })).rejects.toThrow('SagaRunner.purge: endedBefore');
    const before = stage.runtime.clock.wallTime() - 5_000;
    expect(await sagas.purge({ endedBefore: new Date(before), limit: 3 })).toBe(3);
    expect(await sagas.purge({ endedBefore: before })).toBe(2);
    expect((await sagas.list()).map((r) => r.id)).toEqual(['y']);
    expect((await sagas.history('y'))?.map((e) => e.type)).toEqual(['began', 'done', 'completed']);
    expect(await sagas.history('x-1')).toBeUndefined();
  });
});
