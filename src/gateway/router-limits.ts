/** Bounds of a router: what users may say, and what is in effect. */
import { z } from '../core/options.ts';

/** Bounds on what the router takes in and holds. */
export interface RouterLimits {
  /**
   * The most header fields of a request; more are answered 431. At most 999, since Node drops what comes after a
   * thousand without a word. Default 100.
   */
  readonly headers?: number | undefined;
  /** The most bytes of a request's head, for servers made by `listen`. Default 16,384. */
  readonly headerBytes?: number | undefined;
  /** The most bytes of a request's body; more are answered 413. Default: no limit, since bodies stream. */
  readonly body?: number | undefined;
  /** The most bytes of one part of a composed answer. Default 1 MiB. */
  readonly part?: number | undefined;
  /** The most connections to one upstream origin. Default 256. */
  readonly connections?: number | undefined;
  /** The most requests that wait for a connection to one origin; more are answered 503. Default 1,024. */
  readonly waiting?: number | undefined;
  /** The most upstream origins whose connections are kept. Default 512. */
  readonly origins?: number | undefined;
}

const atLeast = (minimum: number, fallback: number): z.ZodDefault<z.ZodInt> =>
  z.int().min(minimum).default(fallback);

/** The limits in effect. */
export interface ResolvedLimits {
  readonly headers: number;
  readonly headerBytes: number;
  readonly body?: number | undefined;
  readonly part: number;
  readonly connections: number;
  readonly waiting: number;
  readonly origins: number;
}

/** The option `limits`. */
export const limitsSchema: z.ZodType<ResolvedLimits> = z.strictObject({
  headers: z.int().min(1).max(999).default(100),
  headerBytes: atLeast(1_024, 16_384),
  body: z.int().min(0).optional(),
  part: atLeast(1, 1_048_576),
  connections: atLeast(1, 256),
  waiting: atLeast(0, 1_024),
  origins: atLeast(1, 512),
});
