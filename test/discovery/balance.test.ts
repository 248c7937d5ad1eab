import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidOptionsError } from '../../src/core/errors.ts';
import type { BalanceStrategy } from '../../src/discovery/balance/balancer.ts';
import { p2c } from '../../src/discovery/balance/p2c.ts';
import { roundRobin } from '../../src/discovery/balance/round-robin.ts';
import { Endpoints } from '../../src/discovery/endpoints.ts';
import { ManualClock } from '../../src/testing/manual-clock.ts';
import { seededRandom } from '../../src/testing/test-runtime.ts';
import { instance, type SimulatedHost, simulate } from './balance-simulation.ts';

const strategies: readonly BalanceStrategy[] = [p2c(), roundRobin()];

function endpointsOf(strategy: BalanceStrategy, seed = 1): { endpoints: Endpoints; clock: ManualClock } {
  const clock = new ManualClock();
  return { clock, endpoints: new Endpoints(strategy.create({ random: seededRandom(seed) }), clock) };
}

/** Ten hosts, the first of which is different. */
function tenHosts(first: Partial<SimulatedHost>): readonly SimulatedHost[] {
  return Array.from({ length: 10 }, (_, at) => ({ slots: 4, mean: 10, ...(at === 0 ? first : {}) }));
}

describe.each(strategies)('$name', (strategy) => {
  it('picks only what is in the newest set, and leaves draining and excluded ones for last', () => {
    const id = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f');
    const member = fc.record({
      id,
      status: fc.constantFrom('up' as const, 'draining' as const),
      weight: fc.constantFrom(0.001, 1, 1, 7, 1_000_000),
    });
    const step = fc.record({
      set: fc.uniqueArray(member, { selector: (each) => each.id }),
      picks: fc.array(
        fc.record({ exclude: fc.uniqueArray(id), outcome: fc.constantFrom('success', 'failure') }),
      ),
    });
    fc.assert(
      fc.property(fc.array(step), fc.nat(), (steps, seed) => {
        const { endpoints, clock } = endpointsOf(strategy, seed);
        for (const { set, picks } of steps) {
          endpoints.update(set.map((each) => instance(each.id, each)));
          for (const { exclude, outcome } of picks) {
            const pick = endpoints.pick(new Set(exclude));
            clock.advanceSync(7);
            pick?.done(outcome as 'success');
            const best = bestCandidates(set, exclude);
            if (pick === undefined) expect(set).toEqual([]);
            else expect(best).toContain(pick.instance.id);
          }
        }
      }),
    );
  });

  it.each([1, 2, 3])('gives each instance its share by weight (seed %i)', (seed) => {
    const { endpoints, clock } = endpointsOf(strategy, seed);
    const random = seededRandom(seed + 100);
    const weights = { a: 1, b: 2, c: 5 };
    endpoints.update(Object.entries(weights).map(([id, weight]) => instance(id, { weight })));
    const counts: Record<string, number> = { a: 0, b: 0, c: 0 };
    for (let call = 0; call < 20_000; call += 1) {
      const pick = endpoints.pick(undefined)!;
      counts[pick.instance.id]! += 1;
      clock.advanceSync(9 + 2 * random());
      pick.done('success');
    }
    for (const [id, weight] of Object.entries(weights)) {
      expect(Math.abs(counts[id]! / 20_000 - weight / 8)).toBeLessThan(0.02);
    }
  });

  it('picks the only one there is, and nothing from nothing', () => {
    const { endpoints } = endpointsOf(strategy);
    expect(endpoints.pick(undefined)).toBeUndefined();
    endpoints.update([instance('a')]);
    expect(endpoints.pick(new Set(['a']))?.instance.id).toBe('a');
  });
});

function bestCandidates(
  set: readonly { id: string; status: string }[],
  exclude: readonly string[],
): string[] {
  const up = set.filter((each) => each.status === 'up');
  const draining = set.filter((each) => each.status === 'draining');
  const fresh = (each: { id: string }): boolean => !exclude.includes(each.id);
  const groups = [up.filter(fresh), draining.filter(fresh), up, draining];
  return (groups.find((group) => group.length > 0) ?? []).map((each) => each.id);
}

describe('round-robin', () => {
  it('takes equal instances strictly in turn', () => {
    const { endpoints } = endpointsOf(roundRobin());
    endpoints.update(['a', 'b', 'c'].map((id) => instance(id)));
    const picked = Array.from({ length: 9 }, () => endpoints.pick(undefined)!.instance.id);
    expect(picked.slice(3)).toEqual(picked.slice(0, 6));
    expect(new Set(picked.slice(0, 3)).size).toBe(3);
  });

  it('does not begin with the same instance in every process', () => {
    const firsts = Array.from({ length: 50 }, (_, seed) => {
      const { endpoints } = endpointsOf(roundRobin(), seed);
      endpoints.update(['a', 'b', 'c'].map((id) => instance(id)));
      return endpoints.pick(undefined)!.instance.id;
    });
    expect(new Set(firsts).size).toBe(3);
  });
});

describe('p2c', () => {
  it('prefers the instance with fewer calls in flight', () => {
    const { endpoints } = endpointsOf(p2c());
    endpoints.update(['a', 'b', 'c', 'd'].map((id) => instance(id)));
    const counts: Record<string, number> = {};
    for (let call = 0; call < 400; call += 1) {
      const { id } = endpoints.pick(undefined)!.instance;
      counts[id] = (counts[id] ?? 0) + 1;
    }
    for (const count of Object.values(counts)) expect(Math.abs(count - 100)).toBeLessThan(30);
  });

  it('keeps what it learnt of an instance when others come and go, and forgets it when its address changes', () => {
    const { endpoints, clock } = endpointsOf(p2c({ probation: '1h' }));
    endpoints.update([instance('good'), instance('bad')]);
    const shareOfBad = (): number => {
      let bad = 0;
      for (let call = 0; call < 200; call += 1) {
        const pick = endpoints.pick(undefined)!;
        clock.advanceSync(10);
        const isBad = pick.instance.url === 'http://bad:3000';
        if (pick.instance.id === 'bad') bad += 1;
        pick.done(isBad ? 'failure' : 'success');
      }
      return bad / 200;
    };
    shareOfBad();
    expect(shareOfBad()).toBe(0);
    endpoints.update([instance('good'), instance('bad'), instance('new')]);
    expect(shareOfBad()).toBe(0);
    endpoints.update([instance('good'), instance('bad', { url: 'http://moved:3000' })]);
    expect(shareOfBad()).toBeGreaterThan(0.2);
  });

  it('does not hold a cancelled call against the instance', () => {
    const { endpoints, clock } = endpointsOf(p2c({ probation: '1h' }));
    endpoints.update([instance('a'), instance('b')]);
    let a = 0;
    for (let call = 0; call < 1_000; call += 1) {
      const pick = endpoints.pick(undefined)!;
      // Callers of `a` always give up, late.
      const isA = pick.instance.id === 'a';
      clock.advanceSync(isA ? 5_000 : 10);
      pick.done(isA ? 'cancelled' : 'success');
      if (isA) a += 1;
    }
    expect(a).toBeGreaterThan(300);
  });

  it('counts only the first outcome of a pick', () => {
    const { endpoints } = endpointsOf(p2c());
    endpoints.update([instance('a'), instance('b')]);
    const pick = endpoints.pick(undefined)!;
    for (let times = 0; times < 5; times += 1) pick.done('success');
    // A negative count of calls in flight would draw every pick to it.
    const counts: Record<string, number> = { a: 0, b: 0 };
    for (let call = 0; call < 20; call += 1) counts[endpoints.pick(undefined)!.instance.id]! += 1;
    expect(Math.abs(counts.a! - counts.b!)).toBeLessThanOrEqual(6);
  });

  it('tries again what it has left aside, and returns to it when it is well', () => {
    const { endpoints, clock } = endpointsOf(p2c());
    endpoints.update([instance('a'), instance('b')]);
    let broken = true;
    const call = (): string => {
      const pick = endpoints.pick(undefined)!;
      clock.advanceSync(10);
      pick.done(broken && pick.instance.id === 'a' ? 'failure' : 'success');
      return pick.instance.id;
    };
    for (let calls = 0; calls < 1_000; calls += 1) call();
    broken = false;
    for (let calls = 0; calls < 6_000; calls += 1) call();
    const share = Array.from({ length: 1_000 }, call).filter((id) => id === 'a').length / 1_000;
    expect(share).toBeGreaterThan(0.25);
  });

  it.each([7, 8, 9])('sends hardly anything to a host that fails at once (seed %i)', (seed) => {
    const options = { hosts: tenHosts({ fails: true }), clients: 64, rate: 1_500, calls: 40_000, seed };
    expect(simulate({ ...options, strategy: roundRobin() }).errors).toBeGreaterThan(0.08);
    expect(simulate({ ...options, strategy: p2c() }).errors).toBeLessThan(0.01);
  });

  it('does so also where calls take longer than the penalty', () => {
    const hosts = tenHosts({ fails: true }).map((host) => ({ ...host, mean: 5_000 }));
    const result = simulate({ strategy: p2c(), hosts, clients: 4, rate: 4, calls: 8_000, seed: 7 });
    expect(result.errors).toBeLessThan(0.05);
  });

  it.each([7, 8, 9])('keeps the tail short when one host of ten is five times slower (seed %i)', (seed) => {
    const options = { hosts: tenHosts({ mean: 50 }), clients: 64, rate: 2_800, calls: 40_000, seed };
    // Round robin overloads the slow host without end.
    expect(simulate({ ...options, strategy: roundRobin() }).percentile(0.99)).toBeGreaterThan(1_000);
    expect(simulate({ ...options, strategy: p2c() }).percentile(0.99)).toBeLessThan(100);
  });

  it('gives a canary its small share', () => {
    const result = simulate({
      strategy: p2c(),
      hosts: tenHosts({ weight: 0.1 }),
      clients: 64,
      rate: 1_000,
      calls: 40_000,
      seed: 7,
    });
    expect(result.shares[0]).toBeGreaterThan(0.005);
    expect(result.shares[0]).toBeLessThan(0.02);
  });

  it.each([{ memory: 0 }, { penalty: '-1s' }, { probation: Number.NaN }, { decay: '1s' }])(
    'refuses the options %o',
    (options) => {
      expect(() => p2c(options as never)).toThrow(InvalidOptionsError);
    },
  );
});
