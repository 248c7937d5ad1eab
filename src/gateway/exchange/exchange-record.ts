import type { Clock } from '../../core/clock.ts';
import type { IncomingHead } from '../http/admit.ts';
import type { RequestFinished } from '../router-events.ts';

/** How an exchange ended. */
export interface ExchangeOutcome {
  /** What was answered; 499 when the client went away before any answer. */
  readonly status: number;
  /** Bytes of the answer's body, as they were sent: after compression. */
  readonly bytes: number;
  /** The service that was asked, if one was. */
  readonly service: string | undefined;
  /** Id of the instance that answered, or the origin of a fixed upstream. */
  readonly instance: string | undefined;
  readonly error: unknown;
}

/**
 * What is told of an exchange when it is over, filled in as it goes. It is itself what listeners get, so that telling
 * them copies nothing.
 */
export class ExchangeRecord implements RequestFinished {
  readonly method: string;
  path: string;
  host = '';
  clientAddress: string;
  route: string | undefined = undefined;
  status = 0;
  duration = 0;
  service: string | undefined = undefined;
  instance: string | undefined = undefined;
  bytes = 0;
  requestId: string | undefined = undefined;
  query = '';
  traceId: string | undefined = undefined;
  aborted = false;
  error: unknown = undefined;
  readonly #clock: Clock;
  readonly #startedAt: number;

  constructor(clock: Clock, head: IncomingHead) {
    this.method = head.method;
    this.path = head.target.length > 1_024 ? head.target.slice(0, 1_024) : head.target;
    this.clientAddress = head.peer;
    this.#clock = clock;
    this.#startedAt = clock.now();
  }

  /** When it began, on the clock. */
  get startedAt(): number {
    return this.#startedAt;
  }

  /** The exchange is over. */
  finish(requestId: string | undefined): void {
    this.duration = this.#clock.now() - this.#startedAt;
    this.requestId = requestId;
  }
}
