import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GcraTable, gcra } from '../../src/core/gcra.ts';

interface Scenario {
  readonly rule: { readonly limit: number; readonly period: number; readonly burst: number };
  /** When the clock starts: monotonic clocks start near 0, wall clocks at 1.9e12. */
  readonly start: number;
  readonly requests: readonly { readonly wait: number; readonly cost: number }[];
}

const scenario: fc.Arbitrary<Scenario> = fc.record({
  rule: fc.record({
    limit: fc.integer({ min: 1, max: 50 }),
    period: fc.constantFrom(100, 1_000, 7_777, 60_000),
    burst: fc.integer({ min: 1, max: 20 }),
  }),
  start: fc.constantFrom(0, 123.456, 1e9, 1.9e12),
  requests: fc.array(
    fc.record({
      wait: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 2_000, noNaN: true })),
      cost: fc.constantFrom(1, 1, 1, 2, 3),
    }),
    { maxLength: 60 },
  ),
});

/** Play the requests; each with when it came and what was decided. */
function play({ rule, start, requests }: Scenario): { at: number; cost: number; allowed: boolean }[] {
  let now = start;
  let arrival: number | undefined;
  return requests.map(({ wait, cost }) => {
    now += wait;
    const decision = gcra(arrival, now, rule, cost);
    arrival = decision.arrival;
    return { at: now, cost, allowed: decision.allowed };
  });
}

describe('gcra', () => {
  it('allows in no interval more than the burst and what the rate gives in that time', () => {
    fc.assert(
      fc.property(scenario, (given) => {
        const { limit, period, burst } = given.rule;
        const taken = play(given).filter((r) => r.allowed);
        for (let from = 0; from < taken.length; from += 1) {
          let sum = 0;
          for (let to = from; to < taken.length; to += 1) {
            sum += taken[to]!.cost;
            const time = taken[to]!.at - taken[from]!.at;
            // A hundredth of a request for rounding, at wall times of 1.9e12.
            expect(sum).toBeLessThanOrEqual(burst + (time / period) * limit + 0.01);
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it('refuses only when the burst is used up: a token bucket that refills steadily would refuse it too', () => {
    fc.assert(
      fc.property(scenario, (given) => {
        const { limit, period, burst } = given.rule;
        let [tokens, last] = [burst, given.start];
        for (const { at, cost, allowed } of play(given)) {
          tokens = Math.min(burst, tokens + ((at - last) / period) * limit);
          last = at;
          if (!allowed) expect(tokens).toBeLessThan(cost);
          else tokens -= cost;
        }
      }),
      { numRuns: 300 },
    );
  });

  it('charges nothing for a refusal', () => {
    const rule = { limit: 1, period: 1_000 };
    const first = gcra(undefined, 0, rule);
    let arrival = first.arrival;
    for (let n = 0; n < 100; n += 1) {
      const refused = gcra(arrival, 10, rule);
      expect(refused.allowed).toBe(false);
      arrival = refused.arrival;
    }
    expect(arrival).toBe(first.arrival);
    expect(gcra(arrival, 1_000, rule).allowed).toBe(true);
  });

  it('allows what it refused after exactly `retryAfter`, and the whole burst after `resetAfter`', () => {
    fc.assert(
      fc.property(scenario, ({ rule, start, requests }) => {
        let now = start;
        let arrival: number | undefined;
        for (const { wait, cost } of requests) {
          now += wait;
          const decision = gcra(arrival, now, rule, cost);
          arrival = decision.arrival;
          if (!decision.allowed && cost <= rule.burst) {
            expect(decision.retryAfter).toBeGreaterThan(0);
            expect(gcra(arrival, now + decision.retryAfter, rule, cost).allowed).toBe(true);
          }
          expect(gcra(arrival, now + decision.resetAfter, rule, rule.burst).allowed).toBe(true);
          expect(decision.remaining).toBeLessThanOrEqual(rule.burst);
        }
      }),
    );
  });

  it.each([0, 1e9, 1.9e12])('allows a whole burst at once, and counts it down, on a clock at %d', (now) => {
    const rule = { limit: 3, period: 1_000, burst: 300 };
    let arrival: number | undefined;
    for (let left = 299; left >= 0; left -= 1) {
      const decision = gcra(arrival, now, rule);
      expect(decision).toMatchObject({ allowed: true, remaining: left });
      arrival = decision.arrival;
    }
    expect(gcra(arrival, now, rule).allowed).toBe(false);
  });

  it('never allows a cost above the burst', () => {
    expect(gcra(undefined, 0, { limit: 5, period: 1_000 }, 6)).toMatchObject({
      allowed: false,
      remaining: 5,
    });
  });
});

describe('GcraTable', () => {
  const rule = { limit: 1, period: 1_000 };

  it('keeps keys apart, names of inherited properties too', () => {
    const table = new GcraTable();
    for (const key of ['a', 'b', '__proto__', 'constructor', '']) {
      expect(table.take(key, 0, rule).allowed).toBe(true);
      expect(table.take(key, 0, rule).allowed).toBe(false);
    }
    expect(table.size).toBe(5);
  });

  it('forgets those that are idle longest when it is full', () => {
    const table = new GcraTable(2);
    table.take('a', 0, rule);
    table.take('b', 1, rule);
    table.take('a', 2, rule);
    table.take('c', 3, rule);
    expect(table.size).toBe(2);
    expect(table.take('a', 4, rule).allowed).toBe(false);
    expect(table.take('b', 4, rule).allowed).toBe(true);
  });
});
