/** What a breaker says of itself. */
import { describe, expect, it } from 'vitest';
import { smallBreaker } from './support.ts';

describe('latency', () => {
  it('is measured when asked for, and told as quantiles', async () => {
    const { breaker, runtime } = smallBreaker({ latency: '1m' });
    for (const duration of [10, 20, 1_000]) {
      const call = breaker.run(() => new Promise<void>((done) => runtime.clock.schedule(duration, done)));
      await runtime.clock.settle(call);
    }
    const { calls, p50, max } = breaker.metrics.latency!;
    expect(calls).toBe(3);
    expect(Math.abs(p50 - 20)).toBeLessThanOrEqual(20 / 32);
    expect(Math.abs(max - 1_000)).toBeLessThanOrEqual(1_000 / 32);
    expect(smallBreaker().breaker.metrics.latency).toBeUndefined();
  });
});

describe('explain', () => {
  it('says where it is, why, and what would change that, in every state', async () => {
    const { breaker, runtime, open, fail } = smallBreaker({
      slowThreshold: '2s',
      consecutiveFailures: 9,
      warmUp: 1,
    });
    expect(breaker.explain()).toBe(
      'test is closed: calls pass; of the last 4 calls 0 calls are recorded, 0 failed, 0 slow. ' +
        'It is warming up and does not open by itself for another 1 ms. ' +
        'It opens when 50 % of them have failed once 2 more calls have settled, ' +
        'or when 50 % of them took longer than 2 s once 2 more calls have settled, or at 9 failures in a row.',
    );
    await runtime.clock.advance(1);
    await open();
    expect(breaker.explain()).toBe(
      'test is open: calls are rejected. It opened because 2 of 2 calls failed (100 %; the limit is 50 %). ' +
        'The last of it: down. In 1 s it lets 2 calls pass as probes; reset() closes it now.',
    );
    await runtime.clock.advance(1_000);
    await fail();
    expect(breaker.explain()).toBe(
      'test is half-open: 1 of 2 probes have settled, 1 of them failed; 1 more may pass, other calls are rejected. ' +
        'It opened because 2 of 2 calls failed (100 %; the limit is 50 %). The last of it: down. ' +
        'It closes when less than 50 % of the probes fail, and opens again otherwise.',
    );
    for (const [forced, words] of [
      ['open', 'every call is rejected'],
      ['disabled', 'none is recorded'],
      ['metrics-only', 'calls pass and are recorded'],
    ] as const) {
      breaker.force(forced);
      expect(breaker.explain()).toContain(words);
      expect(breaker.explain()).toContain('force(undefined) ends that.');
    }
  });
});
