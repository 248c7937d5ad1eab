import { exponential } from '../core/backoff.ts';
import type { Duration } from '../core/duration.ts';
import { CircuitOpenError, NoInstanceError } from '../core/errors.ts';
import type { Policy } from '../core/policy.ts';
import type { Runtime } from '../core/runtime.ts';
import { CircuitBreaker } from '../resilience/circuit-breaker.ts';
import type { CircuitBreakerOptions } from '../resilience/circuit-options.ts';
import { pipeline } from '../resilience/pipeline.ts';
import { retry } from '../resilience/retry.ts';
import type { RetryOptions } from '../resilience/retry-options.ts';
import { timeout } from '../resilience/timeout.ts';

/** How calls to a service are protected. */
export interface SidecarPolicies {
  /** How long one attempt may take until the answer's headers are there; false for no limit. Default `10s`. */
  readonly timeout?: Duration | false | undefined;
  /**
   * Attempts at requests that may be repeated; false for one attempt. Default 3 attempts with jitter from 50 ms, up to
   * 2 s of waiting when the service asks for it.
   */
  readonly retry?: Omit<RetryOptions, 'name' | 'runtime'> | false | undefined;
  /** The service's breaker; false for none. Default: as `CircuitBreaker`'s. */
  readonly breaker?: Omit<CircuitBreakerOptions, 'name' | 'runtime'> | false | undefined;
}

/** Services whose policies are kept; beyond it, those of the one called longest ago are forgotten. */
const mostServices = 1_000;

/** How many instances are tried in a row, without a wait, when one after the other cannot be reached. */
const failoverAttempts = 3;

/** Codes of failures to connect: no byte of the request was sent. */
const unreachableCodes: ReadonlySet<unknown> = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** Whether an instance could not even be connected to, so that any request may go to another one. */
export function isUnreachable(error: unknown): boolean {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth += 1) {
    if (unreachableCodes.has((at as { code?: unknown }).code)) return true;
  }
  return false;
}

/**
 * The policies of each service that the app calls, made at its first call. From the outside in:
 *
 * 1. retry, so that each attempt asks the breaker anew, and an open breaker ends the retrying;
 * 2. the breaker, which so counts every attempt, and waits for none;
 * 3. failover: an instance that cannot be connected to says nothing about the service, so the breaker must not see it
 *    while another instance answers;
 * 4. the timeout, for each attempt on its own, so that the breaker sees what was too slow.
 */
export class ServicePolicies {
  readonly #defaults: SidecarPolicies;
  readonly #byService: Readonly<Record<string, SidecarPolicies>>;
  readonly #runtime: Runtime;
  readonly #made: Map<string, Policy> = new Map();

  /** @throws InvalidOptionsError when any of the options is wrong. */
  constructor(
    defaults: SidecarPolicies,
    byService: Readonly<Record<string, SidecarPolicies>>,
    runtime: Runtime,
  ) {
    this.#defaults = defaults;
    this.#byService = byService;
    this.#runtime = runtime;
    // Made once for nothing, so that a bad option is refused now and not at the first call.
    for (const service of ['service', ...Object.keys(byService)]) this.#make(service);
  }

  /** The policy of a service; the same one at each call, since a breaker has a memory. */
  of(service: string): Policy {
    const known = this.#made.get(service);
    const policy = known ?? this.#make(service);
    // Inserting again moves it to the end, so that the map's order is the order of use.
    if (known !== undefined) this.#made.delete(service);
    this.#made.set(service, policy);
    if (this.#made.size > mostServices) {
      const oldest = this.#made.keys().next();
      if (!oldest.done) this.#made.delete(oldest.value);
    }
    return policy;
  }

  #make(service: string): Policy {
    const runtime = this.#runtime;
    const own = Object.hasOwn(this.#byService, service) ? this.#byService[service] : undefined;
    const options = { ...this.#defaults, ...own };
    const policies: Policy[] = [];
    if (options.retry !== false) {
      const retryIf = (error: unknown): boolean => !(error instanceof CircuitOpenError);
      const defaults: RetryOptions = {
        backoff: exponential({ base: 50, max: 1_000 }),
        maxRetryAfter: '2s',
        retryIf,
      };
      policies.push(retry({ ...defaults, ...options.retry, name: service, runtime }));
    }
    if (options.breaker !== false) {
      const ignore = (error: unknown): boolean => error instanceof NoInstanceError;
      policies.push(new CircuitBreaker({ ignore, ...options.breaker, name: service, runtime }));
    }
    policies.push(failover(service, runtime));
    if (options.timeout !== false) policies.push(timeout(options.timeout ?? '10s', { runtime }));
    return pipeline(...policies);
  }
}

/**
 * Tries the next instance at once when one cannot be connected to. A policy of its own kind, and no bare retry, of which
 * `pipeline` would warn inside a breaker and a retry: there it is meant, since what was not connected to was not tried.
 */
function failover(service: string, runtime: Runtime): Policy {
  const next = retry({
    name: service,
    attempts: failoverAttempts,
    backoff: 0,
    retryIf: isUnreachable,
    runtime,
  });
  return { run: (work, options) => next.run(work, options), wrap: (work) => next.wrap(work) };
}
