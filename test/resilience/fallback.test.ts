import { describe, expect, it, vi } from 'vitest';
import { InvalidOptionsError, TimeoutError } from '../../src/core/errors.ts';
import { fallback } from '../../src/resilience/fallback.ts';
import { pipeline } from '../../src/resilience/pipeline.ts';
import { timeout } from '../../src/resilience/timeout.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { never } from './support.ts';

const fail = (): Promise<string> => Promise.reject(new Error('down'));

describe('fallback', () => {
  it('answers for work that fails, and is told the error and the context', async () => {
    const policy = fallback((error, { attempt }) => `${(error as Error).message} at ${attempt}`);
    await expect(policy.run(fail)).resolves.toBe('down at 1');
    await expect(policy.run(() => 'fine')).resolves.toBe('fine');
    await expect(policy.wrap((name: string) => Promise.reject(new Error(name)))('gone')).resolves.toBe(
      'gone at 1',
    );
  });

  it('tells of it, before the alternative answers', async () => {
    const runtime = testRuntime();
    const policy = fallback(() => 'cached', { name: 'prices', runtime });
    const told = vi.fn();
    const off = policy.on('fellBack', told);
    await policy.run(fail);
    off();
    await policy.run(fail);
    expect(told).toHaveBeenCalledExactlyOnceWith({ error: new Error('down') });
    expect(runtime.events).toMatchObject([
      { primitive: 'fallback', name: 'prices', type: 'fellBack' },
      { primitive: 'fallback', name: 'prices', type: 'fellBack' },
    ]);
  });

  it('lets errors pass that it is not meant for', async () => {
    const policy = fallback(() => 'cached', { when: (error) => error instanceof TimeoutError });
    await expect(policy.run(fail)).rejects.toThrow('down');
  });

  it('lets the error pass when `when` throws', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const policy = fallback(() => 'cached', {
      when: () => {
        throw new Error('a bug');
      },
    });
    await expect(policy.run(fail)).rejects.toThrow('down');
    expect(warn).toHaveBeenCalledOnce();
    warn.mockRestore();
  });

  it('gives the error of the alternative when it fails, too', async () => {
    const thrown = fallback(() => {
      throw new Error('cache is empty');
    });
    await expect(thrown.run(fail)).rejects.toThrow('cache is empty');
    const rejected = fallback(() => Promise.reject(new Error('cache is down')));
    await expect(rejected.run(fail)).rejects.toThrow('cache is down');
  });

  it('chains in a pipeline, the last resort first', async () => {
    const replica = fallback(() => Promise.reject(new Error('replica down')));
    const empty = fallback((error) => (error as Error).message);
    await expect(pipeline(empty, replica).run(fail)).resolves.toBe('replica down');
  });

  it('answers for a timeout inside it, but not for a caller that is gone', async () => {
    const runtime = testRuntime();
    const alternative = vi.fn(() => 'cached');
    const policy = pipeline(fallback(alternative, { runtime }), timeout(100, { runtime }));
    const call = policy.run<string>(never);
    await runtime.clock.advance(100);
    await expect(call).resolves.toBe('cached');
    expect(alternative).toHaveBeenCalledOnce();

    const caller = new AbortController();
    const gone = policy.run<string>(never, { signal: caller.signal });
    caller.abort(new Error('gone'));
    await expect(gone).rejects.toThrow('gone');
    await runtime.clock.advance(100);
    expect(alternative).toHaveBeenCalledOnce();
  });

  it('refuses an alternative that is no function, and unknown options', () => {
    expect(() => fallback('cached' as never)).toThrow(InvalidOptionsError);
    expect(() => fallback(() => 'cached', { if: true } as never)).toThrow(InvalidOptionsError);
  });
});
