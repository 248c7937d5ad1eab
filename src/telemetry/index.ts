export { type AccessLog, type AccessLogOptions, accessLog } from './access-log.ts';
export { combineTelemetry } from './combine-telemetry.ts';
export type { Labels } from './exposition.ts';
export { type Prometheus, type PrometheusOptions, prometheus } from './prometheus.ts';
