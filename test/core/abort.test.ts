import { describe, expect, it } from 'vitest';
import { within } from '../../src/core/abort.ts';
import { abortSource, unlimitedCall } from '../../src/core/policy.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';

const never = <T>(): Promise<T> => new Promise(() => {});

describe('within', () => {
  it('passes an abort through every limit down to the innermost work', async () => {
    const { clock } = testRuntime();
    const caller = new AbortController();
    const seen: AbortSignal[] = [];
    const call = within(clock, 10_000, { signal: caller.signal, attempt: 1, deadline: undefined }, (outer) =>
      within(clock, 5_000, outer, (inner) => {
        seen.push(inner.signal);
        return never();
      }),
    );
    caller.abort(new Error('gone'));
    await expect(call).rejects.toThrow('gone');
    expect(seen[0]?.aborted).toBe(true);
    await clock.advance(0);
    expect(clock.pending).toBe(0);
  });

  it('has no signal to listen to where nothing can abort', () => {
    expect(abortSource(unlimitedCall)).toBeUndefined();
  });
});
