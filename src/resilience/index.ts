/**
 * Policies that stand between a service and what it calls: circuit breaker, retry and its budget, timeout,
 * bulkhead, adaptive limit, rate limiter, hedge, coalescing, fallback, chaos, and pipelines of them.
 *
 * @module
 */
export { parseRetryAfter } from '../core/retry-after.ts';
export {
  RetryBudget,
  type RetryBudgetEvents,
  type RetryBudgetExhausted,
  type RetryBudgetOptions,
} from '../core/retry-budget.ts';
export type { Slice, Tally } from '../core/window.ts';
export {
  type AdaptiveLimitEvents,
  type AdaptiveLimitOptions,
  type AdaptiveLimitPolicy,
  adaptiveLimit,
  type LimitChanged,
  type LimitRejected,
} from './adaptive-limit.ts';
export type { AnsweringPolicy, AnswerOf } from './answering-policy.ts';
export {
  Bulkhead,
  type BulkheadEvents,
  type BulkheadOptions,
  type BulkheadQueued,
  type BulkheadRejected,
  type BulkheadRunOptions,
} from './bulkhead.ts';
export {
  type ChaosEvents,
  type ChaosInjected,
  type ChaosOptions,
  type ChaosPolicy,
  chaos,
} from './chaos.ts';
export { CircuitBreaker, type TripOptions } from './circuit-breaker.ts';
export {
  CircuitBreakers,
  type CircuitBreakersEvents,
  type CircuitBreakersOptions,
  type KeyedBreaker,
} from './circuit-breakers.ts';
export type { CircuitMessage } from './circuit-channels.ts';
export type {
  CircuitBreakerOptions,
  CircuitReconfiguration,
  HalfOpenOptions,
} from './circuit-options.ts';
export {
  CircuitSharing,
  type CircuitSharingEvents,
  type CircuitSharingOptions,
  type SiblingHeeded,
  type TellingFailed,
} from './circuit-sharing.ts';
export type { CircuitSnapshot } from './circuit-snapshot.ts';
export type { CircuitToken } from './circuit-token.ts';
export type {
  CircuitBreakerEvents,
  CircuitCallFailed,
  CircuitCallIgnored,
  CircuitCallSucceeded,
  CircuitChanges,
  CircuitClosed,
  CircuitForced,
  CircuitHalfOpened,
  CircuitImported,
  CircuitMetrics,
  CircuitOpened,
  CircuitReconfigured,
  CircuitRejected,
  CircuitState,
  CircuitTotals,
  CircuitWouldTrip,
  ForcedState,
  TripReason,
} from './circuit-types.ts';
export {
  type CallShared,
  type CoalescedRunOptions,
  type CoalesceEvents,
  type CoalesceOptions,
  type CoalescePolicy,
  coalesce,
  type ResultReused,
} from './coalesce.ts';
export {
  type Alternative,
  type FallbackEvents,
  type FallbackOptions,
  type FallbackPolicy,
  type FellBack,
  fallback,
} from './fallback.ts';
export {
  type Hedged,
  type HedgeEvents,
  type HedgeOptions,
  type HedgePolicy,
  type HedgeQuantile,
  type HedgeWon,
  hedge,
} from './hedge.ts';
export type { LatencySummary } from './latency-histogram.ts';
export { pipeline } from './pipeline.ts';
export {
  type RateLimitedRunOptions,
  RateLimiter,
  type RateLimiterEvents,
  type RateLimiterOptions,
  type RateLimiterRejected,
  type RateStoreFailed,
} from './rate-limiter.ts';
export { retry } from './retry.ts';
export type {
  GaveUp,
  GiveUpReason,
  Recovered,
  Retried,
  RetryEvents,
  RetryOptions,
  RetryPolicy,
} from './retry-options.ts';
export { type TimeoutOptions, timeout } from './timeout.ts';
export type { Wait } from './wait.ts';
