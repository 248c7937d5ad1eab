import type { Duplex, Readable } from 'node:stream';

/** How an exchange ended: wholly answered, or broken off by either side. */
export type Ending = 'complete' | 'broken';

/**
 * The two ways in, seen alike: a `node:http` request with its response, and a Web-standard `Request` whose `Response`
 * is being made. An exchange knows only this.
 */
export interface Door {
  /** Whether the answer's head has been given, after which no other answer is possible. */
  readonly started: boolean;
  /** The body as it comes in. Read at most once. */
  body(): Readable;
  /** The trailers of the request, once its body is over. */
  trailers?(): readonly (readonly [string, string])[];
  /** Tell a client that waits for it (`Expect: 100-continue`) to send the body. Does nothing otherwise. */
  proceed(): void;
  /** Pass on an interim answer, such as 103 Early Hints, where the client can take it. */
  inform(status: number, headers: readonly string[]): void;
  /** Say 200 in the next head, whatever its status is to those on the way here: the fields tell what it is. */
  sayOk?(): void;
  /**
   * Give the answer's head.
   *
   * @param headers a flat list of names and values.
   * @throws when a name or value may not stand in a header.
   */
  begin(status: number, reason: string, headers: readonly string[]): void;
  /**
   * Give a whole answer, where that costs less than its parts.
   *
   * @param body as many bytes as the headers announce.
   * @throws when a name or value may not stand in a header.
   */
  whole?(status: number, reason: string, headers: readonly string[], body: Buffer): void;
  /** Send what has been given so far, for an answer whose body is yet to come. */
  flush(): void;
  /** Give a piece of the body; false asks to wait for {@link Door.onDrain}. */
  write(chunk: Uint8Array): boolean;
  /** Called whenever more may be written. */
  onDrain(callback: () => void): void;
  /** The answer is whole. */
  end(trailers?: readonly (readonly [string, string])[]): void;
  /** Close the connection after this answer, since what follows on it cannot be trusted or will not be read. */
  closeAfter(): void;
  /** Break off, so that the client sees that the answer is not whole. */
  destroy(): void;
  /** Called exactly once, when nothing more can be sent or received. */
  onClosed(callback: (ending: Ending) => void): void;
}

/** A connection that could be switched to another protocol, such as WebSocket, if the route lets it. */
export interface Upgradable {
  /** The bare connection. */
  readonly socket: Duplex;
  /** Takes the connection out of the hands of the HTTP response; gives what the client sent behind its request. */
  readonly detach: () => Buffer;
  /** Says yes in place of the 101, with these fields of the upstream's: where there is no 101 to say. */
  readonly agree?: ((headers: readonly string[]) => void) | undefined;
}
