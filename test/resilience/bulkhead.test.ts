import { AsyncLocalStorage } from 'node:async_hooks';
import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { BulkheadFullError, InvalidOptionsError, TimeoutError } from '../../src/core/errors.ts';
import { Bulkhead } from '../../src/resilience/bulkhead.ts';
import { pipeline } from '../../src/resilience/pipeline.ts';
import { timeout } from '../../src/resilience/timeout.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { bulkheadOf } from './bulkhead-stage.ts';
import { type Deferred, deferred, flush, never } from './support.ts';

describe('Bulkhead', () => {
  it('runs up to its limit, queues up to its bound, and refuses the rest at once', async () => {
    const { bulkhead, begun, gates, call } = bulkheadOf({ limit: 2, queue: 1 });
    const calls = [call('a'), call('b'), call('c')];
    await expect(call('d')).rejects.toMatchObject({ code: 'HOLDFAST_BULKHEAD_FULL', retryable: true });
    expect([bulkhead.running, bulkhead.waiting]).toEqual([2, 1]);
    expect(begun).toEqual(['a', 'b']);
    gates.a?.resolve('a');
    await flush();
    expect(begun).toEqual(['a', 'b', 'c']);
    gates.b?.resolve('b');
    gates.c?.resolve('c');
    expect(await Promise.all(calls)).toEqual(['a', 'b', 'c']);
    expect([bulkhead.running, bulkhead.waiting]).toEqual([0, 0]);
  });

  it('begins work at once, in the same turn, when a slot is free', () => {
    const { begun, call } = bulkheadOf();
    void call('a');
    expect(begun).toEqual(['a']);
  });

  it('serves the queue in order, and lets nobody push in', async () => {
    const { begun, gates, call } = bulkheadOf();
    void call('a');
    void call('b');
    void call('c');
    gates.a?.resolve('a');
    await gates.a?.promise;
    // The slot is free and b is about to take it; d comes later and must not be first.
    void call('d').catch(() => {});
    await flush();
    expect(begun).toEqual(['a', 'b']);
    gates.b?.resolve('b');
    await flush();
    expect(begun).toEqual(['a', 'b', 'c']);
  });

  it('rule 21: holds the slot until the work settles, not until its caller timed out (Hystrix #1867, opossum)', async () => {
    const { runtime, bulkhead, gates, call } = bulkheadOf({ queue: 0 });
    const limited = pipeline(timeout(100, { runtime }), bulkhead);
    const gate = deferred<string>();
    const calls = [
      expect(call('a', { timeout: 100 })).rejects.toBeInstanceOf(TimeoutError),
      expect(limited.run(() => 'b')).rejects.toBeInstanceOf(BulkheadFullError),
    ];
    await runtime.clock.advance(100);
    await Promise.all(calls);
    expect(bulkhead.running).toBe(1);
    await expect(call('c')).rejects.toBeInstanceOf(BulkheadFullError);
    gates.a?.resolve('late');
    await flush();
    const again = expect(limited.run(() => gate.promise)).rejects.toBeInstanceOf(TimeoutError);
    await runtime.clock.advance(100);
    await again;
    expect(bulkhead.running).toBe(1);
    gate.reject(new Error('late, and nobody listens'));
    await flush();
    expect(bulkhead.running).toBe(0);
  });

  it('frees the slot however the work ends', async () => {
    const { bulkhead } = bulkheadOf();
    const ends = [
      () => 'value',
      () => undefined,
      () => Promise.reject(new Error('rejected')),
      () => {
        throw new Error('thrown');
      },
    ];
    for (const end of ends) await bulkhead.run<unknown>(end).catch(() => {});
    await flush();
    expect(bulkhead.running).toBe(0);
  });

  it('a caller that gives up leaves the queue at once, and its place is free', async () => {
    const { bulkhead, begun, gates, call } = bulkheadOf({ queue: 1 });
    const work = call('a');
    for (let n = 0; n < 100; n += 1) {
      const caller = new AbortController();
      const queued = call(`gone ${n}`, { signal: caller.signal });
      caller.abort(new Error('gone'));
      await expect(queued).rejects.toThrow('gone');
      expect(getEventListeners(caller.signal, 'abort')).toHaveLength(0);
    }
    expect(bulkhead.waiting).toBe(0);
    const next = call('b');
    gates.a?.resolve('a');
    await work;
    await flush();
    expect(begun).toEqual(['a', 'b']);
    gates.b?.resolve('b');
    await expect(next).resolves.toBe('b');
    expect(bulkhead.running).toBe(0);
  });

  it('a caller that gives up in the moment it is given a slot does not keep it (cockatiel #112)', async () => {
    const { bulkhead, begun, gates, call } = bulkheadOf();
    const caller = new AbortController();
    void call('a');
    const queued = expect(call('b', { signal: caller.signal })).rejects.toThrow('gone');
    const next = call('c');
    gates.a?.resolve('a');
    for (let turn = 0; bulkhead.waiting === 2 && turn < 20; turn += 1) await Promise.resolve();
    caller.abort(new Error('gone'));
    await queued;
    await flush();
    expect(begun).toEqual(['a', 'c']);
    gates.c?.resolve('c');
    await next;
    await flush();
    expect(bulkhead.running).toBe(0);
  });

  it('one that waits too long is refused, as by a full bulkhead', async () => {
    const { runtime, bulkhead, call } = bulkheadOf({ queueTimeout: 500 });
    const told: string[] = [];
    bulkhead.on('rejected', ({ reason }) => told.push(reason));
    bulkhead.on('queued', ({ waiting }) => told.push(`queued ${waiting}`));
    void call('a');
    const queued = expect(call('b')).rejects.toBeInstanceOf(BulkheadFullError);
    await runtime.clock.advance(500);
    await queued;
    expect([bulkhead.running, bulkhead.waiting]).toEqual([1, 0]);
    expect(told).toEqual(['queued 1', 'queue-timeout']);
    expect(runtime.clock.pending).toBe(0);
  });

  it('queued work keeps the async context of its own caller', async () => {
    const { bulkhead, gates, call } = bulkheadOf({ queue: 3 });
    const storage = new AsyncLocalStorage<string>();
    void call('a');
    const gone = new AbortController();
    const left = storage.run('one', () => call('gone', { signal: gone.signal }));
    gone.abort(new Error('gone'));
    await expect(left).rejects.toThrow('gone');
    const read = ['two', 'three'].map((name) =>
      storage.run(name, () => bulkhead.run(() => storage.getStore())),
    );
    gates.a?.resolve('a');
    expect(await Promise.all(read)).toEqual(['two', 'three']);
  });

  it('never runs more than its limit and never starves, in any order (seed 13)', async () => {
    const action = fc.oneof(
      fc.constant('call' as const),
      fc.record({ settle: fc.nat(10) }),
      fc.record({ abort: fc.nat(10) }),
      fc.constant('flush' as const),
    );
    const options = fc.record({
      limit: fc.integer({ min: 1, max: 3 }),
      queue: fc.integer({ min: 0, max: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(options, fc.array(action, { maxLength: 40 }), async ({ limit, queue }, actions) => {
        const bulkhead = new Bulkhead({ name: 'pool', limit, queue, runtime: testRuntime() });
        const gates: Deferred<void>[] = [];
        const callers: AbortController[] = [];
        let inside = 0;
        for (const step of actions) {
          if (step === 'flush') await flush();
          else if (step === 'call') {
            const caller = new AbortController();
            callers.push(caller);
            const work = async (): Promise<void> => {
              inside += 1;
              expect(inside).toBeLessThanOrEqual(limit);
              const gate = deferred();
              gates.push(gate);
              await gate.promise;
              inside -= 1;
            };
            bulkhead.run(work, { signal: caller.signal }).catch(() => {});
          } else if ('settle' in step) gates.splice(step.settle % (gates.length || 1), 1)[0]?.resolve();
          else callers.splice(step.abort % (callers.length || 1), 1)[0]?.abort(new Error('gone'));
          expect(bulkhead.waiting).toBeLessThanOrEqual(queue);
        }
        for (let round = 0; bulkhead.running + bulkhead.waiting > 0; round += 1) {
          expect(round).toBeLessThan(50);
          await flush();
          for (const gate of gates.splice(0)) gate.resolve();
          await flush();
        }
        expect(inside).toBe(0);
      }),
      { seed: 13, numRuns: 300 },
    );
  });

  it('refuses without a stack, and costs the caller no timer', async () => {
    const { runtime, call } = bulkheadOf({ queue: 0 });
    void call('a');
    const error: Error = await call('b').then(
      () => expect.unreachable(),
      (caught) => caught,
    );
    expect(error.stack).not.toContain('\n    at ');
    expect(runtime.clock.pending).toBe(0);
  });

  it('wraps a function', async () => {
    const { bulkhead } = bulkheadOf();
    await expect(bulkhead.wrap((a: number, b: number) => a + b)(40, 2)).resolves.toBe(42);
  });

  it.each([
    { limit: 0 },
    { limit: 1.5 },
    { queue: -1 },
    { queueTimeout: 0 },
    { max: 3 },
    { limit: undefined },
  ])('refuses %o', (options) => {
    expect(() => new Bulkhead({ name: 'pool', limit: 1, ...options } as never)).toThrow(InvalidOptionsError);
  });

  it('does not begin work of a caller that had given up before', async () => {
    const { call, begun } = bulkheadOf();
    void call('a');
    const work = vi.fn(never);
    await expect(call('b', { signal: AbortSignal.abort(new Error('gone')) })).rejects.toThrow('gone');
    expect(begun).toEqual(['a']);
    expect(work).not.toHaveBeenCalled();
  });
});
