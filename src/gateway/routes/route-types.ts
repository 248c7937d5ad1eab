/** What a route says of where its requests go, as users write it. All of it but functions can come from JSON or YAML. */
import type { Duration } from '../../core/duration.ts';
import type { ServiceInstance } from '../../ports/registry-backend.ts';
import type { Exchange } from '../exchange/exchange.ts';

/** Which instances of a service: those that have all of this. */
export interface ServiceSubset {
  /** The version that they registered with. */
  readonly version?: string | undefined;
  readonly zone?: string | undefined;
  /** Each has to be there. */
  readonly tags?: readonly string[] | undefined;
  /** Each has to have this value. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

/** Accepts the instances of a subset. */
export type InstanceFilter = (instance: ServiceInstance) => boolean;

/** One way that a route's requests may go. Exactly one of `service` and `url`. */
export interface SplitShare {
  readonly service?: string | undefined;
  /** An origin, such as `http://127.0.0.1:3000`. */
  readonly url?: string | undefined;
  /** Only these instances of the service. Default: all. */
  readonly subset?: ServiceSubset | undefined;
  /** Its part of the requests, relative to the others' weights: 95 and 5, or 0.95 and 0.05. 0 for none. */
  readonly weight: number;
}

/**
 * By what requests are kept to one way: the value of a header or cookie, the client's address, or what a function
 * returns. Requests without it go by chance.
 */
export type StickyKey =
  | 'client'
  | { readonly header: string }
  | { readonly cookie: string }
  | ((exchange: Exchange) => string | undefined);

/** A second upstream that gets a copy of requests, and whose answers are thrown away. */
export interface MirrorOptions {
  readonly service?: string | undefined;
  /** An origin, such as `http://127.0.0.1:3000`. Exactly one of `service` and `url`. */
  readonly url?: string | undefined;
  /** Only these instances of the service. Default: all. */
  readonly subset?: ServiceSubset | undefined;
  /** The part of the requests that is copied, from 0 to 1. Default 1. */
  readonly share?: number | undefined;
  /** The most copies under way; what would be more is left out. Default 100. */
  readonly concurrency?: number | undefined;
  /** The longest that a copy may take in all. Default 5 seconds. */
  readonly timeout?: Duration | undefined;
}

/** Where a client is sent instead. */
export interface RedirectOptions {
  /**
   * A path such as `/v2/orders/{id}`, or the same behind an origin, `https://new.example/{*}`. The client's query is
   * kept. Default: the path that was asked for.
   */
  readonly to?: string | undefined;
  /** The scheme of the new address, such as `https`. Default: that of `to`, or that of the request. */
  readonly scheme?: 'http' | 'https' | undefined;
  /** The port of the new address. Default: the scheme's own when `scheme` is given, else that of the request. */
  readonly port?: number | undefined;
  /** 308 (default) and 307 keep the method and the body, 301, 302 and 303 do not. */
  readonly status?: 301 | 302 | 303 | 307 | 308 | undefined;
}
