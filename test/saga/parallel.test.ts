import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { SagaCompensatedError, SagaParkedError } from '../../src/core/errors.ts';
import { refuse, saga } from '../../src/saga/saga.ts';
import { deferred, fails, ScriptStage } from './script-stage.ts';

const Input = z.object({});

function trip(stage: ScriptStage, undo: 'reverse' | 'concurrent' = 'reverse') {
  return saga('trip', { input: Input })
    .step('quote', stage.do('quote'), stage.undo('quote'))
    .parallel(
      'book',
      (group) =>
        group
          .step('flight', stage.do('flight'), stage.undo('flight'))
          .step('hotel', stage.do('hotel'), stage.undo('hotel'))
          .step('car', stage.do('car'), stage.undo('car')),
      { undo },
    )
    .pivot('pay', stage.do('pay'))
    .parallel('tell', (group) => group.step('mail', stage.do('mail')).step('post', stage.do('post')));
}

describe('a parallel group', () => {
  it('does its members at once, gives none the results of another, and all to what follows', async () => {
    const stage = new ScriptStage();
    const seen: unknown[] = [];
    const gates = { a: deferred(), b: deferred() };
    const both = saga('both', { input: Input })
      .step('first', () => 1, { undo: 'nothing' })
      .parallel('pair', (group) =>
        group
          .step(
            'a',
            async ({ results }) => {
              seen.push(results);
              await gates.a.promise;
              return 'A';
            },
            { undo: 'nothing' },
          )
          .step(
            'b',
            async ({ results }) => {
              seen.push(results);
              await gates.b.promise;
              return 'B';
            },
            { undo: 'nothing' },
          ),
      )
      .pivot('after', ({ results }) => void seen.push(results));
    const sagas = await stage.runner([both]);
    const ended = sagas.run(both, {}, { id: 's' });
    await stage.runtime.clock.advance(0);
    expect(seen).toEqual([{ first: 1 }, { first: 1 }]);
    gates.b.resolve();
    await stage.runtime.clock.advance(0);
    expect(await stage.steps('s')).toEqual({ first: 'done', b: 'done' });
    gates.a.resolve();
    expect(await ended).toEqual({ first: 1, a: 'A', b: 'B', after: undefined });
    expect(seen.at(-1)).toEqual({ first: 1, a: 'A', b: 'B' });
    expect(stage.writes).toEqual(['create', 'running', 'running', 'running', 'completed']);
  });

  it('begins no more and aborts the others when one is not done, and undoes only when all have ended', async () => {
    const stage = new ScriptStage();
    const { log } = stage;
    const hotel = deferred();
    const aborted: unknown[] = [];
    const shape = saga('trip', { input: Input })
      .step('quote', stage.do('quote'), stage.undo('quote'))
      .parallel('book', (group) =>
        group
          .step('flight', () => refuse('sold out'), stage.undo('flight'))
          .step(
            'hotel',
            async ({ signal }) => {
              signal.addEventListener('abort', () => aborted.push('hotel'));
              await hotel.promise;
              return 'late';
            },
            { undo: ({ result }) => void log.push(`undo hotel ${result}`) },
          )
          .step('car', stage.do('car'), stage.undo('car')),
      );
    const sagas = await stage.runner([shape], { concurrency: 2 });
    const ended = sagas.run(shape, {}, { id: 's' });
    await stage.runtime.clock.advance(10);
    expect(aborted).toEqual(['hotel']);
    expect(log).toEqual(['quote']);
    hotel.resolve();
    await expect(stage.settle(ended)).rejects.toThrow('flight was refused: sold out');
    expect(log).toEqual(['quote', 'undo hotel undefined', 'undo quote']);
    expect(await stage.steps('s')).toEqual({
      quote: 'undone',
      flight: 'refused',
      hotel: 'undone',
      car: 'omitted',
    });
  });

  it('undoes the last member first, or all at once when that is declared', async () => {
    for (const undo of ['reverse', 'concurrent'] as const) {
      const stage = new ScriptStage();
      const gate = deferred();
      stage.script.pay = () => refuse('declined');
      stage.script['undo car'] = () => gate.promise;
      const sagas = await stage.runner([trip(stage, undo)]);
      const ended = sagas.run(trip(stage, undo), {}, { id: 's' });
      await stage.runtime.clock.advance(0);
      const begun = ['undo car', ...(undo === 'concurrent' ? ['undo hotel', 'undo flight'] : [])];
      expect(stage.log.filter((l) => l.startsWith('undo'))).toEqual(begun);
      gate.resolve();
      await expect(stage.settle(ended)).rejects.toBeInstanceOf(SagaCompensatedError);
      expect(stage.log.filter((l) => l.startsWith('undo')).sort()).toEqual(
        ['undo car', 'undo flight', 'undo hotel', 'undo quote'].sort(),
      );
      expect(stage.log.at(-1)).toBe('undo quote');
    }
  });

  it('after the pivot repeats each member until it is done, and parks when one cannot be', async () => {
    const stage = new ScriptStage();
    let tries = 0;
    stage.script.mail = () => {
      tries += 1;
      return tries < 3 ? fails()() : 'sent';
    };
    const sagas = await stage.runner([trip(stage)], { retry: { attempts: 5 } });
    await expect(stage.settle(sagas.run(trip(stage), {}))).resolves.toMatchObject({
      mail: 'sent',
      post: 'post',
    });
    const other = new ScriptStage();
    other.script.mail = () => refuse('no such address');
    const shape = trip(other);
    const more = await other.runner([shape]);
    await expect(other.settle(more.run(shape, {}, { id: 'p' }))).rejects.toBeInstanceOf(SagaParkedError);
    expect(await other.steps('p')).toMatchObject({ post: 'done' });
    expect((await other.record('p')).parkedAt).toEqual({ step: 'mail', operation: 'do', skippable: true });
    await more.skip('p', { by: 'ann', reason: 'no mail' });
    await expect(other.settle(more.run(shape, {}, { id: 'p' }))).resolves.toMatchObject({ post: 'post' });
  });

  it('waits for a member whose aborted attempt does not end, and parks without undoing anything', async () => {
    const stage = new ScriptStage();
    stage.script.flight = fails('reset');
    stage.script.hotel = () => new Promise(() => {});
    const shape = trip(stage);
    const sagas = await stage.runner([shape], { settleTimeout: '5s' });
    await expect(stage.settle(sagas.run(shape, {}, { id: 's' }))).rejects.toThrow(
      'did not end within 5000 ms',
    );
    expect(stage.log.filter((l) => l.startsWith('undo'))).toEqual([]);
    expect(await stage.steps('s')).toEqual({ quote: 'done', flight: 'failed', car: 'done' });
    // Once a person has seen to it that it has ended, what it may have done is undone, too.
    await sagas.retry('s', { by: 'ann', reason: 'its process is gone' });
    await expect(stage.settle(sagas.run(shape, {}, { id: 's' }))).rejects.toThrow('flight failed: reset');
    expect(stage.log.filter((l) => l.startsWith('undo'))).toEqual([
      'undo car',
      'undo hotel',
      'undo flight',
      'undo quote',
    ]);
  });
});

describe('a group, whatever its members do and wherever its worker dies', () => {
  const conducts = fc.constantFrom('done', 'done', 'refused', 'failed');
  it('ends with every effect undone or none, and undoes what is in doubt', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.tuple(conducts, conducts, conducts),
        fc.array(fc.nat(20), { minLength: 3, maxLength: 3 }),
        fc.nat(8),
        fc.boolean(),
        async (members, delays, deathAt, concurrent) => {
          const stage = new ScriptStage();
          const effects = new Set<string>();
          for (const [index, name] of ['flight', 'hotel', 'car'].entries()) {
            stage.script[name] = async () => {
              await new Promise<void>((resolve) => stage.runtime.clock.schedule(delays[index]!, resolve));
              const conduct = members[index];
              if (conduct === 'refused' && !effects.has(name)) refuse('no', { conclusive: true });
              effects.add(name);
              if (conduct === 'failed') throw new Error('lost');
            };
            stage.script[`undo ${name}`] = () => void effects.delete(name);
          }
          const shape = trip(stage, concurrent ? 'concurrent' : 'reverse');
          // The first worker dies at its n-th write: nothing it says reaches the store any more.
          let writes = 0;
          const dead = new Promise<never>(() => {});
          stage.hooks.update = ({ epoch }) => {
            if (epoch > 1) return undefined;
            writes += 1;
            return writes > deathAt ? dead : undefined;
          };
          const options = { lease: 1_000, pollInterval: 100 };
          const first = await stage.runner([shape], options);
          await first.begin(shape, {}, { id: 's' });
          await stage.runtime.clock.advance(50);
          stage.hooks.heartbeat = ({ owner }) => (owner === 'id-1' ? dead : undefined);
          stage.hooks.claim = (_, { owner }) => (owner === 'id-1' ? dead : undefined);
          const second = await stage.runner([shape], options);
          await stage.runtime.clock.advance(20_000);
          const record = await stage.record('s');
          expect(['completed', 'compensated']).toContain(record.status);
          expect(effects.size).toBe(record.status === 'completed' ? 3 : 0);
          if (members.includes('failed')) expect(record.status).toBe('compensated');
          void second.stop();
          void first.stop();
        },
      ),
      { numRuns: 150 },
    );
  });
});
