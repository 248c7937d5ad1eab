import type { Readable } from 'node:stream';

/** Limits in milliseconds; 0 for none. */
export interface ForwardTimeouts {
  readonly connect: number;
  readonly firstByte: number;
  readonly idle: number;
}

/** What to ask an upstream. */
export interface UpstreamRequest {
  readonly method: string;
  /** Path and query; starts with a slash. */
  readonly path: string;
  /** A flat list of names and values. */
  readonly headers: string[];
  readonly body: Buffer | Readable | null;
  /** The protocol to switch to, such as `websocket`. */
  readonly upgrade: string | undefined;
  readonly timeouts: ForwardTimeouts;
  /** What to send behind the body, where the upstream's protocol can; asked once the body is over. */
  readonly trailers?: (() => readonly (readonly [string, string])[]) | undefined;
  /** The names of trailers that the client has announced; a request without them can be sent in a quicker way. */
  readonly trailerNames?: string | undefined;
  /** Takes interim answers, such as 103 Early Hints, their fields as a flat list. */
  readonly interimTo?: { inform(status: number, headers: readonly string[]): void } | undefined;
}
