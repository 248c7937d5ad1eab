import { describe, expect, it } from 'vitest';
import { z } from '../../src/core/options.ts';
import { isStandardSchema, issueSummary, type StandardSchema, validate } from '../../src/core/schema.ts';

/** A schema by hand, as a library other than zod would make it: it answers later, and its paths hold objects. */
const evenNumber: StandardSchema<unknown, number> = {
  '~standard': {
    version: 1,
    vendor: 'by-hand',
    validate: async (value) =>
      typeof value === 'number' && value % 2 === 0
        ? { value }
        : { issues: [{ message: 'is not even', path: [{ key: 'pool' }, 'size', 0] }, { message: 'is odd' }] },
  },
};

describe('Standard Schema', () => {
  it('is recognised, whoever made it', () => {
    expect(isStandardSchema(evenNumber)).toBe(true);
    expect(isStandardSchema(z.string())).toBe(true);
    for (const other of [
      null,
      undefined,
      5,
      {},
      { '~standard': null },
      { '~standard': {} },
      { '~standard': { validate: 1 } },
    ]) {
      expect(isStandardSchema(other)).toBe(false);
    }
  });

  it('checks, whether it answers at once or later', async () => {
    expect(await validate(evenNumber, 4)).toEqual({ value: 4 });
    expect(await validate(z.object({ port: z.number().default(80) }), {})).toEqual({ value: { port: 80 } });
    const result = await validate(z.object({ db: z.object({ port: z.number() }) }), { db: { port: 'x' } });
    expect(result.issues && issueSummary(result.issues)).toMatch(/^db\.port: /);
  });

  it('has its issues in one line', async () => {
    const { issues = [] } = await validate(evenNumber, 3);
    expect(issueSummary(issues)).toBe('pool.size.0: is not even · (root): is odd');
  });

  it('rejects rather than throws when the schema itself breaks', async () => {
    const broken = z.string().transform(() => {
      throw new Error('transform broke');
    });
    await expect(validate(broken, 'x')).rejects.toThrow('transform broke');
  });
});
