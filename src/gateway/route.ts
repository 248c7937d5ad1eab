import { InvalidOptionsError } from '../core/errors.ts';
import { describe } from '../core/options.ts';
import type { Policy } from '../core/policy.ts';
import { compileParts, type Part } from './compose.ts';
import { type Condition, compileConditions } from './conditions.ts';
import type { Exchange, Guard } from './exchange.ts';
import type { PathChange } from './outbound.ts';
import {
  type GivenTimeouts,
  parseRouteOptions,
  type ResolvedRouteOptions,
  type RouteOptions,
} from './router-options.ts';
import type { ForwardTimeouts } from './upstream-call.ts';

/** Where a route leads. */
export type Destination =
  | { readonly kind: 'service'; readonly service: string | ((exchange: Exchange) => string) }
  | { readonly kind: 'origin'; readonly origin: string }
  | { readonly kind: 'compose'; readonly parts: readonly Part[] }
  | { readonly kind: 'handle'; readonly handle: NonNullable<RouteOptions['handle']> };

/** A route, checked and ready. */
export interface Route {
  readonly pattern: string;
  readonly priority: number | undefined;
  readonly conditions: readonly Condition[];
  readonly destination: Destination;
  readonly change: PathChange;
  readonly guards: readonly Guard[];
  readonly policyFor: (exchange: Exchange) => Policy | undefined;
  readonly timeouts: ForwardTimeouts;
  readonly ownHost: boolean;
  readonly upgrade: boolean;
}

const owner = 'RequestRouter.route';

/**
 * Check a route's options.
 *
 * @param hasRegistry whether services can be found.
 * @throws InvalidOptionsError when they make no route.
 */
export function compileRoute(
  pattern: string,
  options: RouteOptions,
  fallback: GivenTimeouts,
  hasRegistry: boolean,
): Route {
  const parsed = parseRouteOptions(options);
  const destination = destinationOf(parsed);
  if (!hasRegistry && (destination.kind === 'service' || destination.kind === 'compose')) {
    throw invalid(destination.kind, 'a router without a registry', 'a router with the option `registry`');
  }
  const { policy } = parsed;
  return {
    pattern,
    priority: parsed.priority,
    conditions: compileConditions(parsed.when),
    destination,
    change: { rewrite: parsed.rewrite, stripPrefix: parsed.stripPrefix },
    guards: parsed.guards,
    policyFor: typeof policy === 'function' ? policy : () => policy,
    timeouts: timeoutsOf(parsed.timeouts, fallback),
    ownHost: !(parsed.preserveHost ?? destination.kind !== 'origin'),
    upgrade: parsed.upgrade ?? false,
  };
}

function destinationOf(parsed: ResolvedRouteOptions): Destination {
  const { service, url, compose, handle } = parsed;
  const given = [service, url, compose, handle].filter((value) => value !== undefined);
  if (given.length !== 1) {
    const received = given.length === 0 ? 'none of them' : 'several of them';
    throw invalid('options', received, 'exactly one of `service`, `url`, `compose`, `handle`');
  }
  if (service !== undefined) return { kind: 'service', service };
  if (url !== undefined) return { kind: 'origin', origin: originOf(url) };
  if (compose !== undefined) return { kind: 'compose', parts: compileParts(owner, compose) };
  return { kind: 'handle', handle: handle! };
}

function originOf(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const bare =
    parsed !== undefined && `${parsed.origin}/` === parsed.href && /^https?:$/.test(parsed.protocol);
  if (!bare) {
    throw invalid(
      'url',
      describe(url),
      "an http(s) origin without a path, such as 'http://127.0.0.1:3000'; see `rewrite`",
    );
  }
  return parsed.origin;
}

function timeoutsOf(own: GivenTimeouts, fallback: GivenTimeouts): ForwardTimeouts {
  return {
    connect: own.connect ?? fallback.connect ?? 5_000,
    firstByte: own.firstByte ?? fallback.firstByte ?? 30_000,
    idle: own.idle ?? fallback.idle ?? 300_000,
  };
}

function invalid(field: string, received: string, accepts: string): InvalidOptionsError {
  return new InvalidOptionsError(owner, [{ field, received, accepts }]);
}
