import type { Duration } from '../../../core/duration.ts';
import {
  durationOption,
  functionOption,
  nameOption,
  parseOptions,
  runtimeOption,
  z,
} from '../../../core/options.ts';
import { type Runtime, resolveRuntime } from '../../../core/runtime.ts';
import type { Exchange, GuardResult } from '../../exchange/exchange.ts';
import { CacheKeeper, type CacheSettings } from './cache-keeper.ts';

/** Options of {@link cache}. */
export interface CacheOptions {
  /** The most bytes that are held, counted generously; what was used longest ago goes first. Default 64 MiB. */
  readonly maxBytes?: number | undefined;
  /** The most bytes of one body; longer ones pass through. Default 1 MiB. */
  readonly maxEntryBytes?: number | undefined;
  /**
   * What an answer is kept by. Default: scheme, host, path and query. Give the same key only to exchanges that anybody
   * may answer alike, such as those that differ by a tracking parameter. Routes, the ways of a split, what a function of a
   * route decides, and what a trusted proxy says of the address are kept apart whatever the key is.
   */
  readonly key?: ((exchange: Exchange) => string) | undefined;
  /** How long a stale answer may be given while a new one is fetched, if it does not say so itself. Default 0. */
  readonly staleWhileRevalidate?: Duration | undefined;
  /** How long a stale answer may be given when the upstream fails, if it does not say so itself. Default 0. */
  readonly staleIfError?: Duration | undefined;
  /** How long a request waits for the same one that is under way; then it is made by itself. Default 5 seconds. */
  readonly waitAtMost?: Duration | undefined;
  /** Names the cache in `Cache-Status`. Default `holdfast`. */
  readonly name?: string | undefined;
  readonly runtime?: Partial<Runtime> | undefined;
}

/** What a cache has done. */
export interface CacheStats {
  /** Requests that were answered from the store, those that had waited included. */
  readonly hits: number;
  /** Requests that went on. */
  readonly misses: number;
  /** Answers that are held. */
  readonly size: number;
  /** Bytes that are held. */
  readonly bytes: number;
}

/** A guard that holds answers. */
export interface ResponseCache {
  (exchange: Exchange): GuardResult | Promise<GuardResult>;
  /**
   * Forget answers: all of them, those of one key, or those whose key the function takes. What is under way for them is
   * not stored either.
   *
   * @returns how many were held.
   */
  purge(which?: string | ((key: string) => boolean)): number;
  /** What it holds and has done. */
  stats(): CacheStats;
}

const optionsSchema = z.strictObject({
  maxBytes: z.int().min(1_024).default(67_108_864),
  maxEntryBytes: z.int().min(1).default(1_048_576),
  key: functionOption<(exchange: Exchange) => string>().default(() => keyOf),
  staleWhileRevalidate: durationOption().default(0),
  staleIfError: durationOption().default(0),
  waitAtMost: durationOption().default(5_000),
  name: nameOption().default('holdfast'),
  runtime: runtimeOption(),
});

/** Never holds a space, and differs whenever scheme, host, path or query do. */
function keyOf({ scheme, authority, path, query }: Exchange): string {
  return `${scheme}://${authority.toLowerCase()}${path}${query === '' ? '' : `?${query}`}`;
}

/**
 * A guard that gives answers again as long as HTTP says that they hold (RFC 9111, a shared cache), and lets of many
 * equal requests at once only one through. What is `private` or `no-store`, sets a cookie, or was made for somebody who
 * is known (`Authorization`, or a principal that a guard before this one has set) without a word that it is for all, is
 * never held; nor is what does not say how long it holds. A successful POST, PUT, PATCH or DELETE makes it forget the
 * answer of the same address. Answers carry `Age` and `Cache-Status` (RFC 9211).
 *
 * Put it behind the guards that decide who may ask, and behind `compress`.
 *
 * @throws InvalidOptionsError naming each option that is not acceptable.
 */
export function cache(options: CacheOptions = {}): ResponseCache {
  const parsed = parseOptions('cache', optionsSchema, options);
  const settings: CacheSettings = { ...parsed, runtime: resolveRuntime(parsed.runtime) };
  const keeper = new CacheKeeper(settings);
  return Object.assign((exchange: Exchange) => keeper.guard(exchange), {
    purge: (which?: string | ((key: string) => boolean)): number => keeper.purge(which),
    stats: (): CacheStats => keeper.stats(),
  });
}
