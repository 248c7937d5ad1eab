import { describe, expect, it } from 'vitest';
import { isTraceparent, newTraceparent, requestIdOf } from '../../src/sidecar/trace.ts';
import { seededRandom } from '../../src/testing/test-runtime.ts';

const good = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

describe('requestIdOf', () => {
  it('keeps an acceptable id and replaces any other', () => {
    expect(requestIdOf('abc-123', () => 'new')).toBe('abc-123');
    for (const bad of [undefined, '', 'a b', 'a\r\nb', '<script>', 'x'.repeat(129), '"']) {
      expect(requestIdOf(bad, () => 'new')).toBe('new');
    }
  });
});

describe('traceparent', () => {
  it('is accepted as the specification says', () => {
    expect(isTraceparent(good)).toBe(true);
    expect(isTraceparent(`cc${good.slice(2)}-what-the-future-brings`)).toBe(true);
    for (const bad of [
      undefined,
      '',
      good.toUpperCase(),
      `${good}-more`,
      `ff${good.slice(2)}`,
      `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`,
      `00-4bf92f3577b34da6a3ce929d0e0e4736-${'0'.repeat(16)}-01`,
      good.slice(0, -1),
    ]) {
      expect(isTraceparent(bad), String(bad)).toBe(false);
    }
  });

  it('is made new, valid and different each time, whatever the random numbers', () => {
    const random = seededRandom(7);
    const made = Array.from({ length: 100 }, () => newTraceparent(random, true));
    expect(made.every(isTraceparent)).toBe(true);
    expect(new Set(made).size).toBe(100);
    expect(isTraceparent(newTraceparent(() => 0, false))).toBe(true);
    expect(newTraceparent(() => 0, false).endsWith('-00')).toBe(true);
  });
});
