/** One exchange from its route to its answer. */
import { ProblemError, RateLimitedError } from '../core/errors.ts';
import { HoldfastError, messageOf } from '../core/holdfast-error.ts';
import { warnOf } from '../core/log.ts';
import { isThenable } from '../core/thenable.ts';
import { choiceOf, targetFor } from './choice.ts';
import type { Door, Upgradable } from './doors/door.ts';
import { keepDeadline } from './exchange/deadline.ts';
import type { Guard, GuardResult } from './exchange/exchange.ts';
import type { ExchangeRecord } from './exchange/exchange-record.ts';
import { type AskedCall, isGrpc } from './exchange/grpc.ts';
import type { HttpExchange, RouteInUse } from './exchange/http-exchange.ts';
import { sendGrpcProblem, sendProblem, sendResponse } from './exchange/own-answer.ts';
import { composeAnswer } from './forward/compose.ts';
import { send } from './forward/send.ts';
import { type ForwardContext, forward, headersFor, patienceOf } from './forwarding.ts';
import { problemOf } from './http/problem.ts';
import type { Route } from './route.ts';
import type { RouteHandler } from './router-options.ts';
import { type FoundRoute, findRoute, noRoute } from './routes/find-route.ts';
import type { RouteTable } from './routes/match.ts';

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
    if (passes(result)) continue;
    return guardedLater(context, exchange, found, { result, next: step + 1, upgradable });
  }
  if (found.preflight) throw noRoute(context.routes, exchange);
  const response = answer(context, exchange, route, upgradable);
  return response === undefined ? undefined : answerLater(context, exchange, route, response);
}

/**
 * Whether a guard lets an exchange pass at once. An object that is no answer here, such as the `Response` of another
 * package, was meant for one, so it must not let anything pass.
 */
function passes(result: ReturnType<Guard>): boolean {
  if (typeof result !== 'object' || result === null) return true;
  if (result instanceof Response || isThenable(result)) return false;
  throw new TypeError('a guard gave an object that is no Response of this process');
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
    const response = await (result instanceof Response
      ? result
      : decided(context, exchange, found.route, result));
    const { gone } = exchange;
    if (gone !== undefined) {
      discard(response, gone);
      throw gone;
    }
    if (!passes(response)) {
      await sendResponse(exchange, response as Response, patienceOf(context, found.route));
    } else {
      await serveRoute(context, exchange, found, next, upgradable);
    }
  } catch (error) {
    refuse(context, exchange.door, exchange.record, error, exchange);
  }
}

/** What a guard decides. The time of a route is also its guards'. */
function decided(
  context: ServeContext,
  exchange: HttpExchange,
  route: Route,
  result: ReturnType<Guard>,
): Promise<GuardResult> {
  const deciding = Promise.resolve(result);
  try {
    return keepDeadline(exchange, context.clock, route.total) ? inTime(exchange, deciding) : deciding;
  } catch (late) {
    deciding.then(
      (response) => discard(response, late),
      () => {},
    );
    throw late;
  }
}

/** Nobody waits for an answer any more. */
function discard(response: GuardResult, reason: unknown): void {
  if (response instanceof Response) void response.body?.cancel(reason).catch(() => {});
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
  const given = handle(exchange);
  const response = await (bounded && !(given instanceof Response)
    ? inTime(exchange, Promise.resolve(given))
    : given);
  if (response === undefined) throw new TypeError('the handler of a route gave no Response');
  return response;
}

/** Nobody waits for what comes when the time of an exchange is over. */
function inTime<T extends GuardResult>(exchange: HttpExchange, given: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const forget = exchange.whenGone(reject);
    given.finally(forget).then((response) => {
      if (exchange.gone === undefined) resolve(response);
      else discard(response, exchange.gone);
    }, reject);
  });
}

/**
 * Answer with what went wrong.
 *
 * @param asked the request, when it was none that an exchange could be made of.
 */
export function refuse(
  context: Pick<ServeContext, 'onRefused'>,
  door: Door,
  record: ExchangeRecord,
  error: unknown,
  exchange: HttpExchange | undefined,
  asked: AskedCall | undefined = exchange,
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
    if (!door.started && asked !== undefined && isGrpc(asked)) {
      sendGrpcProblem(door, exchange?.entry ?? door, problem, exchange?.response);
    } else {
      sendProblem(door, problem, exchange?.response);
    }
  } catch (cause) {
    warnOf('a problem could not be told', cause);
    door.destroy();
  }
}
