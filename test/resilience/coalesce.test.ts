import { getEventListeners } from 'node:events';
import { describe, expect, it, vi } from 'vitest';
import { withCallContext } from '../../src/core/ambient.ts';
import { InvalidOptionsError, TimeoutError } from '../../src/core/errors.ts';
import { Call, type CallContext } from '../../src/core/policy.ts';
import { type CoalesceOptions, coalesce } from '../../src/resilience/coalesce.ts';
import { timeout } from '../../src/resilience/timeout.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { deferred, flush, never } from './support.ts';

function shared(options: CoalesceOptions = {}) {
  const runtime = testRuntime();
  const policy = coalesce({ runtime, ...options });
  const told: [string, object][] = [];
  for (const event of ['shared', 'reused'] as const) policy.on(event, (e) => told.push([event, e]));
  return { runtime, policy, told };
}

describe('coalesce', () => {
  it('lets concurrent calls of one key share one run, and those of others not', async () => {
    const { policy, told } = shared();
    const answer = deferred<object>();
    const work = vi.fn(() => answer.promise);
    const calls = ['a', 'a', 'b', 'a', undefined].map((key) => policy.run(work, { ...(key && { key }) }));
    expect(work).toHaveBeenCalledTimes(3);
    const result = {};
    answer.resolve(result);
    for (const call of calls) expect(await call).toBe(result);
    expect(told).toEqual([
      ['shared', { key: 'a', callers: 2 }],
      ['shared', { key: 'a', callers: 3 }],
    ]);
    await policy.run(work, { key: 'a' });
    expect(work).toHaveBeenCalledTimes(4);
  });

  it('shares an error too, but never keeps it', async () => {
    const { policy } = shared({ ttl: '1m' });
    let count = 0;
    const work = async (): Promise<number> => {
      count += 1;
      if (count === 1) throw new Error('down');
      return count;
    };
    const outcomes = await Promise.allSettled([1, 2].map(() => policy.run(work, { key: 'a' })));
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    await expect(policy.run(work, { key: 'a' })).resolves.toBe(2);
  });

  it('keeps results for their time, undefined too', async () => {
    const { policy, runtime, told } = shared({ ttl: 1_000 });
    const work = vi.fn(() => undefined);
    await policy.run(work, { key: 'a' });
    runtime.clock.advanceSync(999);
    await expect(policy.run(work, { key: 'a' })).resolves.toBeUndefined();
    expect(work).toHaveBeenCalledTimes(1);
    expect(told).toEqual([['reused', { key: 'a', age: 999 }]]);
    runtime.clock.advanceSync(1);
    await policy.run(work, { key: 'a' });
    expect(work).toHaveBeenCalledTimes(2);
    expect(runtime.clock.pending).toBe(0);
  });

  it('keeps no more than its capacity: those used longest ago go', async () => {
    const { policy } = shared({ ttl: '1m', capacity: 2 });
    const work = vi.fn((key: string) => key);
    const ask = (key: string): Promise<string> => policy.run(() => work(key), { key });
    for (const key of ['a', 'b', 'a', 'c', 'a', 'b']) expect(await ask(key)).toBe(key);
    expect(work.mock.calls.flat()).toEqual(['a', 'b', 'c', 'b']);
  });

  it('forgets a key or all, also what is under way', async () => {
    const { policy } = shared({ ttl: '1m' });
    let version = 1;
    const answers = [deferred<number>(), deferred<number>()];
    const load = (): Promise<number> => answers[version - 1]?.promise ?? Promise.resolve(version);
    const before = policy.run(load, { key: 'a' });
    policy.forget('a');
    version = 2;
    const after = policy.run(load, { key: 'a' });
    answers[1]?.resolve(2);
    expect(await after).toBe(2);
    answers[0]?.resolve(1);
    expect(await before).toBe(1);
    version = 3;
    expect(await policy.run(load, { key: 'a' })).toBe(2);
    policy.forget();
    expect(await policy.run(load, { key: 'a' })).toBe(3);
  });

  it('a caller that gives up leaves; the run is aborted when the last has left', async () => {
    const { policy } = shared();
    const callers = [new AbortController(), new AbortController()];
    let signal: AbortSignal | undefined;
    const work = vi.fn((context: CallContext) => {
      signal = context.signal;
      return never();
    });
    const calls = callers.map((caller) => policy.run(work, { key: 'a', signal: caller.signal }));
    callers[0]?.abort(new Error('first'));
    await expect(calls[0]).rejects.toThrow('first');
    expect(signal?.aborted).toBe(false);
    callers[1]?.abort(new Error('last'));
    await expect(calls[1]).rejects.toThrow('last');
    expect(signal?.reason).toEqual(new Error('last'));
    for (const caller of callers) expect(getEventListeners(caller.signal, 'abort')).toHaveLength(0);
    void policy.run(work, { key: 'a' });
    expect(work).toHaveBeenCalledTimes(2);
    expect(signal?.aborted).toBe(false);
  });

  it('the limit of one caller ends nothing for the others', async () => {
    const { policy, runtime } = shared();
    const answer = deferred<number>();
    const hasty = policy.run(() => answer.promise, { key: 'a', timeout: 10 });
    const patient = policy.run(() => answer.promise, { key: 'a' });
    const timedOut = expect(hasty).rejects.toBeInstanceOf(TimeoutError);
    await runtime.clock.advance(10);
    await timedOut;
    answer.resolve(5);
    await expect(patient).resolves.toBe(5);
  });

  it('what the first caller inherits limits the others neither', async () => {
    const { policy, runtime } = shared();
    const inner = timeout('1s', { runtime });
    const answer = deferred<number>();
    const work = (): Promise<number> => inner.run(() => answer.promise);
    const first = withCallContext(new Call(undefined, 1, 50), () => policy.run(work, { key: 'a' }));
    const second = policy.run(work, { key: 'a' });
    const timedOut = expect(first).rejects.toBeInstanceOf(TimeoutError);
    await runtime.clock.advance(100);
    await timedOut;
    answer.resolve(7);
    await expect(second).resolves.toBe(7);
  });

  it('a synchronous throw is an error like any other', async () => {
    const { policy } = shared();
    const bad = (): never => {
      throw new Error('sync');
    };
    await expect(policy.run(bad, { key: 'a' })).rejects.toThrow('sync');
    await flush();
    await expect(policy.run(() => 1, { key: 'a' })).resolves.toBe(1);
  });

  describe('wrap', () => {
    it('tells plain arguments apart, and shares nothing for others', async () => {
      const { policy } = shared();
      const load = vi.fn(async (...parts: unknown[]) => parts);
      const wrapped = policy.wrap(load);
      const list = [['a', 1], ['a', 1], ['a', '1'], ['a,1'], [null], ['null'], [{}], [{}], [NaN], [NaN], []];
      await Promise.all(list.map((parts) => wrapped(...parts)));
      expect(load).toHaveBeenCalledTimes(10);
    });

    it('asks the key of the option; one that throws fails the call', async () => {
      const { policy } = shared({ key: (user: { id: string }) => user.id.trim() });
      const load = vi.fn(async (user: { id: string }) => user.id);
      const wrapped = policy.wrap(load);
      expect(await Promise.all([wrapped({ id: 'a' }), wrapped({ id: ' a' })])).toEqual(['a', 'a']);
      expect(load).toHaveBeenCalledOnce();
      await expect(wrapped({} as never)).rejects.toThrow(TypeError);
    });

    it('keeps this', async () => {
      const { policy } = shared();
      const shop = {
        name: 'kelp',
        greet: policy.wrap(function greet(this: { name: string }) {
          return this.name;
        }),
      };
      await expect(shop.greet()).resolves.toBe('kelp');
    });
  });

  it.each([{ ttl: -1 }, { capacity: 0 }, { key: 'id' }, { max: 3 }])('refuses %o', (options) => {
    expect(() => coalesce(options as never)).toThrow(InvalidOptionsError);
  });
});
