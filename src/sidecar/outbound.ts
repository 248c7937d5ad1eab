import { isIP } from 'node:net';
import { ProblemError } from '../core/errors.ts';
import { nameOption } from '../core/options.ts';
import type { Runtime } from '../core/runtime.ts';
import type { Exchange } from '../gateway/exchange/exchange.ts';
import { RequestRouter } from '../gateway/request-router.ts';
import type { Resolver } from '../ports/resolver.ts';
import { identify } from './inbound.ts';
import type { ServicePolicies } from './service-policies.ts';
import type { SidecarSettings } from './settings.ts';

const serviceName = nameOption();

/**
 * The service that a request is for: the host that it names, as `Host` or, from a client that uses the listener as its
 * HTTP proxy, in an absolute target.
 *
 * @throws ProblemError 400 when it names the listener itself: then nobody said which service is meant.
 */
export function serviceOf(exchange: Pick<Exchange, 'host'>): string {
  const { host } = exchange;
  if (host === 'localhost' || isIP(host) !== 0 || !serviceName.safeParse(host).success) {
    throw new ProblemError(
      400,
      'name the service to call: send `Host: <service>`, or use this listener as HTTP proxy for http://<service>/',
    );
  }
  return host;
}

/** The listener that the app calls other services through. Only what is in the registry can be reached by it. */
export function outboundRouter(
  options: SidecarSettings,
  registry: Resolver,
  policies: ServicePolicies,
  runtime: Runtime,
): RequestRouter {
  return new RequestRouter({ name: `${options.app.name}-outbound`, registry, runtime })
    .use(identify(runtime, options.sampling))
    .route('/*', {
      service: serviceOf,
      policy: (exchange) => policies.of(serviceOf(exchange)),
      upgrade: true,
      // How long an attempt may take is the policy's to say; an instance that is gone should be left quickly.
      timeouts: { connect: '2s', firstByte: 0 },
    });
}
