import type { Duration } from '../core/duration.ts';
import {
  durationOption,
  functionOption,
  methodsOption,
  nameOption,
  parseOptions,
  runtimeOption,
  z,
} from '../core/options.ts';
import type { GateSet, Policy, RetryAllowance } from '../core/policy.ts';
import type { Runtime } from '../core/runtime.ts';
import type { Resolver } from '../ports/resolver.ts';
import type { Exchange, Guard } from './exchange/exchange.ts';
import { mirrorSchema, type ResolvedMirror } from './forward/mirror.ts';
import {
  hedgeOption,
  type ResolvedHedge,
  type ResolvedRetries,
  type RetryBudgetShare,
  type RouteHedge,
  type RouteRetries,
  retriesOption,
  retryBudgetOption,
} from './forward/repeat-rules.ts';
import { type HealthOptions, healthSchema, type ResolvedHealth } from './health.ts';
import type { PathRules } from './http/path.ts';
import { limitsSchema, type ResolvedLimits, type RouterLimits } from './router-limits.ts';
import { conditionsSchema, type RouteConditions } from './routes/conditions.ts';
import { redirectSchema } from './routes/redirect.ts';
import type {
  MirrorOptions,
  RedirectOptions,
  ServiceSubset,
  SplitShare,
  StickyKey,
} from './routes/route-types.ts';
import { splitSchema, stickySchema, subsetSchema } from './routes/split.ts';
import { defaultDeniedUpstreams } from './upstreams/upstream-address.ts';
import { type UpstreamTls, upstreamTlsSchema } from './upstreams/upstream-tls.ts';

/** How long an upstream may take. Each accepts 0 for no limit. */
export interface UpstreamTimeouts {
  /** To connect. Default 5 seconds. */
  readonly connect?: Duration | undefined;
  /** From the request to the answer's headers; kept to about half a second. Default 30 seconds. */
  readonly firstByte?: Duration | undefined;
  /** Between two pieces of an answer's body, and for the client to take what has come of it. Default 5 minutes. */
  readonly idle?: Duration | undefined;
  /**
   * From the request's head to the answer's headers, all attempts together; upstreams learn what is left of it. Default:
   * no limit.
   */
  readonly total?: Duration | undefined;
}

/** Options of {@link RequestRouter}. */
export interface RequestRouterOptions {
  /** Finds instances of services, such as a `ServiceRegistry`. Needed by routes with `service` or `compose`. */
  readonly registry?: Resolver | undefined;
  /** Names the router in events and in `Via`. Default `router`. */
  readonly name?: string | undefined;
  /** Addresses or CIDRs of proxies whose X-Forwarded-* and Forwarded are believed. Default: nobody's. */
  readonly trustedProxies?: readonly string[] | undefined;
  /** Header fields by which upstreams know who asks. No client may send them; only a guard sets them. Default: none. */
  readonly identityHeaders?: readonly string[] | undefined;
  /** Addresses or CIDRs that are never called, whatever a registry says. Default: the link-local ones. */
  readonly deniedUpstreams?: readonly string[] | undefined;
  /** Trust in upstreams that are called by `https:`, in either version of HTTP. Default: as Node has it. */
  readonly upstreamTls?: UpstreamTls | undefined;
  /** What to do with `//` and `;` in paths. Default: refuse both. */
  readonly paths?: Partial<PathRules> | undefined;
  /** For every route that has none of its own. */
  readonly timeouts?: UpstreamTimeouts | undefined;
  /**
   * What bounds the retries and hedges of routes: how each service's or origin's own budget is to be, or one
   * `RetryBudget` for all of them. Default: each may add a fifth to the load, and one a second.
   */
  readonly retryBudget?: RetryAllowance | RetryBudgetShare | undefined;
  /** Guards that routes may name, so that routes can be data. Default: none. */
  readonly guards?: Readonly<Record<string, Guard>> | undefined;
  /** Policies that routes may name. Default: none. */
  readonly policies?: Readonly<Record<string, Policy | PolicyChoice>> | undefined;
  /** Functions that answer, which routes may name. Default: none. */
  readonly handlers?: Readonly<Record<string, RouteHandler>> | undefined;
  /** Endpoints that tell whether the router lives and is ready: true, or options. Default false: none. */
  readonly health?: boolean | HealthOptions | undefined;
  readonly limits?: RouterLimits | undefined;
  readonly runtime?: Partial<Runtime> | undefined;
}

/** One part of a composed answer. */
export interface ComposePart {
  readonly service: string;
  /** Path and query; `{name}` is filled from the route's params, then from the principal's claims. */
  readonly path: string;
  /** Whether the answer may do without it. Default false: its failure is the whole answer's failure. */
  readonly optional?: boolean | undefined;
  /** Stands in for the part when it fails, which makes it optional. Must be JSON. */
  readonly fallback?: unknown;
  /** The longest that the part may take in all. Default: the route's `firstByte` timeout. */
  readonly timeout?: Duration | undefined;
}

/** Answers requests. */
export type RouteHandler = (exchange: Exchange) => Response | Promise<Response>;

/** Gives each request its policy, or none. */
export type PolicyChoice = (exchange: Exchange) => Policy | undefined;

/**
 * What to do with the requests of a route. Exactly one of `service`, `url`, `split`, `compose`, `redirect` and
 * `handle`. All but functions and policies can come from JSON or YAML; those can be named, see `guards`, `policies` and
 * `handlers` of the router.
 */
export interface RouteOptions {
  /** What the request has to have besides the pattern. Default: nothing. */
  readonly when?: RouteConditions | undefined;
  /** Routes with a higher one come before all others, however specific those are. A whole number. Default 0. */
  readonly priority?: number | undefined;
  /** Forward to an instance of this service. */
  readonly service?: string | ((exchange: Exchange) => string) | undefined;
  /** Forward to this origin, such as `http://127.0.0.1:3000`. */
  readonly url?: string | undefined;
  /** Only these instances of the service. Default: all. */
  readonly subset?: ServiceSubset | undefined;
  /** Forward to one of several services, subsets or origins, by weight. */
  readonly split?: readonly SplitShare[] | undefined;
  /** By what requests are kept to one way of a split. Default: by nothing, each goes by chance. */
  readonly sticky?: StickyKey | undefined;
  /** A second upstream that gets a copy of what is forwarded. Default: none. */
  readonly mirror?: MirrorOptions | undefined;
  /** Send the client elsewhere: a path, an address, or what of the address is to change. */
  readonly redirect?: string | RedirectOptions | undefined;
  /** Answer with one JSON object made of several services' answers. */
  readonly compose?: Readonly<Record<string, string | ComposePart>> | undefined;
  /** Answer here: a function, or the name of one. */
  readonly handle?: RouteHandler | string | undefined;
  /** The upstream's path: a template such as `/v2/orders/{id}`, where `{*}` is the wildcard's part, or a function. */
  readonly rewrite?: string | ((exchange: Exchange) => string) | undefined;
  /** Taken off the front of the path; upstreams learn it as X-Forwarded-Prefix. */
  readonly stripPrefix?: string | undefined;
  /** Put in front of the path, after `stripPrefix`; with it, one prefix takes the place of another. */
  readonly addPrefix?: string | undefined;
  /** Run after the router's own guards, in order: functions, or names of guards. Default: none. */
  readonly guards?: readonly (Guard | string)[] | undefined;
  /** Each attempt runs under it, until the answer's headers: one, its name, or a function. Default: one attempt. */
  readonly policy?: Policy | PolicyChoice | string | undefined;
  /**
   * Make requests that failed again, where that is safe and the router's `retryBudget` pays for it: true, or how. Each
   * attempt runs under the policy. Default false.
   */
  readonly retries?: boolean | RouteRetries | undefined;
  /** Make a request beside itself when it is not answered in time, under the same conditions. Default: never. */
  readonly hedge?: RouteHedge | undefined;
  readonly timeouts?: UpstreamTimeouts | undefined;
  /** Whether the client's Host goes on to the upstream. Default: true for `service`, false for `url`. */
  readonly preserveHost?: boolean | undefined;
  /** Whether WebSocket and other upgrades may pass. Default false: such requests are treated as plain ones. */
  readonly upgrade?: boolean | undefined;
  /**
   * A breaker for each instance, by `service/id` or origin, such as `CircuitBreakers`: an instance whose breaker is open
   * is passed over; when all are, the answer is 503. Each attempt counts. Default: none.
   */
  readonly instanceBreakers?: GateSet | undefined;
  /**
   * Whether the upstream speaks HTTP/2, as gRPC needs it: without asking over `http:`, by ALPN over `https:`. Default
   * false. Such a route passes no upgrades.
   */
  readonly http2?: boolean | undefined;
}

/** Timeouts that were given, in milliseconds. */
export interface GivenTimeouts {
  readonly connect?: number | undefined;
  readonly firstByte?: number | undefined;
  readonly idle?: number | undefined;
  readonly total?: number | undefined;
}

const timeoutsSchema = z
  .strictObject({
    connect: durationOption().optional(),
    firstByte: durationOption().optional(),
    idle: durationOption().optional(),
    total: durationOption().optional(),
  })
  .default({});

/** The options in effect. */
export interface ResolvedRouterOptions {
  readonly registry?: Resolver | undefined;
  readonly name: string;
  readonly trustedProxies?: readonly string[] | undefined;
  readonly identityHeaders: readonly string[];
  readonly deniedUpstreams: readonly string[];
  readonly upstreamTls?: UpstreamTls | undefined;
  readonly paths: PathRules;
  readonly timeouts: GivenTimeouts;
  readonly retryBudget: RetryAllowance | RetryBudgetShare;
  readonly guards: Readonly<Record<string, Guard>>;
  readonly policies: Readonly<Record<string, Policy | PolicyChoice>>;
  readonly handlers: Readonly<Record<string, RouteHandler>>;
  readonly health: ResolvedHealth | undefined;
  readonly limits: ResolvedLimits;
  readonly runtime?: Partial<Runtime> | undefined;
}

const headerName = z.string().regex(/^[\w!#$%&'*+.^`|~-]+$/, { error: 'the name of a header' });

const givenName = nameOption();

const guardOption = functionOption<Guard>('a guard (a function)');

const policyOption = z.custom<Policy | PolicyChoice>(
  (value) => typeof value === 'function' || typeof (value as Partial<Policy> | null)?.run === 'function',
  { error: 'a policy, or a function of the exchange that gives one' },
);

const routerSchema = z.strictObject({
  registry: methodsOption<Resolver>('a registry', 'pick').optional(),
  name: nameOption().default('router'),
  trustedProxies: z.array(z.string()).optional(),
  identityHeaders: z.array(headerName).default([]),
  deniedUpstreams: z.array(z.string()).default([...defaultDeniedUpstreams]),
  upstreamTls: upstreamTlsSchema.optional(),
  paths: z
    .strictObject({
      doubleSlash: z.enum(['reject', 'merge']).default('reject'),
      semicolon: z.enum(['reject', 'keep']).default('reject'),
    })
    .prefault({}),
  timeouts: timeoutsSchema,
  retryBudget: retryBudgetOption.default({}),
  guards: z.record(givenName, guardOption).default({}),
  policies: z.record(givenName, policyOption).default({}),
  handlers: z.record(givenName, functionOption<RouteHandler>()).default({}),
  health: healthSchema.prefault(false),
  limits: limitsSchema.prefault({}),
  runtime: runtimeOption(),
});

/** @throws InvalidOptionsError naming each option that is not acceptable. */
export function parseRouterOptions(options: RequestRouterOptions): ResolvedRouterOptions {
  return parseOptions('RequestRouter', routerSchema, options);
}

/** A part's options, checked. */
export interface ResolvedPart extends Omit<ComposePart, 'timeout'> {
  readonly timeout?: number | undefined;
}

const partSchema = z.strictObject({
  service: nameOption(),
  path: z.string().startsWith('/'),
  optional: z.boolean().optional(),
  fallback: z.unknown().optional(),
  timeout: durationOption(1).optional(),
});

const partName = z.string().regex(/^(?!__proto__$)[\w-]+$/, { error: 'a name of letters, digits, _ and -' });

/** A route's options, checked. */
export interface ResolvedRouteOptions
  extends Omit<RouteOptions, 'compose' | 'timeouts' | 'guards' | 'mirror' | 'retries' | 'hedge'> {
  readonly retries?: ResolvedRetries | undefined;
  readonly hedge?: ResolvedHedge | undefined;
  readonly mirror?: ResolvedMirror | undefined;
  readonly compose?: Readonly<Record<string, string | ResolvedPart>> | undefined;
  readonly timeouts: GivenTimeouts;
  readonly guards: readonly (Guard | string)[];
}

const routeSchema = z.strictObject({
  when: conditionsSchema.optional(),
  priority: z.int().optional(),
  service: z.union([nameOption(), functionOption<(exchange: Exchange) => string>()]).optional(),
  url: z.string().optional(),
  subset: subsetSchema.optional(),
  split: splitSchema.optional(),
  sticky: stickySchema.optional(),
  mirror: mirrorSchema.optional(),
  redirect: redirectSchema.optional(),
  compose: z.record(partName, z.union([z.string(), partSchema])).optional(),
  handle: z.union([functionOption<RouteHandler>(), givenName]).optional(),
  rewrite: z.union([z.string().startsWith('/'), functionOption<(exchange: Exchange) => string>()]).optional(),
  stripPrefix: z.string().startsWith('/').optional(),
  addPrefix: z.string().startsWith('/').optional(),
  guards: z.array(z.union([guardOption, givenName])).default([]),
  policy: z.union([policyOption, givenName]).optional(),
  retries: retriesOption.optional(),
  hedge: hedgeOption.optional(),
  timeouts: timeoutsSchema,
  preserveHost: z.boolean().optional(),
  upgrade: z.boolean().optional(),
  http2: z.boolean().optional(),
  instanceBreakers: methodsOption<GateSet>('breakers by key, such as CircuitBreakers', 'for').optional(),
});

/** @throws InvalidOptionsError naming each option that is not acceptable. */
export function parseRouteOptions(options: RouteOptions): ResolvedRouteOptions {
  return parseOptions('RequestRouter.route', routeSchema, options);
}
