/** What the router would do with a request, and why, without doing it. */
import { ProblemError } from '../core/errors.ts';
import { messageOf } from '../core/holdfast-error.ts';
import type { Policy } from '../core/policy.ts';
import type { Pick, Resolver } from '../ports/resolver.ts';
import type { HttpExchange } from './exchange/http-exchange.ts';
import type { Target } from './exchange/target.ts';
import type { PathRules } from './http/path.ts';
import { problemOf } from './http/problem.ts';
import type { Destination, Route } from './route.ts';
import { type Candidate, compareCandidates, methodRank } from './routes/candidate.ts';
import { type FoundRoute, findRoute } from './routes/find-route.ts';
import type { RouteTable } from './routes/match.ts';
import { includesHost, paramsOf } from './routes/pattern.ts';
import { outboundPath } from './routes/rewrite.ts';
import { placeOf, shareAt } from './routes/split.ts';

/** A route that a request does not get, and why. */
export interface PassedOver {
  readonly route: string;
  /** What ruled it out; `order` when it matches, too, but another one comes first. */
  readonly by: 'host' | 'method' | 'path' | 'condition' | 'order';
  /** For people, such as `header x-beta is present: got nothing`. */
  readonly because: string;
}

/** One way of a split. */
export interface ExplainedShare {
  readonly service?: string | undefined;
  readonly url?: string | undefined;
  /** Its part of the requests, from 0 to 1. */
  readonly part: number;
}

/** Where a request would go. */
export interface ExplainedDestination {
  readonly kind: 'service' | 'url' | 'split' | 'compose' | 'redirect' | 'handle';
  readonly service?: string | undefined;
  /** Id of an instance that would be picked now; the next request may get another one. */
  readonly instance?: string | undefined;
  /** Where it would be sent to, or redirected to. */
  readonly url?: string | undefined;
  /** Path and query for the upstream. */
  readonly path?: string | undefined;
  /** All ways of a split. The one of this request is only known when its key decides. */
  readonly shares?: readonly ExplainedShare[] | undefined;
  /** Parts of a composed answer, as `service:/path`. */
  readonly parts?: readonly string[] | undefined;
  /** Who gets a copy, and of which part of the requests. */
  readonly mirror?: ExplainedShare | undefined;
  /** Why nothing could be sent now, such as a service without instances. */
  readonly problem?: string | undefined;
}

/** What the router would do with a request. */
export interface RouteExplanation {
  readonly method: string;
  readonly host: string;
  /** Canonical; as it was given when it is refused. */
  readonly path: string;
  readonly query: string;
  readonly clientAddress: string;
  /** What the router itself would answer: a malformed request, no route, no route for the method. */
  readonly refused?: { readonly status: number; readonly reason: string } | undefined;
  /** Pattern of the route. */
  readonly route?: string | undefined;
  readonly params: Readonly<Record<string, string>>;
  /** Why it is this route: what it asks for, all of which holds. */
  readonly why: readonly string[];
  /** Names of the guards that would be asked, in order. They are not asked now. */
  readonly guards: readonly string[];
  /** Name of the policy. */
  readonly policy?: string | undefined;
  /** How often the request would be made at most, by the route's `retries` and `hedge`; undefined when it has neither. */
  readonly attempts?: number | undefined;
  readonly destination?: ExplainedDestination | undefined;
  /** Routes that were near, the nearest first; at most ten. */
  readonly passedOver: readonly PassedOver[];
}

/** What explaining needs of the router. */
export interface ExplainContext {
  readonly routes: RouteTable<Route>;
  readonly guards: readonly ((...args: never[]) => unknown)[];
  readonly registry: Resolver | undefined;
  readonly paths: PathRules;
}

const mostPassedOver = 10;

/** Explain an admitted request. */
export async function explain(context: ExplainContext, exchange: HttpExchange): Promise<RouteExplanation> {
  const { method, host, path, query, clientAddress } = exchange;
  const asked = { method, host, path, query, clientAddress };
  let found: FoundRoute<Route>;
  try {
    found = findRoute(context.routes, exchange);
  } catch (error) {
    const passedOver = allPassedOver(context.routes, exchange, undefined);
    return { ...asked, refused: refusalOf(error), params: {}, why: [], guards: [], passedOver };
  }
  const { route, params } = found;
  exchange.route = route.pattern;
  exchange.params = params;
  const chosen = context.routes.candidates.find((candidate) => candidate.route === route)!;
  return {
    ...asked,
    route: route.pattern,
    params,
    why: reasons(chosen, found.preflight),
    guards: [...context.guards, ...route.guards].map(nameOf),
    policy: policyName(route, exchange),
    attempts: route.repeats && Math.max(route.repeats.attempts, route.repeats.hedged),
    destination: await destinationOf(context, exchange, route),
    passedOver: allPassedOver(context.routes, exchange, chosen),
  };
}

/** What a request that is not admitted, or has no route, is answered. */
export function refusalOf(error: unknown): { readonly status: number; readonly reason: string } {
  if (!(error instanceof ProblemError)) throw error;
  return { status: problemOf(error).status, reason: messageOf(error) };
}

function nameOf(guard: { readonly name: string }): string {
  return guard.name === '' ? 'a function' : guard.name;
}

function policyName(route: Route, exchange: HttpExchange): string | undefined {
  const policy = route.policyFor(exchange) as (Policy & { readonly name?: unknown }) | undefined;
  if (policy === undefined) return undefined;
  return typeof policy.name === 'string' ? policy.name : policy.constructor.name;
}

function reasons({ pattern, priority, conditions }: Candidate<Route>, preflight: boolean): string[] {
  const { host, path, methods } = pattern;
  return [
    ...(priority === 0 ? [] : [`priority ${priority}`]),
    host === '' ? 'every host' : `host ${host}`,
    `path ${path}`,
    methods.length === 0 ? 'every method' : `method ${methods.join(', ')}`,
    ...conditions.map(({ text }) => text),
    ...(preflight ? ['it is the preflight of such a request'] : []),
  ];
}

async function destinationOf(
  context: ExplainContext,
  exchange: HttpExchange,
  route: Route,
): Promise<ExplainedDestination> {
  const { destination } = route;
  const { kind } = destination;
  try {
    if (kind === 'handle') return { kind };
    if (kind === 'redirect') return { kind, url: destination.redirect.locate(exchange) };
    if (kind === 'compose') {
      return { kind, parts: destination.parts.map(({ service, path }) => `${service}:${path}`) };
    }
    const target = targetOf(destination, exchange);
    const forwarded = {
      kind: kind === 'origin' ? ('url' as const) : kind,
      shares:
        kind === 'split'
          ? destination.split.shares.map(({ target, part }) => shareOf(target, part))
          : undefined,
      mirror: route.mirror && shareOf(route.mirror.target, route.mirror.share),
      path: outboundPath(exchange, route.change, context.paths),
    };
    return { ...forwarded, ...(target && (await whereTo(context, target, forwarded.path))) };
  } catch (error) {
    return { kind: kind === 'origin' ? 'url' : kind, problem: messageOf(error) };
  }
}

/** Undefined when chance decides. */
function targetOf(destination: Destination, exchange: HttpExchange): Target | undefined {
  if (destination.kind === 'origin') return { origin: destination.origin };
  if (destination.kind === 'service') {
    const { service, only } = destination;
    return { service: typeof service === 'function' ? service(exchange) : service, only };
  }
  if (destination.kind !== 'split') return undefined;
  const key = destination.split.keyOf?.(exchange);
  return key === undefined ? undefined : shareAt(destination.split.shares, placeOf(key)).target;
}

function shareOf({ service, origin }: Target, part: number): ExplainedShare {
  return { service, url: origin, part };
}

async function whereTo(
  { registry }: ExplainContext,
  target: Target,
  path: string,
): Promise<Partial<ExplainedDestination>> {
  if (target.service === undefined) return { url: target.origin + path };
  const { service, only } = target;
  try {
    const pick: Pick | undefined = await registry?.pick(service, { only });
    // Nothing is sent, which says nothing about the instance.
    pick?.done('cancelled');
    return { service, instance: pick?.instance.id, url: pick && pick.instance.url + path };
  } catch (error) {
    return { service, problem: messageOf(error) };
  }
}

/** How near each kind of difference is. */
const nearness = { order: 0, condition: 1, method: 2, host: 3, path: 4 } as const;

function allPassedOver(
  table: RouteTable<Route>,
  exchange: HttpExchange,
  chosen: Candidate<Route> | undefined,
): PassedOver[] {
  const near: (PassedOver & { readonly distance: number })[] = [];
  for (const candidate of table.candidates) {
    if (candidate === chosen) continue;
    const found = passedOver(candidate, exchange, chosen);
    if (found !== undefined) near.push(found);
  }
  near.sort((a, b) => a.distance - b.distance);
  return near.slice(0, mostPassedOver).map(({ route, by, because }) => ({ route, by, because }));
}

/** Why a route was passed over; undefined when more than one thing speaks against it, since it is not near then. */
function passedOver(
  candidate: Candidate<Route>,
  exchange: HttpExchange,
  chosen: Candidate<Route> | undefined,
): (PassedOver & { readonly distance: number }) | undefined {
  const { pattern, conditions, declared: route } = candidate;
  const against: Omit<PassedOver, 'route'>[] = [];
  if (!includesHost(pattern.host, exchange.host)) {
    against.push({ by: 'host', because: `host ${pattern.host}: got ${exchange.host || 'none'}` });
  }
  if (paramsOf(pattern.segments, exchange.path) === undefined) {
    against.push({ by: 'path', because: `path ${pattern.path}: got ${exchange.path}` });
  }
  if (methodRank(candidate, exchange.method) === 0) {
    const wanted = pattern.methods.length === 0 ? 'every method but this' : pattern.methods.join(', ');
    against.push({ by: 'method', because: `method ${wanted}: got ${exchange.method}` });
  }
  const failed = conditions.filter(({ test }) => !test(exchange));
  if (failed.length > 0) {
    const because = failed.map(({ text, found }) => `${text}: got ${found(exchange)}`).join('; ');
    against.push({ by: 'condition', because });
  }
  if (against.length > 1) return undefined;
  const [only] = against;
  if (only === undefined) {
    const because =
      chosen === undefined ? 'it is no route for preflights' : whyAfter(chosen, candidate, exchange.method);
    return { route, by: 'order', because, distance: nearness.order };
  }
  const common = commonSegments(pattern.path, exchange.path);
  // Of routes for other paths only those are near that begin in the same way.
  if (only.by === 'path' && common === 0) return undefined;
  return { route, ...only, distance: nearness[only.by] + 1 / (1 + common) };
}

function commonSegments(pattern: string, path: string): number {
  const [ours, theirs] = [pattern.split('/'), path.split('/')];
  let common = 0;
  while (common + 1 < ours.length && ours[common + 1] !== '' && ours[common + 1] === theirs[common + 1])
    common += 1;
  return common;
}

/** By what one route comes before another, in the order of `candidate.ts`. */
function whyAfter(first: Candidate<Route>, second: Candidate<Route>, method: string): string {
  if (first.priority !== second.priority)
    return `priority ${second.priority}: ${first.declared} has ${first.priority}`;
  const level = { ...second, conditions: first.conditions, order: first.order };
  const sameMethods = { ...level, pattern: { ...second.pattern, methods: first.pattern.methods } };
  if (compareCandidates(first, sameMethods, method) !== 0) return `${first.declared} is the more specific`;
  if (compareCandidates(first, level, method) !== 0) return `${first.declared} names the method`;
  if (first.conditions.length !== second.conditions.length) return `${first.declared} has more conditions`;
  return `${first.declared} was declared before it`;
}
