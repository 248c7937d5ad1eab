/** One exchange from its route to its answer. */
import type { Readable } from 'node:stream';
import { ProblemError, RateLimitedError } from '../core/errors.ts';
import { HoldfastError, messageOf } from '../core/holdfast-error.ts';
import { warnOf } from '../core/log.ts';
import { composeAnswer } from './compose.ts';
import type { Door } from './door.ts';
import type { ExchangeRecord, Guard, HttpExchange } from './exchange.ts';
import { type FoundRoute, findRoute, noRoute } from './find-route.ts';
import type { RouteTable } from './match.ts';
import type { MirrorContext } from './mirror.ts';
import { outboundHeaders, outboundPath } from './outbound.ts';
import type { PathRules } from './path.ts';
import { problemOf } from './problem.ts';
import { type Outbound, type ProxyContext, send } from './proxy.ts';
import { relay, sendProblem, sendResponse } from './relay.ts';
import { BodyStream, readUpTo, replayableBytes } from './request-body.ts';
import type { Route } from './route.ts';
import type { ResolvedLimits } from './router-options.ts';
import { chooseShare } from './split.ts';
import type { Patience } from './stall-watch.ts';
import type { Target } from './target.ts';
import { joinConnections, requestedProtocol, type UpgradeRequest } from './upgrade.ts';

/** What serving needs of the router. */
export interface ServeContext {
  /** Replaced as a whole. */
  routes: RouteTable<Route>;
  readonly guards: readonly Guard[];
  readonly proxy: ProxyContext;
  /** For copies of requests, apart from the requests themselves. */
  readonly mirrors: MirrorContext;
  readonly paths: PathRules;
  readonly limits: ResolvedLimits;
  /** This router's entry in `Via`. */
  readonly via: string;
  readonly onRefused: (record: ExchangeRecord, status: number, reason: string) => void;
}

/** A connection that could be switched to another protocol, if the route lets it. */
export type Upgradable = Pick<UpgradeRequest, 'socket' | 'detach'>;

/** Serve an exchange. Never rejects: what goes wrong becomes the answer. */
export function serve(
  context: ServeContext,
  exchange: HttpExchange,
  upgradable: Upgradable | undefined,
): Promise<void> {
  try {
    const found = findRoute(context.routes, exchange);
    const { route } = found;
    exchange.route = route.pattern;
    exchange.params = found.params;
    exchange.record.route = route.pattern;
    if (context.guards.length + route.guards.length > 0) {
      exchange.serveRest = (copy) => serveRoute(context, copy, found, exchange.step, undefined);
    }
    return serveRoute(context, exchange, found, 0, upgradable);
  } catch (error) {
    refuse(context, exchange.door, exchange.record, error, exchange);
    return Promise.resolve();
  }
}

/** Give an answer to an exchange that is not for a route. */
export async function answerWith(
  context: ServeContext,
  exchange: HttpExchange,
  response: Response | Promise<Response>,
): Promise<void> {
  try {
    const { clock } = context.proxy.runtime;
    await sendResponse(exchange, await response, { clock, idle: 30_000 });
  } catch (error) {
    refuse(context, exchange.door, exchange.record, error, exchange);
  }
}

/** @param from how many guards are left out, because they were asked already. */
async function serveRoute(
  context: ServeContext,
  exchange: HttpExchange,
  { route, preflight }: FoundRoute<Route>,
  from: number,
  upgradable: Upgradable | undefined,
): Promise<void> {
  try {
    const { guards } = context;
    const patience = patienceOf(context, route);
    if (await guarded(exchange, guards, from, patience)) return;
    if (preflight) throw noRoute(context.routes, exchange);
    if (await guarded(exchange, route.guards, from - guards.length, patience)) return;
    const response = await answer(context, exchange, route, upgradable);
    if (response !== undefined) await sendResponse(exchange, response, patience);
  } catch (error) {
    refuse(context, exchange.door, exchange.record, error, exchange);
  }
}

/** Run guards in order, from the given one on; true when one has answered. */
async function guarded(
  exchange: HttpExchange,
  guards: readonly Guard[],
  from: number,
  patience: Patience,
): Promise<boolean> {
  for (let index = Math.max(0, from); index < guards.length; index += 1) {
    exchange.step += 1;
    const result = guards[index]!(exchange);
    // A guard that answers at once costs no turn of the microtask queue.
    const response = result instanceof Promise ? await result : result;
    if (!(response instanceof Response)) continue;
    await sendResponse(exchange, response, patience);
    return true;
  }
  return false;
}

/** Answer by what the route leads to: resolves to the answer that is still to be given, if there is one. */
async function answer(
  context: ServeContext,
  exchange: HttpExchange,
  route: Route,
  upgradable: Upgradable | undefined,
): Promise<Response | undefined> {
  const { destination } = route;
  switch (destination.kind) {
    case 'handle': {
      const response = await destination.handle(exchange);
      if (response === undefined) throw new TypeError('the handler of a route gave no Response');
      return response;
    }
    case 'compose':
      return composeAnswer(exchange, destination.parts, {
        clock: context.proxy.runtime.clock,
        send: (outbound) => send(context.proxy, outbound),
        headers: headersFor(context, exchange, route),
        policy: route.policyFor(exchange),
        timeouts: route.timeouts,
        maxPart: context.limits.part,
      });
    case 'redirect': {
      const { status, locate } = destination.redirect;
      return new Response(null, { status, headers: { location: locate(exchange) } });
    }
    case 'split': {
      const target = chooseShare(destination.split, exchange, context.proxy.runtime.random);
      exchange.record.service = target.service;
      return forward(context, exchange, route, target, upgradable);
    }
    case 'service': {
      const { service, only } = destination;
      const name = typeof service === 'function' ? service(exchange) : service;
      if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(name)) {
        throw new ProblemError(400, 'the request asks for no acceptable service');
      }
      exchange.record.service = name;
      return forward(context, exchange, route, { service: name, only }, upgradable);
    }
    case 'origin':
      return forward(context, exchange, route, { origin: destination.origin }, upgradable);
  }
}

async function forward(
  context: ServeContext,
  exchange: HttpExchange,
  route: Route,
  target: Target,
  upgradable: Upgradable | undefined,
): Promise<Response | undefined> {
  const protocol = route.upgrade && upgradable !== undefined ? requestedProtocol(exchange) : undefined;
  const outbound: Outbound = {
    route: route.pattern,
    target,
    method: exchange.method,
    path: outboundPath(exchange, route.change, context.paths),
    headers: headersFor(context, exchange, route),
    body: await bodyOf(exchange, context.limits.body, patienceOf(context, route)),
    upgrade: protocol,
    policy: route.policyFor(exchange),
    timeouts: route.timeouts,
    onHints: (hints) => exchange.door.hint(hints.map((part) => part.toString('latin1'))),
    client: exchange,
  };
  route.mirror?.copy(context.mirrors, outbound);
  const given = await send(context.proxy, outbound);
  if (given instanceof Response) return given;
  exchange.record.instance = given.instance;
  if (protocol !== undefined && upgradable !== undefined && given.call.socket !== undefined) {
    joinConnections(exchange, given.call, { ...upgradable, protocol });
  } else {
    relay(given.call, exchange, context.via, context.proxy.runtime.clock);
  }
  return undefined;
}

function patienceOf(context: ServeContext, route: Route): Patience {
  return { clock: context.proxy.runtime.clock, idle: route.timeouts.idle };
}

function headersFor(context: ServeContext, exchange: HttpExchange, route: Route): string[] {
  return outboundHeaders(exchange, {
    ownHost: route.ownHost,
    via: context.via,
    prefix: route.change.stripPrefix,
  });
}

/** The body to send on: whole when it is short, so that it can be sent again, otherwise as it comes. */
async function bodyOf(
  exchange: HttpExchange,
  limit: number | undefined,
  patience: Patience,
): Promise<Buffer | Readable | null> {
  const { door, bodyLength, wholeBody } = exchange;
  if (wholeBody !== undefined) return wholeBody;
  if (bodyLength === 0) return null;
  door.proceed();
  if (bodyLength !== undefined && bodyLength <= replayableBytes) {
    return readUpTo(door.body(), bodyLength, replayableBytes);
  }
  const stream = new BodyStream(door.body(), limit, patience);
  // A client that sends too much, or not enough, must not count against the upstream, nor open its breaker.
  stream.once('error', (error) => {
    if (error instanceof ProblemError) exchange.giveUp(error);
  });
  return stream;
}

/** Answer with what went wrong. */
export function refuse(
  context: Pick<ServeContext, 'onRefused'>,
  door: Door,
  record: ExchangeRecord,
  error: unknown,
  exchange: HttpExchange | undefined,
): void {
  if (exchange?.unheard) return;
  const problem = problemOf(error);
  record.error ??= error;
  if (!(error instanceof HoldfastError)) warnOf('a guard, policy or handler of a route threw', error);
  if (error instanceof ProblemError || error instanceof RateLimitedError) {
    context.onRefused(record, problem.status, messageOf(error));
  }
  try {
    if (!door.started) record.status = problem.status;
    sendProblem(door, problem, exchange?.response);
  } catch (cause) {
    warnOf('a problem could not be told', cause);
    door.destroy();
  }
}
