import { enter, joinSignals, withinSignal } from '../core/abort.ts';
import { currentCallContext } from '../core/ambient.ts';
import type { Unsubscribe } from '../core/emitter.ts';
import { CircuitOpenError } from '../core/errors.ts';
import {
  abortSource,
  Call,
  type CallContext,
  type Policy,
  type RunOptions,
  settle,
  unlimitedCall,
  type Work,
  wrapWith,
} from '../core/policy.ts';
import { type CircuitBreakerOptions, parseCircuitOptions } from './circuit-options.ts';
import { CircuitRecorder } from './circuit-recorder.ts';
import { CircuitPermit, type CircuitToken } from './circuit-token.ts';
import type { CircuitBreakerEvents, CircuitMetrics, CircuitState, ForcedState } from './circuit-types.ts';
import { withoutStack } from './refusal.ts';

/**
 * Stops calling a dependency that fails or is slow, and finds out by a few probes when it is well again.
 *
 * It has no timers of its own (only a probe has one, while it is under way) and holds nothing open, so it needs no
 * stop.
 *
 * @example
 * const breaker = new CircuitBreaker({ name: 'payments', failureRate: 0.5, window: '10s', openFor: '5s' });
 * const charge = breaker.wrap(chargeCard);
 */
export class CircuitBreaker implements Policy {
  readonly #recorder: CircuitRecorder;

  /** @throws InvalidOptionsError naming each option that is wrong. */
  constructor(options: CircuitBreakerOptions) {
    this.#recorder = new CircuitRecorder(parseCircuitOptions(options));
  }

  /** The name that it was given. */
  get name(): string {
    return this.#recorder.name;
  }

  /** Where it is now. Reading it is also how an open breaker notices that its wait is over. */
  get state(): CircuitState {
    this.#recorder.refresh();
    return this.#recorder.machine.state;
  }

  /** What it has counted, as of now. */
  get metrics(): CircuitMetrics {
    const { machine, clock } = this.#recorder;
    const state = this.state;
    const now = clock.now();
    const { calls, failures, slow } = machine.tally(now);
    return {
      state,
      window: {
        calls,
        failures,
        slow,
        failureRate: calls === 0 ? 0 : failures / calls,
        slowRate: calls === 0 ? 0 : slow / calls,
      },
      totals: { ...machine.totals },
      openings: machine.openings,
      retryAfter: machine.retryAfter(now),
    };
  }

  /**
   * Make the call if the state allows it, and record how it went.
   *
   * Rejects with `CircuitOpenError` when the call is not made, whose `cause` is what opened the breaker.
   */
  run<T>(work: Work<T>, options?: RunOptions): Promise<T> {
    const recorder = this.#recorder;
    const { machine } = recorder;
    // The common call pays for two clock readings, one `then` and an addition; everything else takes the long way.
    if (machine.state !== 'closed' || options !== undefined || currentCallContext() !== undefined) {
      return this.#runGuarded(work, options);
    }
    const { generation } = machine;
    const startedAt = recorder.clock.now();
    return settle(work, unlimitedCall).then(
      (result) => {
        recorder.resolved(generation, startedAt, result);
        return result;
      },
      (error) => {
        recorder.rejected(generation, startedAt, error);
        throw error;
      },
    );
  }

  /** The same function behind this breaker: same arguments, a promise of the same result. */
  wrap<A extends unknown[], R>(work: (...args: A) => R): (...args: A) => Promise<Awaited<R>> {
    return wrapWith(this, work);
  }

  /**
   * Ask leave to make one call whose outcome you tell yourself, on the token.
   *
   * @throws CircuitOpenError when the call must not be made.
   */
  acquire(): CircuitToken {
    const permit = this.#admit();
    if (permit === undefined) throw this.#refusal();
    return permit;
  }

  /** Open now, as if a threshold had been reached. Nothing happens unless it is closed or half-open. */
  trip(cause?: unknown): void {
    const { machine, clock, random } = this.#recorder;
    this.#recorder.refresh();
    this.#tell(machine.trip(clock.now(), cause, random));
  }

  /** Forget every recorded outcome, and close if it is open or half-open. A forced state stays. */
  reset(): void {
    this.#tell(this.#recorder.machine.reset());
  }

  /**
   * Take over: reject every call (`open`), let every call pass uncounted (`disabled`), or pass and count but never open
   * (`metrics-only`). It stays so until `undefined` gives control back; the breaker is then closed and empty.
   */
  force(state: ForcedState | undefined): void {
    this.#tell(this.#recorder.machine.force(state));
  }

  /** Listen to what happens; returns how to stop listening. */
  on<K extends keyof CircuitBreakerEvents & string>(
    event: K,
    listener: (payload: CircuitBreakerEvents[K]) => void,
  ): Unsubscribe {
    return this.#recorder.emitter.on(event, listener);
  }

  #runGuarded<T>(work: Work<T>, options: RunOptions | undefined): Promise<T> {
    const permit = this.#admit();
    if (permit === undefined) return Promise.reject(this.#refusal());
    let begun = false;
    let off: Unsubscribe | undefined;
    const promise = enter(this.#recorder.clock, options, (context) => {
      const signal = abortSource(context);
      if (signal?.aborted) return Promise.reject(signal.reason);
      begun = true;
      off = signal && onAbort(signal, (reason) => permit.aborted(reason));
      return permit.isProbe ? probe(permit, context, work) : settle(work, context);
    });
    return promise.then(
      (result) => {
        off?.();
        permit.resolved(result);
        return result;
      },
      (error) => {
        off?.();
        if (begun) permit.rejected(error);
        else permit.ignore(error);
        throw error;
      },
    );
  }

  #admit(): CircuitPermit | undefined {
    const { machine, clock } = this.#recorder;
    const change = machine.refresh(clock.now());
    const admission = machine.admit();
    const permit =
      admission === 'refused' ? undefined : new CircuitPermit(this.#recorder, admission === 'probe');
    // Only now: a listener that calls the breaker must not take the permit of the call that came first.
    this.#tell(change);
    return permit;
  }

  #refusal(): CircuitOpenError {
    const { machine, clock, emitter, name } = this.#recorder;
    const retryAfter = machine.retryAfter(clock.now());
    const { state, cause } = machine;
    if (emitter.wants('rejected')) emitter.emit('rejected', { state, retryAfter });
    return withoutStack(() => new CircuitOpenError(name, state, retryAfter, cause));
  }

  #tell(change: Parameters<CircuitRecorder['announce']>[0] | undefined): void {
    if (change !== undefined) this.#recorder.announce(change);
  }
}

/** Work under a probe's lease: its signal also aborts, and its promise rejects, when the lease expires. */
function probe<T>(permit: CircuitPermit, context: CallContext, work: Work<T>): Promise<T> {
  const { signal, dispose } = joinSignals(abortSource(context), permit.signal);
  const deadline = Math.min(context.deadline ?? Number.POSITIVE_INFINITY, permit.expiresAt);
  const leased = new Call(signal, context.attempt, deadline);
  return withinSignal(signal, () => settle(work, leased)).finally(dispose);
}

/** Call the listener when the signal aborts. Work that ignores its signal would otherwise never be counted. */
function onAbort(signal: AbortSignal, listener: (reason: unknown) => void): Unsubscribe {
  const heard = (): void => listener(signal.reason);
  signal.addEventListener('abort', heard, { once: true });
  return () => signal.removeEventListener('abort', heard);
}
