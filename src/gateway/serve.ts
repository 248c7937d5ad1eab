/** One exchange from its route to its answer. */
import { ProblemError, RateLimitedError } from '../core/errors.ts';
import { HoldfastError, messageOf } from '../core/holdfast-error.ts';
import { warnOf } from '../core/log.ts';
import { choiceOf, targetFor } from './choice.ts';
import { composeAnswer } from './compose.ts';
import { keepDeadline } from './deadline.ts';
import type { Door, Upgradable } from './door.ts';
import type { Guard, HttpExchange, RouteInUse } from './exchange.ts';
import type { ExchangeRecord } from './exchange-record.ts';
import { type FoundRoute, findRoute, noRoute } from './find-route.ts';
import { type ForwardContext, forward, headersFor, patienceOf } from './forwarding.ts';
import { isGrpc } from './grpc.ts';
import type { RouteTable } from './match.ts';
import { problemOf } from './problem.ts';
import { send } from './proxy.ts';
import { sendGrpcDeadline, sendProblem, sendResponse } from './relay.ts';
import type { Route } from './route.ts';
import type { RouteHandler } from './router-options.ts';

/** What serving needs of the router. */
export interface ServeContext extends ForwardContext {
  /** Replaced as a whole. */
  routes: RouteTable<Route>;
  readonly guards: readonly Guard[];
  readonly onRefused: (record: ExchangeRecord, status: number, reason: string) => void;
}

/** Serve an exchange. Never rejects: what goes wrong becomes the answer. */
export function serve(
  context: ServeContext,
  exchange: HttpExchange,
  upgradable: Upgradable | undefined,
): void {
  try {
    const found = findRoute(context.routes, exchange);
    const { route } = found;
    exchange.route = route.pattern;
    exchange.params = found.params;
    exchange.record.route = route.pattern;
    if (context.guards.length + route.guards.length > 0) {
      exchange.serving = new Serving(context, found);
    }
    void serveRoute(context, exchange, found, 0, upgradable);
  } catch (error) {
    refuse(context, exchange.door, exchange.record, error, exchange);
  }
}

/** Give an answer to an exchange that is not for a route. */
export async function answerWith(
  context: ServeContext,
  exchange: HttpExchange,
  response: Response | Promise<Response>,
): Promise<void> {
  try {
    await sendResponse(exchange, await response, { clock: context.clock, idle: 30_000 });
  } catch (error) {
    refuse(context, exchange.door, exchange.record, error, exchange);
  }
}

/** What guards may ask of the route by which an exchange is served. */
class Serving implements RouteInUse {
  readonly #context: ServeContext;
  readonly #found: FoundRoute<Route>;

  constructor(context: ServeContext, found: FoundRoute<Route>) {
    this.#context = context;
    this.#found = found;
  }

  async serveRest(copy: HttpExchange, from: number): Promise<void> {
    try {
      await serveRoute(this.#context, copy, this.#found, from, undefined);
    } catch (error) {
      refuse(this.#context, copy.door, copy.record, error, copy);
    }
  }

  choiceOf(exchange: HttpExchange): string {
    return choiceOf(exchange, this.#found.route, this.#context.proxy.runtime.random);
  }
}

/**
 * Go on at once for as long as nothing has to be awaited: most requests need no promise.
 *
 * @param from how many guards are left out, because they were asked already.
 */
function serveRoute(
  context: ServeContext,
  exchange: HttpExchange,
  found: FoundRoute<Route>,
  from: number,
  upgradable: Upgradable | undefined,
): Promise<void> | undefined {
  const { route } = found;
  const all = guardsOf(context, found);
  for (let step = from; step < all.length; step += 1) {
    exchange.step += 1;
    const result = all[step]!(exchange);
    if (!(result instanceof Promise) && !(result instanceof Response)) continue;
    return guardedLater(context, exchange, found, { result, next: step + 1, upgradable });
  }
  if (found.preflight) throw noRoute(context.routes, exchange);
  const response = answer(context, exchange, route, upgradable);
  return response === undefined ? undefined : answerLater(context, exchange, route, response);
}

/** The guards of a preflight without a route of its own are the router's: one of them may answer it. */
function guardsOf({ guards }: ServeContext, { route, preflight }: FoundRoute<Route>): readonly Guard[] {
  if (route.guards.length === 0 || preflight) return guards;
  return guards.length === 0 ? route.guards : [...guards, ...route.guards];
}

/** Where serving goes on when a guard has decided. */
interface Later {
  readonly result: ReturnType<Guard>;
  readonly next: number;
  readonly upgradable: Upgradable | undefined;
}

async function guardedLater(
  context: ServeContext,
  exchange: HttpExchange,
  found: FoundRoute<Route>,
  { result, next, upgradable }: Later,
): Promise<void> {
  try {
    const response = await result;
    const { gone } = exchange;
    if (gone !== undefined) {
      if (response instanceof Response) void response.body?.cancel(gone).catch(() => {});
      throw gone;
    }
    if (response instanceof Response) {
      await sendResponse(exchange, response, patienceOf(context, found.route));
    } else {
      await serveRoute(context, exchange, found, next, upgradable);
    }
  } catch (error) {
    refuse(context, exchange.door, exchange.record, error, exchange);
  }
}

async function answerLater(
  context: ServeContext,
  exchange: HttpExchange,
  route: Route,
  response: Promise<Response | undefined>,
): Promise<void> {
  try {
    const given = await response;
    if (given !== undefined) await sendResponse(exchange, given, patienceOf(context, route));
  } catch (error) {
    refuse(context, exchange.door, exchange.record, error, exchange);
  }
}

/** Answer by what the route leads to; a promise of the answer that is still to be given, if there is one. */
function answer(
  context: ServeContext,
  exchange: HttpExchange,
  route: Route,
  upgradable: Upgradable | undefined,
): Promise<Response | undefined> | undefined {
  const { destination } = route;
  switch (destination.kind) {
    case 'handle':
      return handled(exchange, destination.handle, keepDeadline(exchange, context.clock, route.total));
    case 'compose':
      keepDeadline(exchange, context.clock, route.total);
      return composeAnswer(exchange, destination.parts, {
        clock: context.proxy.runtime.clock,
        send: (outbound) => send(context.proxy, outbound),
        headers: headersFor(context, exchange, route),
        policy: route.policyFor(exchange),
        repeats: route.repeats,
        timeouts: route.timeouts,
        maxPart: context.limits.part,
      });
    case 'redirect': {
      const { status, locate } = destination.redirect;
      return Promise.resolve(new Response(null, { status, headers: { location: locate(exchange) } }));
    }
    default: {
      const target = targetFor(exchange, destination, context.proxy.runtime.random);
      exchange.record.service = target.service;
      return forward(context, exchange, route, target, upgradable);
    }
  }
}

/** @param bounded whether it has to answer in time. */
async function handled(exchange: HttpExchange, handle: RouteHandler, bounded: boolean): Promise<Response> {
  const response = await (bounded ? handledInTime(exchange, handle) : handle(exchange));
  if (response === undefined) throw new TypeError('the handler of a route gave no Response');
  return response;
}

/** Nobody waits for a handler whose time is over, nor for what it may still give. */
function handledInTime(exchange: HttpExchange, handle: RouteHandler): Promise<Response> {
  return new Promise((resolve, reject) => {
    const forget = exchange.whenGone(reject);
    const given = Promise.resolve(handle(exchange)).finally(forget);
    given.then((response) => {
      if (exchange.gone === undefined) resolve(response);
      else void response?.body?.cancel(exchange.gone).catch(() => {});
    }, reject);
  });
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
    if (problem.status === 504 && !door.started && exchange !== undefined && isGrpc(exchange)) {
      sendGrpcDeadline(door, problem, exchange.response);
    } else {
      sendProblem(door, problem, exchange?.response);
    }
  } catch (cause) {
    warnOf('a problem could not be told', cause);
    door.destroy();
  }
}
