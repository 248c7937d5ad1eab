import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { CrashMatrixError, InvalidOptionsError } from '../../src/core/errors.ts';
import { refuse, saga } from '../../src/saga/saga.ts';
import {
  type CrashMatrixOptions,
  crashMatrix,
  crashMatrixFaults,
} from '../../src/testing/crash-matrix/index.ts';

/** Participants that remember what they did, by key, and what they are never to do. */
class Doubles {
  readonly live: string[] = [];
  readonly #keys = new Map<string, 'done' | 'barred' | 'undone'>();

  do(step: string, key: string): void {
    const known = this.#keys.get(key);
    if (known === 'barred') refuse('its undo came first', { conclusive: true });
    if (known !== undefined) return;
    this.#keys.set(key, 'done');
    this.live.push(step);
  }

  undo(step: string, forwardKey: string): void {
    if (this.#keys.get(forwardKey) === 'done') this.live.splice(this.live.indexOf(step), 1);
    this.#keys.set(forwardKey, 'barred');
  }
}

const Order = z.object({ n: z.number() });
const shop = (doubles: Doubles) =>
  saga('shop', { input: Order })
    .step('hold', ({ key }) => doubles.do('hold', key), {
      undo: ({ forwardKey }) => doubles.undo('hold', forwardKey),
    })
    .pivot('pay', ({ key }) => doubles.do('pay', key))
    .step('ship', ({ key }) => doubles.do('ship', key));

const small = (doubles: Doubles) =>
  saga('small', { input: Order }).pivot('pay', ({ key }) => doubles.do('pay', key));

const honest: CrashMatrixOptions<{ n: number }, Doubles> = {
  setup: () => new Doubles(),
  input: { n: 1 },
  check: ({ status, record, doubles: { live } }) => {
    const steps = record.steps.filter((step) => step.status === 'done').map((step) => step.name);
    expect(live, status).toEqual(status === 'completed' ? steps.filter((name) => name !== 'approval') : []);
  },
};

async function failureOf(run: Promise<unknown>): Promise<CrashMatrixError> {
  const error: unknown = await run.catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(CrashMatrixError);
  return error as CrashMatrixError;
}

describe('crashMatrix', () => {
  it('runs every fault at every boundary, with a crash at every later one, and the same twice', async () => {
    const report = await crashMatrix(small, honest);
    expect(Object.keys(report.faults).sort()).toEqual([...crashMatrixFaults].sort());
    expect(report.runs).toBeGreaterThan(300);
    expect(report.ends.completed).toBeGreaterThan(100);
    const once: typeof honest = { ...honest, secondCrash: false };
    const first = await crashMatrix(shop, once);
    // Of each boundary of the run without a fault: seven faults, an eighth where a participant is called.
    expect(first.runs).toBe(1 + 7 * first.boundaries + 3);
    expect(await crashMatrix(shop, once)).toEqual(first);
  });

  it('finds a participant that does not know keys, and replays that run by its path', async () => {
    const forgetful = (doubles: Doubles) =>
      saga('shop', { input: Order })
        .pivot('pay', ({ key }) => doubles.do('pay', `${key} ${Math.random()}`))
        .step('ship', ({ key }) => doubles.do('ship', key));
    const check = ({ doubles }: { readonly doubles: Doubles }): void => {
      if (doubles.live.filter((step) => step === 'pay').length > 1) throw new Error('paid twice');
    };
    const error = await failureOf(crashMatrix(forgetful, { ...honest, check }));
    expect(error.breaches).toEqual(['paid twice']);
    expect(error.path).toMatch(/^\d+ crash after$/);
    expect(error.trace.join('\n')).toContain('do pay (attempt 1)   <-- crash after');
    const again = await failureOf(crashMatrix(forgetful, { ...honest, check, path: error.path }));
    expect(again).toMatchObject({ breaches: error.breaches, path: error.path, trace: error.trace });
  });

  it('finds a participant that does not remember what was undone before it came', async () => {
    const hanging = (doubles: Doubles) => {
      const keys = new Set<string>();
      return saga('shop', { input: Order })
        .step(
          'hold',
          ({ key }) => {
            if (!keys.has(key)) doubles.live.push('hold');
            keys.add(key);
          },
          {
            undo: ({ forwardKey }) => {
              if (keys.has(forwardKey)) doubles.live.splice(doubles.live.indexOf('hold'), 1);
              keys.delete(forwardKey);
            },
          },
        )
        .step('check', () => refuse('no'), { undo: 'nothing' });
    };
    const error = await failureOf(crashMatrix(hanging, honest));
    expect(error.breaches[0]).toContain('compensated');
    expect(error.path).toMatch(/late|zombie/);
  });

  it('waits for participants that need real time', async () => {
    const slow = (doubles: Doubles) =>
      saga('shop', { input: Order })
        .step(
          'hold',
          async ({ key }) => {
            await new Promise((resolve) => setImmediate(resolve));
            await new Promise((resolve) => setTimeout(resolve, 1));
            doubles.do('hold', key);
          },
          { undo: ({ forwardKey }) => doubles.undo('hold', forwardKey) },
        )
        .pivot('pay', ({ key }) => doubles.do('pay', key))
        .step('ship', ({ key }) => doubles.do('ship', key));
    const report = await crashMatrix(slow, { ...honest, secondCrash: false, faults: ['crash after'] });
    expect(report.ends).toEqual({ completed: report.runs });
  });

  it('sends signals, and says so when one is missing', async () => {
    const approved = (doubles: Doubles) =>
      saga('shop', { input: Order })
        .step('hold', ({ key }) => doubles.do('hold', key), {
          undo: ({ forwardKey }) => doubles.undo('hold', forwardKey),
        })
        .waitFor('approval')
        .pivot('pay', ({ key }) => doubles.do('pay', key))
        .step('ship', ({ key }) => doubles.do('ship', key));
    const signals = [{ name: 'approval', payload: { by: 'me' } }];
    const report = await crashMatrix(approved, { ...honest, signals, secondCrash: false });
    expect(report.ends.completed).toBeGreaterThan(50);
    const bare = { ...honest, signals: [{ name: 'approval' }], path: '' };
    expect((await crashMatrix(approved, bare)).ends).toEqual({ completed: 1 });
    const error = await failureOf(crashMatrix(approved, { ...honest, path: '' }));
    expect(error.breaches[0]).toContain('give it in the option signals');
  });

  it.each([
    ['setup', { setup: 1 }],
    ['faults', { faults: ['crash'] }],
    ['path', { path: 'somewhere' }],
    ['secondcrash', { secondcrash: true }],
  ])('refuses a wrong %s', async (field, wrong) => {
    const run = crashMatrix(shop, { ...honest, ...wrong } as typeof honest);
    await expect(run).rejects.toBeInstanceOf(InvalidOptionsError);
    await expect(run).rejects.toThrow(field);
  });
});
