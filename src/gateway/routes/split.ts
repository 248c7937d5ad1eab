/** Which of several ways a request goes: by weight, and for the same key always the same one. */
import { InvalidOptionsError } from '../../core/errors.ts';
import { nameOption, z } from '../../core/options.ts';
import type { Exchange } from '../exchange/exchange.ts';
import type { Target } from '../exchange/target.ts';
import { addressKey } from '../http/addresses.ts';
import { cookieIn } from './conditions.ts';
import { originOf } from './origin.ts';
import type { InstanceFilter, ServiceSubset, SplitShare, StickyKey } from './route-types.ts';

const text = z.string();

/** The option `subset`. */
export const subsetSchema: z.ZodType<ServiceSubset> = z.strictObject({
  version: text.optional(),
  zone: text.optional(),
  tags: z.array(text).optional(),
  metadata: z.record(text, text).optional(),
});

/** The option `split`. */
export const splitSchema: z.ZodType<readonly SplitShare[]> = z
  .array(
    z.strictObject({
      service: nameOption().optional(),
      url: text.optional(),
      subset: subsetSchema.optional(),
      weight: z.number().min(0),
    }),
  )
  .min(2);

/** The option `sticky`. */
export const stickySchema: z.ZodType<StickyKey> = z.union(
  [
    z.literal('client'),
    z.strictObject({ header: text.min(1) }),
    z.strictObject({ cookie: text.min(1) }),
    z.custom<(exchange: Exchange) => string | undefined>((value) => typeof value === 'function'),
  ],
  { error: "'client', { header: name }, { cookie: name } or a function of the exchange" },
);

/** What accepts the instances of a subset; undefined when it asks for nothing. */
export function filterOf(subset: ServiceSubset | undefined): InstanceFilter | undefined {
  if (subset === undefined) return undefined;
  const { version, zone, tags = [], metadata = {} } = subset;
  const wanted = Object.entries(metadata);
  return (instance) =>
    (version === undefined || instance.version === version) &&
    (zone === undefined || instance.zone === zone) &&
    tags.every((tag) => instance.tags.includes(tag)) &&
    wanted.every(([key, value]) => instance.metadata[key] === value);
}

/** @throws InvalidOptionsError unless there is exactly one of `service` and `url`, and a subset only of a service. */
export function targetOf(field: string, given: Pick<SplitShare, 'service' | 'url' | 'subset'>): Target {
  const { service, url, subset } = given;
  if ((service === undefined) === (url === undefined)) {
    const received = service === undefined ? 'neither' : 'both';
    throw new InvalidOptionsError('RequestRouter.route', [
      { field, received, accepts: 'exactly one of `service` and `url`' },
    ]);
  }
  if (service !== undefined) return { service, only: filterOf(subset) };
  if (subset !== undefined) {
    throw new InvalidOptionsError('RequestRouter.route', [
      { field: `${field}.subset`, received: 'a subset of a `url`', accepts: 'a subset of a `service`' },
    ]);
  }
  return { origin: originOf(`${field}.url`, url!) };
}

/** One way of a split. */
export interface Share {
  readonly target: Target;
  /** Its part of the requests, from 0 to 1. */
  readonly part: number;
}

/** A split, checked. */
export interface Split {
  readonly shares: readonly Share[];
  /** Reads the key that keeps a request to one way; undefined when it has none, or none was asked for. */
  readonly keyOf: ((exchange: Exchange) => string | undefined) | undefined;
}

/** @throws InvalidOptionsError when a way is none, or no way has a weight. */
export function compileSplit(shares: readonly SplitShare[], sticky: StickyKey | undefined): Split {
  const total = shares.reduce((sum, { weight }) => sum + weight, 0);
  if (!(total > 0 && Number.isFinite(total))) {
    const accepts = 'at least one weight above 0';
    throw new InvalidOptionsError('RequestRouter.route', [
      { field: 'split', received: `weights that add up to ${total}`, accepts },
    ]);
  }
  return {
    shares: shares.map((share, index) => ({
      target: targetOf(`split.${index}`, share),
      part: share.weight / total,
    })),
    keyOf: sticky === undefined ? undefined : keyReader(sticky),
  };
}

function keyReader(sticky: StickyKey): (exchange: Exchange) => string | undefined {
  if (typeof sticky === 'function') return sticky;
  if (sticky === 'client') return ({ clientAddress }) => addressKey(clientAddress);
  if ('header' in sticky) return ({ headers }) => headers.get(sticky.header);
  return ({ headers }) => cookieIn(headers.get('cookie'), sticky.cookie);
}

/**
 * The way of one request.
 *
 * @param random a number in [0, 1).
 */
export function chooseShare(split: Split, exchange: Exchange, random: () => number): Target {
  const key = split.keyOf?.(exchange);
  return shareAt(split.shares, key === undefined ? random() : placeOf(key)).target;
}

/** The share at a place from 0 to 1. */
export function shareAt(shares: readonly Share[], place: number): Share {
  let left = place;
  for (const share of shares) {
    left -= share.part;
    if (left < 0) return share;
  }
  // Parts may add up to a hair less than 1.
  return shares.findLast(({ part }) => part > 0)!;
}

/**
 * Where a key stands between 0 and 1: the same in every process and on every route, so that one who is in the first 5 %
 * is in the first 10 % as well. FNV-1a (Fowler, Noll, Vo), spread by the last step of MurmurHash3 (Appleby).
 */
export function placeOf(key: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(key)) hash = Math.imul(hash ^ byte, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}
