import { type Channel, channel } from 'node:diagnostics_channel';

/** What is published on the channel `holdfast:http-client:settled` when the outcome of a request is known. */
export interface HttpClientSettled {
  /** Which wrapper made the request. */
  readonly client: 'fetch' | 'undici';
  /** Such as `https://api.example.com`. */
  readonly origin: string;
  /** What it counted as; `refused` when the breaker did not let it be made. */
  readonly outcome: 'success' | 'failure' | 'ignored' | 'refused';
  /** Of the response; undefined when there was none. */
  readonly status: number | undefined;
  /** What made it fail, be refused or be given up; undefined when it succeeded. */
  readonly error: unknown;
  /** Milliseconds since the request began; undefined when nobody had subscribed then. */
  readonly duration: number | undefined;
}

/** Where it is published; the same in every copy of the library, since Node knows channels by name. */
export const settledChannel: Channel = channel('holdfast:http-client:settled');
