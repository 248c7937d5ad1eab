import type { Clock } from '../core/clock.ts';
import { Emitter } from '../core/emitter.ts';
import { warnOf } from '../core/log.ts';
import { type Runtime, resolveRuntime } from '../core/runtime.ts';
import type { CircuitPredicates, ParsedCircuitOptions } from './circuit-options.ts';
import { CircuitMachine } from './circuit-state.ts';
import type { CircuitBreakerEvents, CircuitChanges, CircuitSettings } from './circuit-types.ts';
import { isRefusal } from './refusal.ts';

/**
 * Brings outcomes to the machine and tells what became of them: judge, commit, then emit. So a listener that calls the
 * breaker again sees the new state.
 */
export class CircuitRecorder {
  readonly name: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly settings: CircuitSettings;
  readonly machine: CircuitMachine;
  readonly emitter: Emitter<CircuitBreakerEvents>;
  readonly #predicates: CircuitPredicates;

  constructor(options: ParsedCircuitOptions) {
    const runtime: Runtime = resolveRuntime(options.runtime);
    this.name = options.name;
    this.clock = runtime.clock;
    this.random = runtime.random;
    this.settings = options.settings;
    this.machine = new CircuitMachine(options.settings);
    this.emitter = new Emitter('circuit-breaker', options.name, runtime.telemetry);
    this.#predicates = options.predicates;
  }

  /** Notice that an open wait has passed. */
  refresh(): void {
    const change = this.machine.refresh(this.clock.now());
    if (change !== undefined) this.announce(change);
  }

  /** The call gave this result. */
  resolved(generation: number, startedAt: number, result: unknown): void {
    const now = this.clock.now();
    const { isFailureResult } = this.#predicates;
    if (isFailureResult === undefined || judgeResult(isFailureResult, result) === 'success') {
      this.succeeded(generation, now, now - startedAt);
    } else {
      this.failed(generation, now, now - startedAt, result);
    }
  }

  /** The call gave this error. */
  rejected(generation: number, startedAt: number, error: unknown): void {
    const now = this.clock.now();
    const verdict = judgeError(this.#predicates, error);
    if (verdict === 'failure') this.failed(generation, now, now - startedAt, error);
    else if (verdict === 'success') this.succeeded(generation, now, now - startedAt);
    else this.ignored(generation, now - startedAt, error);
  }

  succeeded(generation: number, now: number, duration: number): void {
    const { machine, emitter } = this;
    const change = machine.record(generation, now, duration, false, undefined, this.random);
    if (emitter.wants('succeeded')) emitter.emit('succeeded', { duration, slow: machine.isSlow(duration) });
    if (change !== undefined) this.announce(change);
  }

  failed(generation: number, now: number, duration: number, error: unknown): void {
    const change = this.machine.record(generation, now, duration, true, error, this.random);
    this.#tellFailure(duration, error);
    if (change !== undefined) this.announce(change);
  }

  ignored(generation: number, duration: number, error: unknown): void {
    this.machine.ignore(generation);
    if (this.emitter.wants('ignored')) this.emitter.emit('ignored', { duration, error });
  }

  /** A probe's lease has passed. */
  expired(generation: number, now: number, duration: number, error: unknown): void {
    const change = this.machine.expire(generation, now, error, this.random);
    this.#tellFailure(duration, error);
    if (change !== undefined) this.announce(change);
  }

  #tellFailure(duration: number, error: unknown): void {
    if (!this.emitter.wants('failed')) return;
    this.emitter.emit('failed', { duration, slow: this.machine.isSlow(duration), error });
  }

  /** Tell of a change that is committed already. */
  announce<K extends keyof CircuitChanges>(change: {
    readonly type: K;
    readonly payload: CircuitBreakerEvents[K];
  }): void {
    this.emitter.emit(change.type, change.payload);
  }
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
