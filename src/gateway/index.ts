export type { Gate, GateSet, Permit } from '../core/policy.ts';
export type { HandedOver } from './doors/node-door.ts';
export type { ListenAddress, ListenOptions } from './doors/node-server.ts';
export type { FetchInfo } from './doors/web-door.ts';
export type { AnswerFilter, AnswerHead, AnswerHeaders, BodyWatcher } from './exchange/answer-filter.ts';
export type { Exchange, Guard, GuardResult } from './exchange/exchange.ts';
export type { ExchangeOutcome } from './exchange/exchange-record.ts';
export type { Principal } from './exchange/principal.ts';
export type { ExplainedDestination, ExplainedShare, PassedOver, RouteExplanation } from './explain.ts';
export type { RetryBudgetShare, RouteHedge, RouteRetries } from './forward/repeat-rules.ts';
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
export type { HealthOptions } from './health.ts';
export type { AddedHeaders, HeaderList, RequestHeaders } from './http/headers.ts';
export type { PathRules } from './http/path.ts';
export type { ImaginedRequest } from './imagined.ts';
export { RequestRouter } from './request-router.ts';
export type { RouteDefinition } from './route-set.ts';
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
export type { RouteConditions, ValueCondition } from './routes/conditions.ts';
export type {
  MirrorOptions,
  RedirectOptions,
  ServiceSubset,
  SplitShare,
  StickyKey,
} from './routes/route-types.ts';
export { type StopOnSignalsOptions, type Stoppable, stopOnSignals } from './stop-on-signals.ts';
export type { UpstreamTls } from './upstreams/upstream-tls.ts';
