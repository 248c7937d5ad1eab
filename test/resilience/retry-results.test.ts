import { describe, expect, it, vi } from 'vitest';
import { patient } from './retry-stage.ts';

describe('retry', () => {
  describe('retryIfResult', () => {
    const statuses =
      (...given: number[]): (() => { status: number }) =>
      () => ({ status: given.shift() ?? 0 });
    const retryIfResult = (result: unknown): boolean => (result as { status: number }).status === 503;

    it('tries again after a result that it refuses', async () => {
      const { runtime, policy, told } = patient({ retryIfResult });
      await expect(runtime.clock.settle(policy.run(statuses(503, 503, 200)))).resolves.toEqual({
        status: 200,
      });
      expect(told).toMatchObject([
        ['retried', { attempt: 1, error: undefined, result: { status: 503 }, wait: 100 }],
        ['retried', { attempt: 2, wait: 200 }],
        ['recovered', { attempt: 3 }],
      ]);
    });

    it('gives the last result when no attempt is left', async () => {
      const { runtime, policy, told } = patient({ retryIfResult });
      await expect(runtime.clock.settle(policy.run(statuses(503, 503, 503)))).resolves.toEqual({
        status: 503,
      });
      expect(told.at(-1)).toMatchObject(['gaveUp', { attempt: 3, reason: 'attempts-exhausted' }]);
    });

    it('waits as long as the result asks for', async () => {
      const { runtime, policy } = patient({ retryIfResult });
      const answers = [new Response('', { status: 503, headers: { 'retry-after': '7' } }), new Response('')];
      const response = await runtime.clock.settle(policy.run(() => answers.shift()));
      expect([response?.status, runtime.clock.now()]).toEqual([200, 7_000]);
    });

    it('that throws is a no, with a warning', async () => {
      const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
      const { policy } = patient({ retryIfResult: () => JSON.parse('{') });
      await expect(policy.run(() => 1)).resolves.toBe(1);
      expect(warn).toHaveBeenCalledOnce();
      warn.mockRestore();
    });
  });
});
