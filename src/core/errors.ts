/**
 * Every error class and code of the library. `docs/errors.md` has a paragraph for each code; a test holds the two lists
 * equal.
 */
import { HoldfastError, type HoldfastErrorOptions, messageOf } from './holdfast-error.ts';

export {
  CrashMatrixError,
  InvalidSagaError,
  RefusedError,
  SagaCompensatedError,
  SagaConflictError,
  SagaParkedError,
  SagaRepairError,
  SagaResolvedError,
  UnknownSagaError,
} from './saga-errors.ts';

/** One rejected option. */
export interface OptionIssue {
  /** Dotted path of the option, such as `halfOpen.permits`. */
  readonly field: string;
  /** What was given, shortened; never a secret's value. */
  readonly received: string;
  /** What would have been accepted. */
  readonly accepts: string;
}

/** An option is unknown, missing, of the wrong type or out of range. Thrown by constructors and builders. */
export class InvalidOptionsError extends HoldfastError {
  static override readonly code = 'HOLDFAST_INVALID_OPTIONS';
  readonly owner: string;
  readonly issues: readonly OptionIssue[];

  constructor(owner: string, issues: readonly OptionIssue[]) {
    const lines = issues.map((i) => `${i.field}: got ${i.received}; accepts ${i.accepts}`);
    super(`${owner}: ${lines.join(' · ')}`);
    this.owner = owner;
    this.issues = issues;
  }
}

/** A feature was used whose optional package is not installed. The message holds the install command. */
export class MissingPackageError extends HoldfastError {
  static override readonly code = 'HOLDFAST_MISSING_PACKAGE';
  constructor(packageName: string, feature: string, cause?: unknown) {
    super(`${feature} needs the package ${packageName}: npm install ${packageName}`, { cause });
  }
}

/** A method was called before `start()` or after `stop()`. */
export class NotRunningError extends HoldfastError {
  static override readonly code = 'HOLDFAST_NOT_RUNNING';
  constructor(owner: string, state: string) {
    const early = state === 'idle' || state === 'starting';
    const advice = early ? 'call `await start()` first' : 'it is stopped for good; make a new one';
    super(`${owner} is ${state}: ${advice}`);
  }
}

/** Work did not settle within its timeout or its caller's deadline; its signal was aborted. */
export class TimeoutError extends HoldfastError {
  static override readonly code = 'HOLDFAST_TIMEOUT';
  /** The limit that was exceeded, in milliseconds. */
  readonly limit: number;
  /**
   * For how many milliseconds of the call this process's own event loop was blocked, when that was most of the limit,
   * else 0. Above 0 the timeout says nothing about the dependency, and no breaker counts it.
   */
  readonly lag: number;

  constructor(
    limit: number,
    options: HoldfastErrorOptions & { readonly what?: string; readonly lag?: number } = {},
  ) {
    const { what = 'the call', lag = 0 } = options;
    const blame = lag > 0 ? `; the event loop was blocked for ${Math.round(lag)} ms of it` : '';
    super(`${what} did not settle within ${Math.round(limit)} ms${blame}`, { retryable: true, ...options });
    this.limit = limit;
    this.lag = lag;
  }
}

/** A circuit breaker rejected the call without making it. */
export class CircuitOpenError extends HoldfastError {
  static override readonly code = 'HOLDFAST_CIRCUIT_OPEN';
  /** The breaker's name. */
  readonly breaker: string;
  /** `open`, `half-open` (all probes are taken) or `forced-open`. */
  readonly state: string;
  /** Milliseconds until the next probe may pass; 0 when one may pass at any moment, Infinity while forced open. */
  readonly retryAfter: number;

  constructor(breaker: string, state: string, retryAfter: number, cause?: unknown) {
    const next =
      retryAfter === Number.POSITIVE_INFINITY
        ? 'until force(undefined) is called'
        : `next attempt in ${Math.ceil(retryAfter)} ms`;
    super(`circuit breaker ${breaker} is ${state}; ${next}`, {
      cause,
      retryable: true,
    });
    this.breaker = breaker;
    this.state = state;
    this.retryAfter = retryAfter;
  }
}

/** All slots of a bulkhead are taken and its queue is full. */
export class BulkheadFullError extends HoldfastError {
  static override readonly code = 'HOLDFAST_BULKHEAD_FULL';
  constructor(bulkhead: string, limit: number, queue: number) {
    super(`bulkhead ${bulkhead} is full: ${limit} running, ${queue} waiting`, { retryable: true });
  }
}

/** A rate limit was exceeded. */
export class RateLimitedError extends HoldfastError {
  static override readonly code = 'HOLDFAST_RATE_LIMITED';
  /** Milliseconds after which the call would be allowed. */
  readonly retryAfter: number;

  constructor(limiter: string, retryAfter: number) {
    super(`rate limit ${limiter} exceeded; allowed again in ${Math.ceil(retryAfter)} ms`, {
      retryable: true,
    });
    this.retryAfter = retryAfter;
  }
}

/** No instance of a service can be called now. */
export class NoInstanceError extends HoldfastError {
  static override readonly code = 'HOLDFAST_NO_INSTANCE';
  readonly service: string;

  /** @param why such as `none is registered` or `all 3 are draining` */
  constructor(service: string, why: string, cause?: unknown) {
    super(`no instance of service ${JSON.stringify(service)}: ${why}`, { cause, retryable: true });
    this.service = service;
  }
}

/** A registry backend could not do what was asked. Known instances stay in use meanwhile. */
export class RegistryError extends HoldfastError {
  static override readonly code = 'HOLDFAST_REGISTRY';
  constructor(backend: string, operation: string, cause: unknown) {
    super(`registry ${backend} could not ${operation}: ${messageOf(cause)}`, { cause, retryable: true });
  }
}

/** One rejected configuration value. */
export interface ConfigIssue {
  /** Dotted path of the value. */
  readonly path: string;
  /** What is wrong with it. */
  readonly message: string;
  /** Where the value came from, such as `config/orders.prod.yaml`; undefined when no source has it. */
  readonly source?: string | undefined;
}

/** The merged configuration does not satisfy its schema. */
export class ConfigInvalidError extends HoldfastError {
  static override readonly code = 'HOLDFAST_CONFIG_INVALID';
  readonly issues: readonly ConfigIssue[];

  constructor(environment: string, issues: readonly ConfigIssue[]) {
    const lines = issues.map((i) => `${i.path}: ${i.message}${i.source ? ` (from ${i.source})` : ''}`);
    super(`configuration for environment ${environment} is invalid · ${lines.join(' · ')}`);
    this.issues = issues;
  }
}

/** A configuration source could not be read or parsed. */
export class ConfigSourceError extends HoldfastError {
  static override readonly code = 'HOLDFAST_CONFIG_SOURCE';
  constructor(source: string, why: string, cause?: unknown) {
    super(`configuration source ${source}: ${why}`, { cause, retryable: true });
  }
}

/** A value cannot be stored or sent: not JSON, too large, or not what its schema says. */
export class InvalidPayloadError extends HoldfastError {
  static override readonly code = 'HOLDFAST_INVALID_PAYLOAD';
  constructor(what: string, why: string, cause?: unknown) {
    super(`${what}: ${why}`, { cause });
  }
}

/** A store could not do what was asked; whether it took effect may be unknown. */
export class StoreError extends HoldfastError {
  static override readonly code = 'HOLDFAST_STORE';
  constructor(store: string, operation: string, cause: unknown) {
    super(`store ${store} could not ${operation}: ${messageOf(cause)}`, { cause, retryable: true });
  }
}

/** An answer to an HTTP request that a guard or handler decided on; rendered as `application/problem+json`. */
export class ProblemError extends HoldfastError {
  static override readonly code = 'HOLDFAST_PROBLEM';
  readonly status: number;
  /** Extra response headers, lower-case names. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    detail: string,
    options: HoldfastErrorOptions & { readonly headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(detail, options);
    this.status = status;
    this.headers = options.headers ?? {};
  }
}

/** An upstream could not be reached, broke off, or answered with a status that counts as a failure. */
export class UpstreamError extends HoldfastError {
  static override readonly code = 'HOLDFAST_UPSTREAM';
  constructor(upstream: string, why: string, options: HoldfastErrorOptions = {}) {
    super(`upstream ${upstream}: ${why}`, options);
  }
}

/** The supervised application exited or never became ready. */
export class AppError extends HoldfastError {
  static override readonly code = 'HOLDFAST_APP';
  constructor(app: string, why: string, cause?: unknown) {
    super(`app ${app}: ${why}`, { cause });
  }
}

/** A worker process of a router ended before it listened. */
export class WorkerError extends HoldfastError {
  static override readonly code = 'HOLDFAST_WORKER';
  constructor(why: string, cause?: string) {
    super(`workers of a router: ${why}${cause === undefined ? '' : `: ${cause}`}`);
  }
}
