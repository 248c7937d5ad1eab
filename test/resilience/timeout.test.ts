import { describe, expect, it } from 'vitest';
import { InvalidOptionsError, TimeoutError } from '../../src/core/errors.ts';
import { timeout } from '../../src/resilience/timeout.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';

const never = <T>(): Promise<T> => new Promise(() => {});

describe('timeout', () => {
  it('rejects at the limit and aborts the signal of that call only', async () => {
    const runtime = testRuntime();
    const policy = timeout('2s', { runtime });
    const signals: AbortSignal[] = [];
    const hang = (): Promise<never> =>
      policy.run(({ signal }) => {
        signals.push(signal);
        return never();
      });
    const first = expect(hang()).rejects.toBeInstanceOf(TimeoutError);
    await runtime.clock.advance(1_000);
    const second = expect(hang()).rejects.toBeInstanceOf(TimeoutError);
    await runtime.clock.advance(1_000);
    await first;
    expect(signals.map((s) => s.aborted)).toEqual([true, false]);
    await runtime.clock.advance(1_000);
    await second;
  });

  it('settles as the work does, and leaves no timer behind', async () => {
    const runtime = testRuntime();
    const policy = timeout('2s', { runtime });
    await expect(policy.run(async () => 42)).resolves.toBe(42);
    await expect(policy.run(() => 42)).resolves.toBe(42);
    await expect(policy.run(() => undefined)).resolves.toBeUndefined();
    await expect(
      policy.run(() => {
        throw new RangeError('sync');
      }),
    ).rejects.toThrow('sync');
    expect(runtime.clock.pending).toBe(0);
  });

  it('gives way to a nearer outer deadline', async () => {
    const runtime = testRuntime();
    const outer = timeout(100, { runtime });
    const inner = timeout('10s', { runtime });
    const call = expect(outer.run((context) => inner.run(never, context))).rejects.toThrow('100 ms');
    await runtime.clock.advance(100);
    await call;
    expect(runtime.clock.pending).toBe(0);
  });

  it('rejects with the reason of the caller that gave up, and takes its listener off', async () => {
    const runtime = testRuntime();
    const controller = new AbortController();
    const call = timeout('1s', { runtime }).run(never, { signal: controller.signal });
    controller.abort(new Error('gone'));
    await expect(call).rejects.toThrow('gone');
    expect(runtime.clock.pending).toBe(0);
  });

  it.each([0, -1, Number.NaN, '5 s', '-1s', 'soon', {}, undefined])('refuses the limit %o', (limit) => {
    expect(() => timeout(limit as never)).toThrow(InvalidOptionsError);
  });
});
