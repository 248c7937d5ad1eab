/** What tells orchestrators and balancers whether the router lives, and whether it wants requests. */
import { warnOf } from '../core/log.ts';
import { functionOption, z } from '../core/options.ts';
import type { RouterState } from './router-life.ts';

/** Options of the health endpoints. They answer GET and HEAD on every host, before routes and guards. */
export interface HealthOptions {
  /** Answers 200 while the process can answer at all. Default `/livez`; false for none. */
  readonly live?: string | false | undefined;
  /** Answers 200 while the router wants requests, 503 from the beginning of a stop. Default `/readyz`; false for none. */
  readonly ready?: string | false | undefined;
  /** Asked each time for readiness, too: false, or an error, is 503. Default: nothing more is asked. */
  readonly check?: (() => boolean | Promise<boolean>) | undefined;
}

const path = z.string().regex(/^\/[\w./~-]*$/, { error: "a path such as '/readyz'" });

/** The option `health`, checked. */
export interface ResolvedHealth {
  readonly live: string | false;
  readonly ready: string | false;
  readonly check?: (() => boolean | Promise<boolean>) | undefined;
}

const object: z.ZodType<ResolvedHealth> = z.strictObject({
  live: z.union([path, z.literal(false)]).default('/livez'),
  ready: z.union([path, z.literal(false)]).default('/readyz'),
  check: functionOption<() => boolean | Promise<boolean>>().optional(),
});

/** The option `health`: false, true for the defaults, or options. */
export const healthSchema: z.ZodType<ResolvedHealth | undefined> = z.union([
  z.literal(false).transform(() => undefined),
  z.literal(true).transform((): ResolvedHealth => ({ live: '/livez', ready: '/readyz' })),
  object,
]);

/** What to answer to a request for the router's health; undefined when it is for something else. */
export function healthAnswer(
  health: ResolvedHealth,
  request: { readonly method: string; readonly path: string },
  state: RouterState,
): Response | Promise<Response> | undefined {
  if (request.method !== 'GET' && request.method !== 'HEAD') return undefined;
  if (request.path === health.live) return answer(200, { status: 'up' });
  if (request.path !== health.ready) return undefined;
  if (state !== 'running') return answer(503, { status: 'stopping' });
  return health.check === undefined ? answer(200, { status: 'ready' }) : checked(health.check);
}

async function checked(check: () => boolean | Promise<boolean>): Promise<Response> {
  try {
    if ((await check()) === true) return answer(200, { status: 'ready' });
    return answer(503, { status: 'not ready' });
  } catch (error) {
    warnOf('the readiness check of a router threw', error);
    return answer(503, { status: 'not ready' });
  }
}

function answer(status: number, body: object): Response {
  return Response.json(body, { status, headers: { 'cache-control': 'no-store' } });
}
