import { AsyncLocalStorage } from 'node:async_hooks';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { InvalidOptionsError } from '../../src/core/errors.ts';
import { Bulkhead, type BulkheadOptions } from '../../src/resilience/bulkhead.ts';
import { pipeline } from '../../src/resilience/pipeline.ts';
import { timeout } from '../../src/resilience/timeout.ts';
import { WaitingLine } from '../../src/resilience/waiting-line.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { bulkheadOf } from './bulkhead-stage.ts';
import { deferred } from './support.ts';

describe('Bulkhead', () => {
  describe('priorities', () => {
    /** A bulkhead of one slot that is taken, and what was begun after it was freed. */
    function busy(options: Partial<BulkheadOptions> = {}) {
      const runtime = testRuntime();
      const bulkhead = new Bulkhead({ name: 'pool', limit: 1, queue: 9, runtime, ...options });
      const first = deferred<void>();
      void bulkhead.run(() => first.promise);
      const begun: string[] = [];
      const call = (name: string, priority?: number): Promise<string> =>
        bulkhead
          .run(() => begun.push(name), priority === undefined ? undefined : { priority })
          .then(
            () => 'done',
            (error: { code: string }) => error.code,
          );
      return { bulkhead, begun, call, free: () => first.resolve(undefined), runtime };
    }

    it('serve the most urgent first, and equal ones in their order', async () => {
      const { begun, call, free } = busy();
      const calls = [call('a'), call('b', 5), call('c', 9), call('d', 5), call('e', 0)];
      free();
      await Promise.all(calls);
      expect(begun).toEqual(['c', 'b', 'd', 'a', 'e']);
    });

    it('let an urgent call take the place of the last of the least urgent where the queue is full', async () => {
      const { bulkhead, begun, call, free } = busy({ queue: 3 });
      const told = vi.fn();
      bulkhead.on('rejected', told);
      const calls = [call('a', 1), call('b', 1), call('c', 2), call('d', 3), call('e', 1), call('f', 1)];
      free();
      expect(await Promise.all(calls)).toEqual([
        'done',
        'HOLDFAST_BULKHEAD_FULL',
        'done',
        'done',
        'HOLDFAST_BULKHEAD_FULL',
        'HOLDFAST_BULKHEAD_FULL',
      ]);
      expect(begun).toEqual(['d', 'c', 'a']);
      expect(told.mock.calls.map(([{ reason }]) => reason)).toEqual(['displaced', 'full', 'full']);
    });

    it('come from the option where the call does not say, also within a pipeline', async () => {
      const urgency = new AsyncLocalStorage<number>();
      const { bulkhead, begun, call, free, runtime } = busy({ priority: () => urgency.getStore() ?? 0 });
      const through = pipeline(timeout('1s', { runtime }), bulkhead);
      const calls = [call('a'), urgency.run(7, () => through.run(() => begun.push('b'))), call('c', 8)];
      free();
      await Promise.all(calls);
      expect(begun).toEqual(['c', 'b', 'a']);
    });

    it('that cannot be had are 0, with a warning', async () => {
      const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
      for (const priority of [() => 10, () => JSON.parse('{')]) {
        const { begun, call, free } = busy({ priority });
        const calls = [call('a'), call('b', 1)];
        free();
        await Promise.all(calls);
        expect(begun).toEqual(['b', 'a']);
      }
      expect(warn).toHaveBeenCalledTimes(2);
      warn.mockRestore();
    });

    it.each([-1, 10, 1.5, Number.NaN, '5'])('of a call may not be %o', async (priority) => {
      const { bulkhead } = bulkheadOf();
      await expect(bulkhead.run(() => 1, { priority: priority as never })).rejects.toBeInstanceOf(
        InvalidOptionsError,
      );
      expect(() => new Bulkhead({ name: 'pool', limit: 1, priority: priority as never })).toThrow(
        InvalidOptionsError,
      );
    });

    it('are kept whatever comes and goes, as by a list that is searched', () => {
      const step = fc.oneof(
        fc.record({ add: fc.integer({ min: 0, max: 9 }) }),
        fc.record({ remove: fc.nat() }),
        fc.constant({ serve: true }),
      );
      fc.assert(
        fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
          const line = new WaitingLine<object>();
          let model: { readonly waiter: object; readonly priority: number }[] = [];
          const drop = (gone: object | undefined): void => {
            model = model.filter(({ waiter }) => waiter !== gone);
          };
          for (const one of steps) {
            if ('add' in one) {
              const waiter = {};
              line.add(waiter, one.add);
              model.push({ waiter, priority: one.add });
            } else if ('remove' in one) {
              const gone = model[one.remove % Math.max(1, model.length)];
              if (gone !== undefined) line.delete(gone.waiter, gone.priority);
              drop(gone?.waiter);
            } else {
              const highest = Math.max(...model.map(({ priority }) => priority));
              const next = model.find(({ priority }) => priority === highest);
              expect(line.first()).toBe(next?.waiter);
              if (next !== undefined) line.delete(next.waiter, next.priority);
              drop(next?.waiter);
            }
            const lowest = Math.min(...model.map(({ priority }) => priority));
            const last = model.findLast(({ priority }) => priority === lowest);
            expect(line.lastBelow(9)).toBe(lowest < 9 ? last?.waiter : undefined);
            expect(line.size).toBe(model.length);
          }
        }),
      );
    });
  });
});
