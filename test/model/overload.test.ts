/** A tenth of the world, for a third of the time; `npm run simulate` runs the whole. */
import { describe, expect, it } from 'vitest';
import { defences, goodputShare, recoveryTime, simulate, type World, world } from './overload.ts';

const small = (seed: number): World => ({
  ...world,
  clients: 100,
  servers: 5,
  overloadFrom: 10,
  overloadUntil: 30,
  end: 60,
  seed,
});

describe.each([1, 2])('an overload of 20 s, seed %d', (seed) => {
  it('does not end for clients that only retry', async () => {
    const seconds = await simulate(defences.retries, small(seed));
    expect(goodputShare(seconds, 3, 10)).toBeGreaterThan(0.99);
    expect(goodputShare(seconds, 20, 30)).toBeLessThan(0.05);
    expect(goodputShare(seconds, 40, 60)).toBeLessThan(0.05);
    expect(recoveryTime(seconds, 30)).toBe(Number.POSITIVE_INFINITY);
    // The retries alone are more than the servers can do.
    const requests = seconds.slice(40).reduce((sum, second) => sum + second.requests, 0) / 20;
    expect(requests).toBeGreaterThan(200);
  });

  it('is not over within seconds for those with a budget alone', async () => {
    const seconds = await simulate(defences.budget, small(seed));
    expect(goodputShare(seconds, 20, 30)).toBeLessThan(0.05);
    expect(recoveryTime(seconds, 30)).toBeGreaterThan(10);
    // But what retries add is bounded, so that the servers can catch up.
    const [requests, calls] = (['requests', 'calls'] as const).map((key) =>
      seconds.slice(40).reduce((sum, second) => sum + second[key], 0),
    );
    expect(requests! / calls!).toBeLessThan(1.3);
  });

  it('ends soon, too, for those with a budget and a breaker, who suffer while it lasts', async () => {
    const seconds = await simulate(defences.breaker, small(seed));
    expect(goodputShare(seconds, 15, 30)).toBeLessThan(0.7);
    // When exactly depends on whether their breakers are just open or just flooding the servers.
    expect(recoveryTime(seconds, 30)).toBeLessThanOrEqual(15);
  });

  it('is over within seconds for those with a budget, a breaker and an adaptive limit', async () => {
    const seconds = await simulate(defences.all, small(seed));
    expect(goodputShare(seconds, 3, 10)).toBeGreaterThan(0.99);
    // The servers can do five sixths of what is asked of them.
    expect(goodputShare(seconds, 15, 30)).toBeGreaterThan(0.7);
    expect(recoveryTime(seconds, 30)).toBeLessThanOrEqual(5);
    expect(goodputShare(seconds, 40, 60)).toBeGreaterThan(0.99);
  });
});
