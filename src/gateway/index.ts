export type { Gate, GateSet, Permit } from '../core/policy.ts';
export type { AnswerFilter, AnswerHead, AnswerHeaders, BodyWatcher } from './answer-filter.ts';
export type { RouteConditions, ValueCondition } from './conditions.ts';
export type { Exchange, Guard, GuardResult } from './exchange.ts';
export type { ExchangeOutcome } from './exchange-record.ts';
export type { ExplainedDestination, ExplainedShare, PassedOver, RouteExplanation } from './explain.ts';
export {
  type CacheOptions,
  type CacheStats,
  cache,
  type ResponseCache,
} from './guards/cache/response-cache.ts';
export { type CompressOptions, compress } from './guards/compress.ts';
export { type CorsOptions, cors } from './guards/cors.ts';
export { type FaultAbort, type FaultDelay, type FaultOptions, injectFaults } from './guards/inject-faults.ts';
export { type JsonWebKeySet, type JwtOptions, jwt } from './guards/jwt.ts';
export { limitSize, type SizeLimits } from './guards/limit-size.ts';
export type { ContentCoding } from './guards/negotiate.ts';
export { type RateLimitOptions, rateLimit } from './guards/rate-limit.ts';
export { type RequestIdOptions, requestId } from './guards/request-id.ts';
export {
  type SecurityHeadersOptions,
  type StrictTransport,
  securityHeaders,
} from './guards/security-headers.ts';
export { type TraceContextOptions, traceContext } from './guards/trace-context.ts';
export type { AddedHeaders, HeaderList, RequestHeaders } from './headers.ts';
export type { HealthOptions } from './health.ts';
export type { ImaginedRequest } from './imagined.ts';
export type { HandedOver } from './node-door.ts';
export type { ListenAddress, ListenOptions } from './node-server.ts';
export type { PathRules } from './path.ts';
export type { Principal } from './principal.ts';
export type { RetryBudgetShare, RouteHedge, RouteRetries } from './repeat-rules.ts';
export { RequestRouter } from './request-router.ts';
export type { RouteDefinition } from './route-set.ts';
export type {
  MirrorOptions,
  RedirectOptions,
  ServiceSubset,
  SplitShare,
  StickyKey,
} from './route-types.ts';
export type {
  RequestFinished,
  RequestMirrored,
  RequestRefused,
  RequestRepeated,
  RequestRouterEvents,
  RouterListening,
  RouterStopped,
  RoutesReplaced,
  UpstreamFailed,
  WorkerExited,
} from './router-events.ts';
export type { RouterStopOptions } from './router-life.ts';
export type { RouterLimits } from './router-limits.ts';
export type {
  ComposePart,
  PolicyChoice,
  RequestRouterOptions,
  RouteHandler,
  RouteOptions,
  UpstreamTimeouts,
} from './router-options.ts';
export { type StopOnSignalsOptions, type Stoppable, stopOnSignals } from './stop-on-signals.ts';
export type { UpstreamTls } from './upstream-tls.ts';
export type { FetchInfo } from './web-door.ts';
