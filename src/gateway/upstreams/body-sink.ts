/** Takes an answer's body. */
export interface BodySink {
  /** A piece; false asks to pause until `UpstreamCall.resume`. */
  data(chunk: Buffer): boolean;
  /** What has come by now is all there is for the moment. Called once, unless the body has ended by then. */
  pause?(): void;
  /** The body is whole. */
  end(trailers: readonly Buffer[]): void;
  /** The body broke off. */
  fail(error: Error): void;
}
