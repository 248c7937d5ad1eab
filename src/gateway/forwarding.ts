/** Sending a request on to an upstream, and its answer back. */
import type { Readable } from 'node:stream';
import { ProblemError } from '../core/errors.ts';
import { type Gate, isGate } from '../core/policy.ts';
import type { Upgradable } from './doors/door.ts';
import { keepDeadline, timeLeft } from './exchange/deadline.ts';
import type { HttpExchange } from './exchange/http-exchange.ts';
import {
  BodyStream,
  noLongerThan,
  readUpTo,
  replayableBytes,
  takeBody,
  tooLong,
} from './exchange/request-body.ts';
import type { Patience } from './exchange/stall-watch.ts';
import type { Target } from './exchange/target.ts';
import { announcedTrailers } from './forward/announced-trailers.ts';
import { AnswerRelay } from './forward/answer-relay.ts';
import type { Outbound } from './forward/attempt.ts';
import type { MirrorContext } from './forward/mirror.ts';
import { send as attempt } from './forward/send.ts';
import { ShortWay, type ShortWayContext } from './forward/short-way.ts';
import { joinConnections, requestedProtocol } from './forward/upgrade.ts';
import { requestTrailers } from './http/headers.ts';
import type { PathRules } from './http/path.ts';
import type { Route } from './route.ts';
import type { ResolvedLimits } from './router-limits.ts';
import { outboundHeaders, outboundPath } from './routes/rewrite.ts';

/** What forwarding needs of the router. */
export interface ForwardContext extends ShortWayContext {
  readonly paths: PathRules;
  readonly limits: ResolvedLimits;
  /** Names in lower case. */
  readonly identityHeaders: readonly string[];
  /** For copies of requests, apart from the requests themselves. */
  readonly mirrors: MirrorContext;
}

/** Send an exchange on. A promise only of what is still to be answered, or waited for. */
export function forward(
  context: ForwardContext,
  exchange: HttpExchange,
  route: Route,
  target: Target,
  upgradable: Upgradable | undefined,
): Promise<Response | undefined> | undefined {
  keepDeadline(exchange, context.clock, route.total);
  const switches = route.upgrade && !route.http2 && upgradable !== undefined;
  const protocol = switches ? requestedProtocol(exchange) : undefined;
  const path = outboundPath(exchange, route.change, context.paths);
  const headers = headersFor(context, exchange, route);
  const body = bodyOf(exchange, patienceOf(context, route));
  const trailerNames = announcedTrailers(exchange, context.identityHeaders);
  const trails = trailerNames !== undefined || (route.http2 && body !== null);
  const outbound: Outbound = {
    route: route.pattern,
    target,
    method: exchange.method,
    path,
    headers,
    body: body ?? null,
    upgrade: protocol,
    policy: route.policyFor(exchange),
    repeats: route.repeats,
    timeouts: route.timeouts,
    instanceBreakers: route.instanceBreakers,
    http2: route.http2,
    trailers: trails ? () => trailersOf(exchange, context) : undefined,
    trailerNames,
    interimTo: exchange,
    client: exchange,
  };
  const way: Way = { context, exchange, route, upgradable };
  return body === undefined ? sendWhole(way, outbound) : send(way, outbound);
}

function trailersOf({ entry, headers }: HttpExchange, context: ForwardContext): [string, string][] {
  return requestTrailers(entry.trailers?.() ?? [], headers, context.identityHeaders);
}

/** Send on with the whole body, once it is there. */
function sendWhole(way: Way, outbound: Outbound): Promise<Response | undefined> | undefined {
  const { context, exchange } = way;
  const { door, bodyLength, wholeBody } = exchange;
  if (wholeBody === undefined && isShort(outbound)) {
    takeBody(door.body(), bodyLength, replayableBytes, {
      onBody: (body) => {
        outbound.body = body;
        void send(way, outbound);
      },
      onNoBody: (error) => context.refuse(exchange, error),
    });
    return undefined;
  }
  const reading = wholeBody ?? readUpTo(door.body(), bodyLength, replayableBytes);
  return reading.then((body) => {
    outbound.body = noLongerThan(body, exchange.bodyLimit);
    return send(way, outbound);
  });
}

/** What does not change with the request that is sent on. */
interface Way {
  readonly context: ForwardContext;
  readonly exchange: HttpExchange;
  readonly route: Route;
  readonly upgradable: Upgradable | undefined;
}

function send(way: Way, outbound: Outbound): Promise<Response | undefined> | undefined {
  const { context, exchange, route } = way;
  // It may have left while its body was awaited.
  if (exchange.gone !== undefined) {
    context.refuse(exchange, exchange.gone);
    return undefined;
  }
  route.mirror?.copy(context.mirrors, outbound);
  if (!isShort(outbound)) return longWay(way, outbound);
  new ShortWay(context, exchange, outbound).begin(outbound.policy);
  return undefined;
}

/** Whether nothing is to be awaited on the way. */
function isShort(outbound: Outbound): outbound is Outbound & { readonly policy: Gate | undefined } {
  const { policy, repeats, upgrade } = outbound;
  return upgrade === undefined && repeats === undefined && (policy === undefined || isGate(policy));
}

async function longWay(
  { context, exchange, upgradable }: Way,
  outbound: Outbound,
): Promise<Response | undefined> {
  const given = await attempt(context.proxy, outbound);
  if (given instanceof Response) return given;
  const { call } = given;
  exchange.record.instance = given.instance;
  const protocol = outbound.upgrade;
  if (protocol !== undefined && upgradable !== undefined && call.socket !== undefined) {
    joinConnections(exchange, call, { ...upgradable, protocol }, context.via);
  } else {
    const owner = { onUnsendable: (error: unknown) => context.refuse(exchange, error) };
    new AnswerRelay(call, exchange, context, owner).start();
  }
  return undefined;
}

/** How long the client of a route may take nothing. */
export function patienceOf(context: Pick<ForwardContext, 'proxy'>, route: Route): Patience {
  return { clock: context.proxy.runtime.clock, idle: route.timeouts.idle };
}

/** The header fields for a route's upstream. */
export function headersFor(
  context: Pick<ForwardContext, 'via' | 'clock'>,
  exchange: HttpExchange,
  route: Route,
): string[] {
  return outboundHeaders(exchange, {
    ownHost: route.ownHost,
    via: context.via[exchange.version],
    prefix: route.change.stripPrefix,
    timeLeft: timeLeft(exchange, context.clock),
  });
}

type Body = Buffer | Readable | null;

/**
 * The body to send on as it comes; undefined when it is to be taken in whole first, because it is short, so that it can
 * be sent again, or because a guard has read it.
 */
function bodyOf(exchange: HttpExchange, patience: Patience): Body | undefined {
  const { door, bodyLength, bodyLimit, wholeBody } = exchange;
  if (wholeBody !== undefined) return undefined;
  if (bodyLength === 0) return null;
  if (bodyLength !== undefined && bodyLimit !== undefined && bodyLength > bodyLimit) throw tooLong(bodyLimit);
  door.proceed();
  if (bodyLength !== undefined && bodyLength <= replayableBytes) return undefined;
  const stream = new BodyStream(door.body(), bodyLimit ?? Number.POSITIVE_INFINITY, patience);
  // A client that sends too much, or not enough, must not count against the upstream, nor open its breaker.
  stream.once('error', (error) => {
    if (error instanceof ProblemError) exchange.giveUp(error);
  });
  return stream;
}
