/** The words that the breaker's machine, its shell and its users share. */
import type { Backoff } from '../core/backoff.ts';
import type { Slice, Tally, WindowSize } from '../core/window.ts';
import type { LatencySummary } from './latency-histogram.ts';

/**
 * Where a breaker is. `closed`: calls pass and are counted. `open`: they are rejected. `half-open`: a few probes pass.
 * By hand only: `forced-open` rejects all; `disabled` passes all and records nothing; `metrics-only` passes all,
 * records, and only tells that it would have tripped.
 */
export type CircuitState = 'closed' | 'open' | 'half-open' | 'forced-open' | 'disabled' | 'metrics-only';

/** What a person may force a breaker to be. */
export type ForcedState = 'open' | 'disabled' | 'metrics-only';

/** The state that each forced one is seen as. */
export const forcedStates: Readonly<Record<ForcedState, 'forced-open' | 'disabled' | 'metrics-only'>> = {
  open: 'forced-open',
  disabled: 'disabled',
  'metrics-only': 'metrics-only',
};

/** What becomes of a call that asks to be let through. */
export type Admission = 'free' | 'probe' | 'refused';

/**
 * Why a breaker opened. `first-failure` and `probe-expired` only happen while half-open; `manual` is `trip()`, and
 * `shared` that a sibling in another process had opened.
 */
export type TripReason =
  | 'failure-rate'
  | 'slow-rate'
  | 'consecutive-failures'
  | 'first-failure'
  | 'probe-expired'
  | 'manual'
  | 'shared';

/** What a machine asks for when it opens: its wait may be random, and a failure may ask for one until a date. */
export interface Outside {
  /** A number in [0, 1). */
  readonly random: () => number;
  /** Milliseconds since 1970. */
  readonly wallTime: () => number;
}

/** It opened. */
export interface CircuitOpened {
  readonly from: 'closed' | 'half-open';
  readonly reason: TripReason;
  /** The error, or the result that counted as a failure, that decided it; undefined when it was a slow success. */
  readonly cause: unknown;
  /** Milliseconds until probes may pass. */
  readonly wait: number;
  /** How often it has opened since it was last closed: 1 for the first time. */
  readonly openings: number;
}

/** Its wait is over; probes may pass. */
export interface CircuitHalfOpened {
  /** How many probes may pass. */
  readonly permits: number;
}

/** It closed and forgot what it had recorded. */
export interface CircuitClosed {
  readonly from: Exclude<CircuitState, 'closed'>;
  /** The probes succeeded, `reset()` was called, or `force(undefined)` ended a forced state. */
  readonly reason: 'recovered' | 'manual' | 'released';
}

/** A person took over. */
export interface CircuitForced {
  readonly from: CircuitState;
  readonly to: 'forced-open' | 'disabled' | 'metrics-only';
}

/** In `metrics-only`: it would have opened now. Told once each time the state is forced or reset. */
export interface CircuitWouldTrip {
  readonly reason: TripReason;
  readonly cause: unknown;
}

/** Other options are in force. */
export interface CircuitReconfigured {
  /** Names of the options that were given. */
  readonly options: readonly string[];
}

/** It took up an exported state. */
export interface CircuitImported {
  readonly from: CircuitState;
  readonly to: CircuitState;
}

/** A call was rejected without being made. */
export interface CircuitRejected {
  readonly state: CircuitState;
  /** Milliseconds until a call may pass; Infinity while forced open. */
  readonly retryAfter: number;
}

/** A call succeeded. */
export interface CircuitCallSucceeded {
  /** Milliseconds. */
  readonly duration: number;
  readonly slow: boolean;
}

/** A call failed. */
export interface CircuitCallFailed {
  /** Milliseconds. */
  readonly duration: number;
  readonly slow: boolean;
  /** The error, or the result that counted as one. */
  readonly error: unknown;
}

/** A call ended in a way that says nothing about the dependency. */
export interface CircuitCallIgnored {
  /** Milliseconds. */
  readonly duration: number;
  /** The ignored error, or the reason for which the caller gave up. */
  readonly error: unknown;
}

/** Events of a breaker that tell a change of its state. */
export interface CircuitChanges {
  readonly opened: CircuitOpened;
  readonly halfOpened: CircuitHalfOpened;
  readonly closed: CircuitClosed;
  readonly forced: CircuitForced;
  readonly wouldTrip: CircuitWouldTrip;
  readonly imported: CircuitImported;
}

/** Every event of a breaker. */
export interface CircuitBreakerEvents extends CircuitChanges {
  readonly reconfigured: CircuitReconfigured;
  readonly rejected: CircuitRejected;
  readonly succeeded: CircuitCallSucceeded;
  readonly failed: CircuitCallFailed;
  readonly ignored: CircuitCallIgnored;
}

/** One change of state, as the machine reports it. */
export type CircuitChange = {
  readonly [K in keyof CircuitChanges]: { readonly type: K; readonly payload: CircuitChanges[K] };
}[keyof CircuitChanges];

/** Counts since construction, outcomes that came too late to be decided on included. */
export interface CircuitTotals {
  succeeded: number;
  failed: number;
  slow: number;
  ignored: number;
  rejected: number;
}

/** A breaker at one moment. */
export interface CircuitMetrics {
  readonly state: CircuitState;
  /** Outcomes that the next decision is made from: those of the window, or of the probes while half-open. */
  readonly window: Tally & { readonly failureRate: number; readonly slowRate: number };
  /** Counts since construction. */
  readonly totals: Readonly<CircuitTotals>;
  /** How often it has opened since it was last closed. */
  readonly openings: number;
  /** Milliseconds until a call may pass; 0 when one may at any moment, Infinity while forced open. */
  readonly retryAfter: number;
  /** How long recent calls took; undefined unless the option `latency` is given. */
  readonly latency: LatencySummary | undefined;
}

/** A breaker's options, checked and completed; milliseconds and numbers only. */
export interface CircuitSettings {
  readonly window: WindowSize;
  readonly failureRate: number;
  readonly slowRate: number;
  /** Infinity when slow calls do not matter. */
  readonly slowThreshold: number;
  readonly minimumCalls: number;
  /** Infinity when they do not matter. */
  readonly consecutiveFailures: number;
  /** Must not throw, and give a number ≥ 0. */
  readonly openFor: Backoff;
  readonly maxRetryAfter: number;
  readonly probes: number;
  readonly early: boolean;
  readonly failFast: boolean;
  /** The lease of a probe. */
  readonly maxWait: number;
  /** How long it only records, after its construction. */
  readonly warmUp: number;
  /** How long latencies are kept, at least; undefined when they are not measured. */
  readonly latency: number | undefined;
}

/** What opened a breaker. */
export interface Opening {
  readonly reason: TripReason;
  /** The error, or the result that counted as one, that decided it; undefined when there was none. */
  readonly cause: unknown;
  /** Of the monotonic clock. */
  readonly at: number;
  /** The outcomes that it was decided from. */
  readonly tally: Tally;
}

/** Why, and for how long, it is opened from outside. */
export interface TripBy {
  readonly reason: 'manual' | 'shared';
  /** Milliseconds. Default: as after any failure. */
  readonly wait?: number | undefined;
}

/** What a machine carries to another process. Times are durations, since clocks differ. */
export interface MachineState {
  readonly state: Exclude<CircuitState, 'half-open'>;
  /** Milliseconds until a call may pass, while open. */
  readonly wait: number;
  readonly openings: number;
  readonly consecutive: number;
  readonly reason: TripReason | undefined;
  readonly slices: readonly Slice[];
}
