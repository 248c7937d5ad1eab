import type { Clock } from '../core/clock.ts';
import { Emitter, type Unsubscribe } from '../core/emitter.ts';
import { warnOf } from '../core/log.ts';
import { type Runtime, resolveRuntime } from '../core/runtime.ts';
import { publishChange } from './circuit-channels.ts';
import type { CircuitConfiguration, CircuitPredicates, CircuitReconfiguration } from './circuit-options.ts';
import { type CircuitSnapshot, fromSnapshot, toSnapshot } from './circuit-snapshot.ts';
import { CircuitMachine } from './circuit-state.ts';
import type { CircuitBreakerEvents, CircuitChange, Outside } from './circuit-types.ts';
import { RecentLatency } from './latency-histogram.ts';
import { isRefusal } from './refusal.ts';

/**
 * Brings outcomes to the machine and tells what became of them: judge, commit, then emit. So a listener that calls the
 * breaker again sees the new state.
 */
export class CircuitRecorder {
  readonly name: string;
  readonly clock: Clock;
  readonly outside: Outside;
  readonly machine: CircuitMachine;
  readonly emitter: Emitter<CircuitBreakerEvents>;
  /** Whether anybody wants to know how long calls take. */
  isTimed = false;
  /** How long recent calls took, if that is asked for. */
  latency: RecentLatency | undefined;
  #configuration: CircuitConfiguration;
  #judgesResults: boolean;

  constructor(configuration: CircuitConfiguration) {
    const runtime: Runtime = resolveRuntime(configuration.runtime);
    this.name = configuration.name;
    this.clock = runtime.clock;
    this.outside = { random: runtime.random, wallTime: () => this.clock.wallTime() };
    const now = this.clock.now();
    this.machine = new CircuitMachine(configuration.settings, now);
    this.emitter = new Emitter('circuit-breaker', configuration.name, runtime.telemetry);
    this.#configuration = configuration;
    this.#judgesResults = configuration.predicates.isFailureResult !== undefined;
    this.#measure();
    const { initialState } = configuration;
    if (initialState !== undefined) {
      this.machine.import(fromSnapshot(initialState, this.clock.wallTime()), now);
    }
  }

  /** Listen; calls that have begun already may end untold. */
  on<K extends keyof CircuitBreakerEvents & string>(
    event: K,
    listener: (payload: CircuitBreakerEvents[K]) => void,
  ): Unsubscribe {
    const off = this.emitter.on(event, listener);
    this.#decideTiming();
    return () => {
      off();
      this.#decideTiming();
    };
  }

  /** Go on under other options. */
  reconfigure(changes: CircuitReconfiguration): void {
    const configuration = this.#configuration.changed(changes);
    const keepsLatency = configuration.settings.latency === this.#configuration.settings.latency;
    this.#configuration = configuration;
    this.#judgesResults = configuration.predicates.isFailureResult !== undefined;
    const change = this.machine.reconfigure(configuration.settings, this.clock.now(), this.outside);
    if (keepsLatency) this.#decideTiming();
    else this.#measure();
    this.emitter.emit('reconfigured', { options: Object.keys(changes) });
    if (change !== undefined) this.announce(change);
  }

  /** What another process can take up. */
  export(): CircuitSnapshot {
    this.refresh();
    return toSnapshot(this.machine.export(this.clock.now()), this.clock.wallTime());
  }

  /** Become what another breaker was. */
  import(snapshot: CircuitSnapshot): void {
    const { machine, clock } = this;
    const state = fromSnapshot(snapshot, clock.wallTime());
    const from = machine.state;
    machine.import(state, clock.now());
    this.announce({ type: 'imported', payload: { from, to: machine.state } });
  }

  #measure(): void {
    const period = this.machine.settings.latency;
    this.latency = period === undefined ? undefined : new RecentLatency(period);
    this.#decideTiming();
  }

  #decideTiming(): void {
    const { emitter, machine } = this;
    this.isTimed =
      machine.settings.slowThreshold < Number.POSITIVE_INFINITY ||
      this.latency !== undefined ||
      emitter.wants('succeeded') ||
      emitter.wants('failed') ||
      emitter.wants('ignored');
  }

  /** Notice that an open wait has passed. */
  refresh(): void {
    const change = this.machine.refresh(this.clock.now());
    if (change !== undefined) this.announce(change);
  }

  /** The call gave this result. */
  resolved(generation: number, startedAt: number, result: unknown): void {
    const now = this.clock.now();
    const { isFailureResult } = this.#configuration.predicates;
    if (isFailureResult === undefined || judgeResult(isFailureResult, result) === 'success') {
      this.succeeded(generation, now, now - startedAt);
    } else {
      this.failed(generation, now, now - startedAt, result);
    }
  }

  /** A call that nobody timed, and that was no probe, gave this result. */
  resolvedUntimed(generation: number, result: unknown): void {
    if (this.#judgesResults) {
      this.resolved(generation, unknownStart, result);
      return;
    }
    const { machine } = this;
    // A reading of the clock is half of what such a call costs.
    const change = machine.recordGood(generation, machine.isTimeless ? 0 : this.clock.now(), this.outside);
    if (change !== undefined) this.announce(change);
  }

  /** A call that nobody timed, and that was no probe, gave this error. */
  rejectedUntimed(generation: number, error: unknown): void {
    this.rejected(generation, unknownStart, error);
  }

  /** The call gave this error. */
  rejected(generation: number, startedAt: number, error: unknown): void {
    const now = this.clock.now();
    const verdict = judgeError(this.#configuration.predicates, error);
    if (verdict === 'failure') this.failed(generation, now, now - startedAt, error);
    else if (verdict === 'success') this.succeeded(generation, now, now - startedAt);
    else this.ignored(generation, now - startedAt, error);
  }

  succeeded(generation: number, now: number, duration: number): void {
    const { machine, emitter } = this;
    const change = machine.record(generation, now, duration, false, undefined, this.outside);
    if (isKnown(duration)) {
      this.latency?.record(now, duration);
      if (emitter.wants('succeeded')) emitter.emit('succeeded', { duration, slow: machine.isSlow(duration) });
    }
    if (change !== undefined) this.announce(change);
  }

  failed(generation: number, now: number, duration: number, error: unknown): void {
    const change = this.machine.record(generation, now, duration, true, error, this.outside);
    if (isKnown(duration)) this.latency?.record(now, duration);
    this.#tellFailure(duration, error);
    if (change !== undefined) this.announce(change);
  }

  ignored(generation: number, duration: number, error: unknown): void {
    this.machine.ignore(generation);
    if (isKnown(duration) && this.emitter.wants('ignored')) this.emitter.emit('ignored', { duration, error });
  }

  /** A probe's lease has passed. */
  expired(generation: number, now: number, duration: number, error: unknown): void {
    const change = this.machine.expire(generation, now, error, this.outside);
    this.#tellFailure(duration, error);
    if (change !== undefined) this.announce(change);
  }

  #tellFailure(duration: number, error: unknown): void {
    if (!isKnown(duration) || !this.emitter.wants('failed')) return;
    this.emitter.emit('failed', { duration, slow: this.machine.isSlow(duration), error });
  }

  /** Tell of a change that is committed already. */
  announce(change: CircuitChange): void {
    this.emitter.emit(change.type, change.payload);
    publishChange(this.name, change);
  }
}

/** Makes a duration NaN: it is longer than nothing, and in no event and no histogram. */
const unknownStart = Number.NaN;

/** Whether a duration was measured. */
function isKnown(duration: number): boolean {
  return duration >= 0;
}

function judgeResult(isFailureResult: (result: unknown) => boolean, result: unknown): 'success' | 'failure' {
  try {
    return isFailureResult(result) ? 'failure' : 'success';
  } catch (thrown) {
    return predicateThrew(thrown);
  }
}

/** Ignored, a failure, or else a success, asked in this order. */
function judgeError(predicates: CircuitPredicates, error: unknown): 'ignored' | 'failure' | 'success' {
  const { ignore, isFailure } = predicates;
  try {
    if (isRefusal(error) || ignore?.(error)) return 'ignored';
    return isFailure === undefined || isFailure(error) ? 'failure' : 'success';
  } catch (thrown) {
    return predicateThrew(thrown);
  }
}

/** A predicate that throws has not said that all is well. */
function predicateThrew(thrown: unknown): 'failure' {
  warnOf('a predicate of a circuit breaker threw; the call counts as a failure', thrown);
  return 'failure';
}
