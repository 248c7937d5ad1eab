/** A connection to an upstream. */
export interface UsedConnection {
  /** How many requests were written on it. */
  served: number;
  /** Whether the upstream speaks HTTP/1.0 on it. */
  readonly isOld: boolean;
  /**
   * It is done with the call that it was given.
   *
   * @param well whether the call came to its end; otherwise whoever reports it may still be at work on the connection.
   */
  free?(well: boolean): void;
}
