import { enter } from '../core/abort.ts';
import { currentCallContext } from '../core/ambient.ts';
import { type Duration, milliseconds } from '../core/duration.ts';
import type { Unsubscribe } from '../core/emitter.ts';
import { CircuitOpenError } from '../core/errors.ts';
import {
  abortSource,
  type Policy,
  type RunOptions,
  settle,
  unlimitedCall,
  type Work,
  wrapWith,
} from '../core/policy.ts';
import { explainCircuit } from './circuit-explain.ts';
import {
  type CircuitBreakerOptions,
  type CircuitReconfiguration,
  parseCircuitOptions,
} from './circuit-options.ts';
import { onAbort, probe } from './circuit-probe.ts';
import { CircuitRecorder } from './circuit-recorder.ts';
import type { CircuitSnapshot } from './circuit-snapshot.ts';
import { CircuitPermit, type CircuitToken } from './circuit-token.ts';
import type { CircuitBreakerEvents, CircuitMetrics, CircuitState, ForcedState } from './circuit-types.ts';
import { UntimedCalls } from './circuit-untimed.ts';
import { withoutStack } from './refusal.ts';
import { rejected, rejectWith } from './rejection.ts';

/** Options of {@link CircuitBreaker.trip}. */
export interface TripOptions {
  /** How long it stays open before it probes. Default: as the breaker's `openFor` says. */
  readonly openFor?: Duration | undefined;
  /** What to give as the reason. Default `manual`. */
  readonly reason?: 'manual' | 'shared' | undefined;
}

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
  /** What settles the calls of the present period in which every call passes. */
  #untimed: UntimedCalls | undefined;

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
      latency: this.#recorder.latency?.summary(now),
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
    // The common call pays for one clock reading, one `then` and an addition; everything else takes the long way.
    // A pipeline hands on the unlimited call, which says no more than no options do.
    const limited = options !== undefined && options !== unlimitedCall;
    if (!machine.admitsAll || limited || currentCallContext() !== undefined) {
      return this.#runGuarded(work, options);
    }
    if (recorder.isTimed) return this.#runTimed(work);
    let untimed = this.#untimed;
    if (untimed?.generation !== machine.generation) {
      untimed = new UntimedCalls(recorder);
      this.#untimed = untimed;
    }
    return settle(work, unlimitedCall).then(untimed.resolved, untimed.rejected);
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
    const now = this.#recorder.clock.now();
    const permit = this.#admit(now);
    if (permit === undefined) throw this.#refusal(now);
    return permit;
  }

  /**
   * Open now, as if a threshold had been reached. Nothing happens unless it is closed or half-open.
   *
   * @param options for how long (default: as `openFor` says), and whether a sibling's opening is the reason
   * @throws InvalidOptionsError when the duration is none
   */
  trip(cause?: unknown, options: TripOptions = {}): void {
    const { machine, clock, outside } = this.#recorder;
    const wait = options.openFor === undefined ? undefined : milliseconds(options.openFor, 'openFor');
    this.#recorder.refresh();
    this.#tell(machine.trip(clock.now(), cause, outside, { reason: options.reason ?? 'manual', wait }));
  }

  /** End the wait of an open breaker: the next call is a probe. Nothing happens in another state. */
  endWait(): void {
    this.#recorder.machine.endWait(this.#recorder.clock.now());
  }

  /**
   * Open sooner for a while: multiply `failureRate`, `slowRate`, `minimumCalls` and `consecutiveFailures` by a factor.
   *
   * @param factor above 0, at most 1
   * @throws RangeError when the factor is not
   * @throws InvalidOptionsError when the duration is none
   */
  lowerThresholds(factor: number, duration: Duration): void {
    if (!(factor > 0 && factor <= 1))
      throw new RangeError(`a factor is above 0 and at most 1, not ${factor}`);
    const { machine, clock } = this.#recorder;
    machine.thresholds.lower(factor, clock.now() + milliseconds(duration));
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

  /**
   * Go on under other options; what was recorded is kept, and so is the wait of an open breaker. An option that is
   * given as `undefined` goes back to its default.
   *
   * @throws InvalidOptionsError naming each option that is wrong, and then nothing has changed.
   */
  reconfigure(changes: CircuitReconfiguration): void {
    this.#recorder.reconfigure(changes);
  }

  /** What it knows, as JSON can hold it: for `initialState` or `importState` of another breaker. */
  exportState(): CircuitSnapshot {
    return this.#recorder.export();
  }

  /**
   * Become what another breaker was when this was exported: its state, its recorded outcomes, what is left of its wait.
   *
   * @throws InvalidOptionsError when it is not what `exportState` gave.
   */
  importState(snapshot: CircuitSnapshot): void {
    this.#recorder.import(snapshot);
  }

  /** In words: where it is, why, and what would change that. */
  explain(): string {
    const { machine, name, clock } = this.#recorder;
    this.#recorder.refresh();
    return explainCircuit(name, machine, clock.now());
  }

  /** Listen to what happens; returns how to stop listening. */
  on<K extends keyof CircuitBreakerEvents & string>(
    event: K,
    listener: (payload: CircuitBreakerEvents[K]) => void,
  ): Unsubscribe {
    return this.#recorder.on(event, listener);
  }

  #runTimed<T>(work: Work<T>): Promise<T> {
    const recorder = this.#recorder;
    const { generation } = recorder.machine;
    const startedAt = recorder.clock.now();
    return settle(work, unlimitedCall).then(
      (result) => {
        recorder.resolved(generation, startedAt, result);
        return result;
      },
      (error) => {
        recorder.rejected(generation, startedAt, error);
        return rejectWith(error);
      },
    );
  }

  #runGuarded<T>(work: Work<T>, options: RunOptions | undefined): Promise<T> {
    const now = this.#recorder.clock.now();
    const permit = this.#admit(now);
    if (permit === undefined) return rejected(this.#refusal(now));
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
        return rejectWith(error);
      },
    );
  }

  #admit(now: number): CircuitPermit | undefined {
    const { machine } = this.#recorder;
    const change = machine.refresh(now);
    const admission = machine.admit();
    const permit =
      admission === 'refused' ? undefined : new CircuitPermit(this.#recorder, admission === 'probe', now);
    // Only now: a listener that calls the breaker must not take the permit of the call that came first.
    this.#tell(change);
    return permit;
  }

  #refusal(now: number): CircuitOpenError {
    const { machine, emitter, name } = this.#recorder;
    const retryAfter = machine.retryAfter(now);
    const { state, opening } = machine;
    if (emitter.wants('rejected')) emitter.emit('rejected', { state, retryAfter });
    return withoutStack(() => new CircuitOpenError(name, state, retryAfter, opening?.cause));
  }

  #tell(change: Parameters<CircuitRecorder['announce']>[0] | undefined): void {
    if (change !== undefined) this.#recorder.announce(change);
  }
}
