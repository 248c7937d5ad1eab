import type { Runtime } from '../core/runtime.ts';
import { RequestRouter } from '../gateway/request-router.ts';
import type { Prometheus } from '../telemetry/prometheus.ts';

/** What the sidecar tells of itself. */
export interface SidecarStatus {
  /** `starting` until it was healthy once; `failed` when it crashed too often and was given up. */
  readonly app: 'starting' | 'up' | 'down' | 'failed';
  /** The app's process id, when it runs and is ours. */
  readonly pid: number | undefined;
  /** How often the app was started again. */
  readonly restarts: number;
  /** Whether others can find the app. */
  readonly registered: boolean;
  /** Whether the sidecar is on its way out. */
  readonly draining: boolean;
}

/** Whether the app can be given requests now. */
export function isReady(status: SidecarStatus): boolean {
  return status.app === 'up' && status.registered && !status.draining;
}

/**
 * The listener for people, orchestrators and Prometheus: `/healthz`, `/healthz/outbound`, `/readyz`, `/metrics`. It
 * changes nothing, so it asks for no credentials; what it tells is nobody's business outside, so it stays on loopback
 * unless told otherwise.
 */
export function adminRouter(
  app: string,
  status: () => SidecarStatus,
  metrics: Prometheus,
  runtime: Runtime,
): RequestRouter {
  const answer = (healthy: boolean): Response =>
    Response.json(status(), { status: healthy ? 200 : 503, headers: { 'cache-control': 'no-store' } });
  // Probes and scrapes would drown the app's own numbers.
  return new RequestRouter({ name: `${app}-admin`, runtime: { ...runtime, telemetry: undefined } })
    .route('GET,HEAD /healthz', { handle: () => answer(status().app === 'up') })
    .route('GET,HEAD /healthz/outbound', { handle: () => answer(true) })
    .route('GET,HEAD /readyz', { handle: () => answer(isReady(status())) })
    .route('GET,HEAD /metrics', {
      handle: () => new Response(metrics.render(), { headers: { 'content-type': metrics.contentType } }),
    });
}
