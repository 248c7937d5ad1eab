import { describe, expect, it } from 'vitest';
import { failing, patient } from './retry-stage.ts';

describe('retry', () => {
  describe('retryAfter', () => {
    it.each([
      ['longer than the backoff is waited for', 5_000, 5_000],
      ['shorter than the backoff changes nothing', 5, 100],
      ['at the maximum is waited for', 30_000, 30_000],
      ['below 0 is ignored', -1, 100],
      ['NaN is ignored', Number.NaN, 100],
      ['that is text is ignored', '5', 100],
    ])('%s', async (_name, retryAfter, waited) => {
      const { runtime, policy } = patient();
      const error = Object.assign(new Error('busy'), { retryAfter });
      await runtime.clock.settle(policy.run(failing(1, error)));
      expect(runtime.clock.now()).toBe(waited);
    });

    it.each([30_001, 1e12, Number.POSITIVE_INFINITY])(
      'of %s ms is too long: gives up',
      async (retryAfter) => {
        const { policy, told } = patient();
        const error = Object.assign(new Error('busy'), { retryAfter });
        await expect(policy.run(failing(1, error))).rejects.toBe(error);
        expect(told).toMatchObject([['gaveUp', { reason: 'retry-after-too-long' }]]);
      },
    );
  });

  describe('the header Retry-After', () => {
    const wallTime = 1_893_456_000_000;
    const inFiveSeconds = 'Tue, 01 Jan 2030 00:00:05 GMT';

    it.each([
      ['seconds, in the headers of a response', { headers: new Headers({ 'retry-after': '5' }) }, 5_000],
      [
        'a date, in the headers of a response',
        { headers: new Headers({ 'retry-after': inFiveSeconds }) },
        5_000,
      ],
      [
        'headers as an object, of the response of an error',
        { response: { headers: { 'retry-after': '5' } } },
        5_000,
      ],
      ['-1', { headers: { 'retry-after': '-1' } }, 100],
      ['1e9', { headers: { 'retry-after': '1e9' } }, 100],
      ['Infinity', { headers: { 'retry-after': 'Infinity' } }, 100],
      ['nothing', { headers: { 'retry-after': '' } }, 100],
      ['a date that has passed', { headers: { 'retry-after': 'Sun, 06 Nov 1994 08:49:37 GMT' } }, 100],
      ['several values', { headers: { 'retry-after': ['5', '6'] } }, 100],
      ['headers that throw', { headers: { get: () => JSON.parse('{') } }, 100],
    ])('as %s is honoured or harmless', async (_name, fields, waited) => {
      const { runtime, policy } = patient();
      expect(runtime.clock.wallTime()).toBe(wallTime);
      await runtime.clock.settle(policy.run(failing(1, Object.assign(new Error('busy'), fields))));
      expect(runtime.clock.now()).toBe(waited);
    });
  });
});
