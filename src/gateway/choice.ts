/** Where the gateway sends an exchange, and what of that a store of answers must tell apart. */
import { ProblemError } from '../core/errors.ts';
import type { HttpExchange } from './exchange/http-exchange.ts';
import type { Target } from './exchange/target.ts';
import type { Destination, Route } from './route.ts';
import { chooseShare } from './routes/split.ts';

/** Destinations to which requests are sent on as they are. */
export type ForwardDestination = Extract<Destination, { readonly kind: 'service' | 'origin' | 'split' }>;

/** What a function of the exchange may give for a service's name: it may have been made of what a client sent. */
const serviceName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/**
 * Where an exchange goes; the same each time it is asked for.
 *
 * @param random a number in [0, 1).
 * @throws ProblemError 400 when a function gave what is no name of a service.
 */
export function targetFor(
  exchange: HttpExchange,
  destination: ForwardDestination,
  random: () => number,
): Target {
  exchange.target ??= chosen(exchange, destination, random);
  return exchange.target;
}

function chosen(exchange: HttpExchange, destination: ForwardDestination, random: () => number): Target {
  if (destination.kind === 'origin') return destination;
  if (destination.kind === 'split') return chooseShare(destination.split, exchange, random);
  const { service, only } = destination;
  if (typeof service !== 'function') return { service, only };
  const name = service(exchange);
  if (!serviceName.test(name)) throw new ProblemError(400, 'the request asks for no acceptable service');
  return { service: name, only };
}

/**
 * A text that differs whenever an exchange is answered by another route, another way of a split, another service or
 * another path than the one with which it is compared.
 */
export function choiceOf(exchange: HttpExchange, route: Route, random: () => number): string {
  const { destination, change, id } = route;
  const path = typeof change.rewrite === 'function' ? change.rewrite(exchange) : '';
  if (destination.kind !== 'split' && destination.kind !== 'service') return JSON.stringify([id, path]);
  const target = targetFor(exchange, destination, random);
  const way =
    destination.kind === 'split'
      ? destination.split.shares.findIndex((share) => share.target === target)
      : target.service;
  return JSON.stringify([id, path, way]);
}
