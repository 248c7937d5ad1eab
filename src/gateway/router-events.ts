/** An exchange is over: answered, refused, or given up by its client. */
export interface RequestFinished {
  readonly method: string;
  /** Canonical; as it came when it was refused for its path. */
  readonly path: string;
  readonly host: string;
  readonly clientAddress: string;
  /** Pattern of the route; undefined when none matched. */
  readonly route: string | undefined;
  /** What was answered; 499 when the client went away before any answer. */
  readonly status: number;
  /** Milliseconds from the request's head to the end of the answer. */
  readonly duration: number;
  readonly service?: string | undefined;
  /** Id of the instance that answered, or the origin of a fixed upstream. */
  readonly instance?: string | undefined;
  /** Bytes of the answer's body as they were sent, after compression. */
  readonly bytes?: number | undefined;
  /** The request's `X-Request-Id`, if it came with one or a guard gave it one. */
  readonly requestId?: string | undefined;
  /** The query as it came, without `?`. It may hold what is nobody's business. */
  readonly query?: string | undefined;
  /** Id of the trace that the request belongs to, if a guard set it. */
  readonly traceId?: string | undefined;
  /** Whether the client went away before its answer was whole. */
  readonly aborted?: boolean | undefined;
  readonly error?: unknown;
}

/** The router itself refused a request: malformed, no route, or a guard said no. */
export interface RequestRefused {
  readonly method: string;
  readonly path: string;
  readonly route: string | undefined;
  readonly status: number;
  readonly reason: string;
}

/** An attempt at an upstream failed; others may follow. */
export interface UpstreamFailed {
  readonly route: string | undefined;
  readonly service: string | undefined;
  readonly instance: string | undefined;
  /** 1 for the first. */
  readonly attempt: number;
  /** The upstream's answer, when it gave one. */
  readonly status: number | undefined;
  readonly error: unknown;
}

/** A request is made once more by the route's `retries` or `hedge`. */
export interface RequestRepeated {
  readonly route: string;
  readonly service: string | undefined;
  /** The attempt that is to be made; 2 for the first repeated one. */
  readonly attempt: number;
  /** Milliseconds until then; of a hedge, since the attempt before. */
  readonly wait: number;
  /** Whether the attempt before is still under way. */
  readonly hedged: boolean;
}

/** A copy of a request is done with: what a mirror answered, or why it did not. */
export interface RequestMirrored {
  readonly route: string;
  readonly service: string | undefined;
  /** Id of the instance that got it, or the origin of a fixed upstream; undefined when nobody did. */
  readonly instance: string | undefined;
  readonly status: number | undefined;
  /** `BulkheadFullError` when it was left out because as many were under way as may be. */
  readonly error: unknown;
}

/** The routes were replaced. */
export interface RoutesReplaced {
  /** Patterns of routes that are new, or declared in another way than before. */
  readonly added: readonly string[];
  /** Patterns of routes that are gone, or declared in another way than before. */
  readonly removed: readonly string[];
  /** How many routes stayed as they were, with all that they remember. */
  readonly kept: number;
}

/** The router accepts connections. */
export interface RouterListening {
  readonly url: string;
}

/** A worker process has ended. */
export interface WorkerExited {
  readonly pid: number;
  readonly code: number | null;
  readonly signal: string | null;
  /** Milliseconds after which another one takes its place; undefined when none does. */
  readonly restartIn: number | undefined;
}

/** The router has stopped. */
export interface RouterStopped {
  /** Whether every exchange had ended by then. */
  readonly drained: boolean;
}

/** Events of a `RequestRouter`. */
export interface RequestRouterEvents {
  readonly finished: RequestFinished;
  readonly refused: RequestRefused;
  readonly upstreamFailed: UpstreamFailed;
  readonly repeated: RequestRepeated;
  readonly mirrored: RequestMirrored;
  readonly replaced: RoutesReplaced;
  readonly listening: RouterListening;
  readonly workerExited: WorkerExited;
  readonly stopped: RouterStopped;
}
