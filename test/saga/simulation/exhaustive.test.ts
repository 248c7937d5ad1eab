import { describe, expect, it } from 'vitest';
import { engine } from './engine.ts';
import { exhaust, exhaustiveSagas } from './exhaustive.ts';

describe('every first fault at every boundary, and then every second crash', () => {
  it.each(Object.keys(exhaustiveSagas))('%s', { timeout: 600_000 }, async (name) => {
    const report = await exhaust(engine, name);
    if (process.env.VERBOSE) console.log(name, report);
    expect(report.runs).toBeGreaterThan(100);
  });
});
