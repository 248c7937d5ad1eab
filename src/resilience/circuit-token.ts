import { abortController } from '../core/abort-controller.ts';
import type { Timer } from '../core/clock.ts';
import { TimeoutError } from '../core/errors.ts';
import { type Permit, unlimitedCall } from '../core/policy.ts';
import type { CircuitRecorder } from './circuit-recorder.ts';

/**
 * Leave to make one call, whose outcome is told by hand: for work that is not over when a promise settles, such as a
 * proxied response whose body is still streaming. Only the first outcome counts.
 */
export interface CircuitToken extends Permit {
  /** Which period of the breaker it belongs to; an outcome of an earlier one no longer decides anything. */
  readonly generation: number;
  /** When it was given out, on the runtime's monotonic clock. */
  readonly startedAt: number;
  /** Whether the call is a half-open probe. */
  readonly isProbe: boolean;
  /** For a probe: aborts with `TimeoutError` when its lease, `halfOpen.maxWait`, passes. Otherwise never aborts. */
  readonly signal: AbortSignal;
  /** The call succeeded. The duration is in milliseconds. Default: since `startedAt`. */
  success(duration?: number): void;
  /** The call failed; the predicates are not asked. */
  failure(error: unknown): void;
  /** The call says nothing about the dependency, such as when its caller gave up. */
  ignore(reason?: unknown): void;
}

/** The only implementation of {@link CircuitToken}; the breaker settles it by the outcome of a promise. */
export class CircuitPermit implements CircuitToken {
  readonly generation: number;
  readonly startedAt: number;
  readonly isProbe: boolean;
  readonly #recorder: CircuitRecorder;
  readonly #maxWait: number;
  readonly #lease: Timer | undefined;
  #controller: AbortController | undefined;
  #expiry: TimeoutError | undefined;
  #settled = false;

  constructor(recorder: CircuitRecorder, isProbe: boolean, now: number) {
    this.generation = recorder.machine.generation;
    this.startedAt = now;
    this.isProbe = isProbe;
    this.#recorder = recorder;
    this.#maxWait = recorder.machine.settings.maxWait;
    // The timer does not hold the process: whoever waits for the probe does, if anybody.
    if (isProbe) this.#lease = recorder.clock.schedule(this.#maxWait, () => this.#expire());
  }

  get signal(): AbortSignal {
    if (!this.isProbe) return unlimitedCall.signal;
    this.#controller ??= abortController();
    if (this.#expiry !== undefined) this.#controller.abort(this.#expiry);
    return this.#controller.signal;
  }

  /** When the lease ends; Infinity for a call that is no probe. */
  get expiresAt(): number {
    return this.isProbe ? this.startedAt + this.#maxWait : Number.POSITIVE_INFINITY;
  }

  success(duration?: number): void {
    if (!this.#settle()) return;
    const now = this.#recorder.clock.now();
    this.#recorder.succeeded(this.generation, now, duration ?? now - this.startedAt);
  }

  failure(error: unknown): void {
    if (!this.#settle()) return;
    const now = this.#recorder.clock.now();
    this.#recorder.failed(this.generation, now, now - this.startedAt, error);
  }

  ignore(reason?: unknown): void {
    if (!this.#settle()) return;
    this.#recorder.ignored(this.generation, this.#recorder.clock.now() - this.startedAt, reason);
  }

  /** Settle by what the work gave; the predicates judge it. */
  resolved(result: unknown): void {
    if (this.#settle()) this.#recorder.resolved(this.generation, this.startedAt, result);
  }

  /** Settle by what the work threw; the predicates judge it. */
  rejected(error: unknown): void {
    if (this.#settle()) this.#recorder.rejected(this.generation, this.startedAt, error);
  }

  /** Settle by the reason for which the work was aborted from outside: a time limit is a failure, a caller is not. */
  aborted(reason: unknown): void {
    if (reason instanceof TimeoutError) this.rejected(reason);
    else this.ignore(reason);
  }

  #settle(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    this.#lease?.cancel();
    return true;
  }

  #expire(): void {
    this.#settled = true;
    const { clock, name } = this.#recorder;
    this.#expiry = new TimeoutError(this.#maxWait, { what: `a probe of circuit breaker ${name}` });
    const now = clock.now();
    this.#recorder.expired(this.generation, now, now - this.startedAt, this.#expiry);
    this.#controller?.abort(this.#expiry);
  }
}
