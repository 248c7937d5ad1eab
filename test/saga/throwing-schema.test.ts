import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { InvalidPayloadError } from '../../src/core/errors.ts';
import type { StandardSchema } from '../../src/core/schema.ts';
import { saga } from '../../src/saga/saga.ts';
import { ScriptStage } from './script-stage.ts';

const bug = new TypeError("Cannot read properties of undefined (reading 'length')");

/** A schema of another library than zod whose code does this. */
function schemaOf<T = unknown>(check: (value: unknown) => unknown): StandardSchema<T> {
  return { '~standard': { version: 1, vendor: 'own', validate: check as never } };
}

const broken: readonly (readonly [string, StandardSchema])[] = [
  [
    'throws',
    schemaOf(() => {
      throw bug;
    }),
  ],
  ['rejects', schemaOf(() => Promise.reject(bug))],
  [
    'throws in a refinement of zod',
    z.any().refine(() => {
      throw bug;
    }),
  ],
];

describe('an input whose schema', () => {
  it.each(broken)('%s is refused with the cause, and nothing is begun', async (_, schema) => {
    const stage = new ScriptStage();
    const shape = saga('order', { input: schema }).pivot('pay', stage.do('pay'));
    const sagas = await stage.runner([shape]);
    const begun = sagas.begin(shape, {}, { id: 's' });
    await expect(begun).rejects.toBeInstanceOf(InvalidPayloadError);
    await expect(begun).rejects.toMatchObject({
      message: expect.stringContaining(
        `the input of saga order: could not be checked: its schema threw ${bug.message}`,
      ),
      cause: bug,
    });
    expect(stage.writes).toEqual([]);
  });

  it('answers what is no answer is refused as well', async () => {
    const stage = new ScriptStage();
    for (const answer of [undefined, null, { issues: 5 }]) {
      const shape = saga('order', { input: schemaOf(() => answer) }).pivot('pay', stage.do('pay'));
      const sagas = await stage.runner([shape]);
      await expect(sagas.begin(shape, {})).rejects.toBeInstanceOf(InvalidPayloadError);
    }
  });
});

describe('a signal whose schema throws', () => {
  it('is kept, parks the saga that waits for it, and counts once the schema is mended', async () => {
    const stage = new ScriptStage();
    let mended = false;
    const schema = schemaOf<string>((value) => {
      if (!mended) throw bug;
      return { value: `by ${value}` };
    });
    const shape = saga('order', { input: z.object({}) })
      .step('hold', stage.do('hold'), stage.undo('hold'))
      .waitFor('approval', { schema, timeout: '1h' })
      .pivot('pay', stage.do('pay'));
    const sagas = await stage.runner([shape]);
    const ignored: unknown[] = [];
    sagas.on('signalIgnored', (event) => ignored.push(event));
    await sagas.begin(shape, {}, { id: 's' });
    await stage.runtime.clock.advance(0);
    expect(await sagas.signal('s', 'approval', 'ann', { id: 'hook' })).toEqual({
      id: 'hook',
      outcome: 'added',
    });
    await sagas.signal('s', 'approval', 'bob');
    await stage.runtime.clock.advance(5_000);
    expect(await stage.record('s')).toMatchObject({
      status: 'parked',
      reason: `approval: signal hook could not be checked: its schema threw ${bug.message}`,
      parkedAt: { step: 'approval', operation: 'do', skippable: false },
    });
    expect(ignored).toEqual([]);
    mended = true;
    // Also when the time of the wait is long over.
    await stage.runtime.clock.advance(7_200_000);
    await sagas.retry('s', { by: 'ann', reason: 'the schema is mended' });
    expect(await stage.settle(sagas.run(shape, {}, { id: 's' }))).toEqual({
      hold: 'hold',
      approval: 'by ann',
      pay: 'pay',
    });
  });
});
