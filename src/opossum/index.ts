/**
 * The interface of opossum, on holdfast's circuit breaker: for moving code that uses opossum without rewriting it.
 *
 * @module
 */
export { CircuitBreaker } from './circuit-breaker.ts';
export type { CircuitBreakerOptions } from './options.ts';
export type { CircuitBreakerStats } from './rolling-stats.ts';
