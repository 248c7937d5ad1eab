import { InvalidOptionsError } from '../core/errors.ts';
import { describe } from '../core/options.ts';
import type { GateSet, Policy } from '../core/policy.ts';
import type { Exchange, Guard } from './exchange/exchange.ts';
import { compileParts, type Part } from './forward/compose.ts';
import { Mirror } from './forward/mirror.ts';
import { type RepeatRules, repeatRulesOf } from './forward/repeat-rules.ts';
import {
  type GivenTimeouts,
  type PolicyChoice,
  parseRouteOptions,
  type ResolvedRouteOptions,
  type RouteHandler,
  type RouteOptions,
} from './router-options.ts';
import { type Condition, compileConditions } from './routes/conditions.ts';
import { originOf } from './routes/origin.ts';
import { compileRedirect, type Redirect } from './routes/redirect.ts';
import type { PathChange } from './routes/rewrite.ts';
import type { InstanceFilter } from './routes/route-types.ts';
import { compileSplit, filterOf, type Split } from './routes/split.ts';
import type { ForwardTimeouts } from './upstreams/upstream-request.ts';

/** Where a route leads. */
export type Destination =
  | {
      readonly kind: 'service';
      readonly service: string | ((exchange: Exchange) => string);
      readonly only: InstanceFilter | undefined;
    }
  | { readonly kind: 'origin'; readonly origin: string }
  | { readonly kind: 'split'; readonly split: Split }
  | { readonly kind: 'compose'; readonly parts: readonly Part[] }
  | { readonly kind: 'redirect'; readonly redirect: Redirect }
  | { readonly kind: 'handle'; readonly handle: RouteHandler };

/** A route, checked and ready. */
export interface Route {
  /** Another one for each route that is compiled. */
  readonly id: number;
  readonly pattern: string;
  readonly priority: number | undefined;
  readonly conditions: readonly Condition[];
  readonly destination: Destination;
  readonly change: PathChange;
  readonly guards: readonly Guard[];
  readonly policyFor: (exchange: Exchange) => Policy | undefined;
  /** When a request is made once more; undefined for never. */
  readonly repeats: RepeatRules | undefined;
  readonly timeouts: ForwardTimeouts;
  /** Milliseconds for all attempts together; 0 for no limit. */
  readonly total: number;
  readonly ownHost: boolean;
  readonly upgrade: boolean;
  readonly instanceBreakers: GateSet | undefined;
  /** Whether the upstream speaks HTTP/2. */
  readonly http2: boolean;
  readonly mirror: Mirror | undefined;
}

/** What a route may use of its router. */
export interface RouteScope {
  readonly timeouts: GivenTimeouts;
  /** Whether services can be found. */
  readonly hasRegistry: boolean;
  readonly guards: Readonly<Record<string, Guard>>;
  readonly policies: Readonly<Record<string, Policy | PolicyChoice>>;
  readonly handlers: Readonly<Record<string, RouteHandler>>;
}

const owner = 'RequestRouter.route';

let compiled = 0;

/**
 * Check a route's options.
 *
 * @throws InvalidOptionsError when they make no route.
 */
export function compileRoute(pattern: string, options: RouteOptions, scope: RouteScope): Route {
  const parsed = parseRouteOptions(options);
  const destination = destinationOf(parsed, scope);
  const mirror = parsed.mirror === undefined ? undefined : new Mirror(parsed.mirror);
  refuseUseless(parsed, destination);
  const services = destination.kind === 'compose' || servicesOf(destination, mirror);
  if (services && !scope.hasRegistry) {
    throw invalid(destination.kind, 'a router without a registry', 'a router with the option `registry`');
  }
  const { rewrite, stripPrefix, addPrefix } = parsed;
  compiled += 1;
  return {
    id: compiled,
    pattern,
    priority: parsed.priority,
    conditions: compileConditions(parsed.when),
    destination,
    change: { rewrite, stripPrefix, addPrefix },
    guards: parsed.guards.map((guard, index) => named(`guards.${index}`, 'guards', guard, scope.guards)),
    policyFor: policyOf(parsed.policy, scope),
    repeats: repeatRulesOf(parsed.retries, parsed.hedge),
    timeouts: timeoutsOf(parsed.timeouts, scope.timeouts),
    total: parsed.timeouts.total ?? scope.timeouts.total ?? 0,
    ownHost: !(parsed.preserveHost ?? servicesOf(destination, undefined)),
    upgrade: parsed.upgrade ?? false,
    instanceBreakers: parsed.instanceBreakers,
    http2: parsed.http2 ?? false,
    mirror,
  };
}

function policyOf(policy: ResolvedRouteOptions['policy'], scope: RouteScope): PolicyChoice {
  if (policy === undefined) return () => undefined;
  const found = named('policy', 'policies', policy, scope.policies);
  return typeof found === 'function' ? found : () => found;
}

/** Whether a request may go to a service. */
function servicesOf(destination: Destination, mirror: Mirror | undefined): boolean {
  if (mirror?.target.service !== undefined || destination.kind === 'service') return true;
  if (destination.kind !== 'split') return false;
  return destination.split.shares.some(({ target }) => target.service !== undefined);
}

/** @throws InvalidOptionsError for an option without effect, since whoever set it counts on one. */
function refuseUseless(parsed: ResolvedRouteOptions, { kind }: Destination): void {
  if (parsed.subset !== undefined && kind !== 'service') {
    throw invalid('subset', `a route without \`service\``, 'a subset beside `service`, or in `split`');
  }
  if (parsed.sticky !== undefined && kind !== 'split') {
    throw invalid('sticky', 'a route without `split`', '`sticky` beside `split`');
  }
  for (const name of ['retries', 'hedge'] as const) {
    if (parsed[name] !== undefined && (kind === 'redirect' || kind === 'handle')) {
      throw invalid(name, 'a route that forwards nothing', `\`${name}\` beside what is forwarded`);
    }
  }
  if (parsed.mirror !== undefined && kind !== 'service' && kind !== 'origin' && kind !== 'split') {
    throw invalid('mirror', 'a route that forwards nothing', 'a mirror beside `service`, `url` or `split`');
  }
}

const destinations = ['service', 'url', 'split', 'compose', 'redirect', 'handle'] as const;

function destinationOf(parsed: ResolvedRouteOptions, scope: RouteScope): Destination {
  const given = destinations.filter((name) => parsed[name] !== undefined);
  if (given.length !== 1) {
    const received = given.length === 0 ? 'none of them' : 'several of them';
    const accepts = `exactly one of ${destinations.map((name) => `\`${name}\``).join(', ')}`;
    throw invalid('options', received, accepts);
  }
  const { service, url, split, compose, redirect } = parsed;
  if (service !== undefined) return { kind: 'service', service, only: filterOf(parsed.subset) };
  if (url !== undefined) return { kind: 'origin', origin: originOf('url', url) };
  if (split !== undefined) return { kind: 'split', split: compileSplit(split, parsed.sticky) };
  if (compose !== undefined) return { kind: 'compose', parts: compileParts(owner, compose) };
  if (redirect !== undefined) return { kind: 'redirect', redirect: compileRedirect(redirect) };
  return { kind: 'handle', handle: named('handle', 'handlers', parsed.handle!, scope.handlers) };
}

/** What a name stands for, or what was given in its place. */
function named<T>(field: string, list: string, given: T | string, known: Readonly<Record<string, T>>): T {
  if (typeof given !== 'string') return given;
  if (Object.hasOwn(known, given)) return known[given]!;
  const names = Object.keys(known).join(', ') || 'there are none';
  throw invalid(field, describe(given), `a name from the router's option \`${list}\` (${names})`);
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
