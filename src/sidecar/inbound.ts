import type { Runtime } from '../core/runtime.ts';
import type { Guard } from '../gateway/exchange/exchange.ts';
import { RequestRouter } from '../gateway/request-router.ts';
import type { SidecarSettings } from './settings.ts';
import { isTraceparent, newTraceparent, requestIdOf } from './trace.ts';

/** Gives every request an id and a trace, unless it brings its own: then one story can be told from many logs. */
export function identify(runtime: Runtime, sampling: number): Guard {
  const { id, random } = runtime;
  return ({ headers }) => {
    const received = headers.get('x-request-id');
    const requestId = requestIdOf(received, id);
    if (requestId !== received) headers.set('x-request-id', requestId);
    if (isTraceparent(headers.get('traceparent'))) return;
    headers.set('traceparent', newTraceparent(random, random() < sampling));
    // State that belongs to another trace must not be attached to this one.
    headers.delete('tracestate');
  };
}

/** The listener in front of the app: whatever comes in goes to the app on localhost. */
export function inboundRouter(options: SidecarSettings, runtime: Runtime): RequestRouter {
  const { app, inbound, sampling } = options;
  const host = app.host.includes(':') ? `[${app.host}]` : app.host;
  return new RequestRouter({
    name: `${app.name}-inbound`,
    trustedProxies: inbound.trustedProxies,
    // Nothing is decided by path here, and some apps have parameters behind semicolons.
    paths: { semicolon: 'keep' },
    runtime,
  })
    .use(identify(runtime, sampling))
    .route('/*', {
      url: `http://${host}:${app.port}`,
      // The app should see what it would see without a sidecar.
      preserveHost: true,
      upgrade: true,
      timeouts: { firstByte: inbound.timeout },
    });
}
