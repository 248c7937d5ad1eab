import type { Balancer, BalanceStrategy, Endpoint } from './balancer.ts';

interface RoundRobinState {
  /** How far this endpoint is behind its share; the one that is furthest behind is next. */
  credit: number;
}

/**
 * Each instance in turn, in proportion to its weight and evenly interleaved: smooth weighted round robin (Igor Sysoev,
 * nginx 1.3.1, 2012). A pick looks at every instance. The turn begins at random, so that many clients that start
 * together do not all begin with the same instance.
 *
 * It knows nothing of how instances fare: prefer {@link p2c} unless all calls cost the same.
 */
export function roundRobin(): BalanceStrategy {
  return {
    name: 'round-robin',
    create: ({ random }): Balancer<RoundRobinState> => ({
      admit: (instance) => ({ credit: (random() - 0.5) * instance.weight }),
      choose: nextInTurn,
      learn() {},
    }),
  };
}

function nextInTurn(endpoints: readonly Endpoint<RoundRobinState>[]): Endpoint<RoundRobinState> {
  let total = 0;
  let next = endpoints[0]!;
  for (const endpoint of endpoints) {
    total += endpoint.instance.weight;
    endpoint.state.credit += endpoint.instance.weight;
    if (endpoint.state.credit > next.state.credit) next = endpoint;
  }
  next.state.credit -= total;
  return next;
}
