/**
 * The breaker's state machine. It decides and remembers, and does nothing else: time, randomness and outcomes are
 * arguments, what changed is the return value, and telling anybody is the shell's work.
 *
 * Invariants:
 * - Every transition raises `generation`. An outcome that carries another generation is counted in the totals and
 *   touches neither window, permits nor state: a result from before a trip says nothing about after it.
 * - A half-open period admits at most `probes` calls, the one that began it included. A recorded outcome keeps its
 *   permit; an ignored one gives it back. So the period always ends: by its outcomes, or by a lease that expires.
 * - Only recorded successes and failures are in a denominator.
 */
import {
  type CircuitChange,
  type CircuitSettings,
  type CircuitState,
  type CircuitTotals,
  type ForcedState,
  forcedStates,
  type TripReason,
} from './circuit-types.ts';
import { retryAfterOf } from './wait.ts';
import { CountWindow, type OutcomeWindow, type Tally, TimeWindow } from './window.ts';

/** What becomes of a call that asks to be let through. */
export type Admission = 'free' | 'probe' | 'refused';

/** The pure machine behind a circuit breaker. */
export class CircuitMachine {
  /** Where it is. Only {@link refresh} notices that an open wait has passed. */
  state: CircuitState = 'closed';
  /** Raised by every transition. */
  generation = 0;
  /** Since construction; the only thing that late outcomes still count in. */
  readonly totals: CircuitTotals = { succeeded: 0, failed: 0, slow: 0, ignored: 0, rejected: 0 };
  readonly #settings: CircuitSettings;
  readonly #window: OutcomeWindow;
  readonly #minimum: number;
  #probes: Tally = noCalls;
  #permits = 0;
  #consecutive = 0;
  #openings = 0;
  #openUntil = 0;
  #cause: unknown;
  #warned = false;

  constructor(settings: CircuitSettings) {
    const { window, minimumCalls } = settings;
    this.#settings = settings;
    this.#window = 'calls' in window ? new CountWindow(window.calls) : new TimeWindow(window.time);
    // A count window smaller than the minimum could otherwise never trip.
    this.#minimum = 'calls' in window ? Math.min(minimumCalls, window.calls) : minimumCalls;
  }

  /** What opened it; undefined unless it is open or half-open. */
  get cause(): unknown {
    return this.#cause;
  }

  /** How often it has opened since it was last closed. */
  get openings(): number {
    return this.#openings;
  }

  /** Outcomes that the next decision is made from: those of the probes while half-open. */
  tally(now: number): Tally {
    if (this.state === 'half-open') return this.#probes;
    this.#window.advance(now);
    return this.#window;
  }

  /** Milliseconds until a call may pass; Infinity while that is for a person to decide. */
  retryAfter(now: number): number {
    if (this.state === 'forced-open') return Number.POSITIVE_INFINITY;
    return this.state === 'open' ? Math.max(0, this.#openUntil - now) : 0;
  }

  /** Go half-open when the wait is over. Called before each admission and each reading of the state. */
  refresh(now: number): CircuitChange | undefined {
    if (this.state !== 'open' || now < this.#openUntil) return undefined;
    this.#enter('half-open');
    this.#probes = noCalls;
    this.#permits = this.#settings.probes;
    return { type: 'halfOpened', payload: { permits: this.#permits } };
  }

  /** Ask for one call to be let through. */
  admit(): Admission {
    if (this.state === 'half-open' && this.#permits > 0) {
      this.#permits -= 1;
      return 'probe';
    }
    if (this.state === 'open' || this.state === 'half-open' || this.state === 'forced-open') {
      this.totals.rejected += 1;
      return 'refused';
    }
    return 'free';
  }

  /** Whether a call that took this long, in milliseconds, is a slow one. */
  isSlow(duration: number): boolean {
    return duration > this.#settings.slowThreshold;
  }

  /** Record that a call of this generation succeeded or failed, and decide anew. */
  record(
    generation: number,
    now: number,
    duration: number,
    failed: boolean,
    cause: unknown,
    random: () => number,
  ): CircuitChange | undefined {
    const slow = this.isSlow(duration);
    if (failed) this.totals.failed += 1;
    else this.totals.succeeded += 1;
    if (slow) this.totals.slow += 1;
    if (generation !== this.generation || this.state === 'disabled') return undefined;
    if (this.state === 'half-open') return this.#recordProbe(now, failed, slow, cause, random);
    this.#window.add(now, failed, slow);
    this.#consecutive = failed ? this.#consecutive + 1 : 0;
    const reason = this.#exceeded();
    if (reason === undefined) return undefined;
    return this.state === 'closed' ? this.#open(now, reason, cause, random) : this.#warn(reason, cause);
  }

  /** Record that a call of this generation ended in a way that says nothing. */
  ignore(generation: number): void {
    this.totals.ignored += 1;
    if (generation !== this.generation || this.state !== 'half-open') return;
    this.#permits = Math.min(this.#settings.probes, this.#permits + 1);
  }

  /** Record that a probe of this generation did not settle within its lease. */
  expire(generation: number, now: number, cause: unknown, random: () => number): CircuitChange | undefined {
    this.totals.failed += 1;
    if (generation !== this.generation || this.state !== 'half-open') return undefined;
    return this.#open(now, 'probe-expired', cause, random);
  }

  /** Open by hand. Nothing happens unless it is closed or half-open. */
  trip(now: number, cause: unknown, random: () => number): CircuitChange | undefined {
    if (this.state !== 'closed' && this.state !== 'half-open') return undefined;
    return this.#open(now, 'manual', cause, random);
  }

  /** Forget every recorded outcome; an open or half-open breaker closes, a forced one stays as it is. */
  reset(): CircuitChange | undefined {
    const from = this.state;
    this.#clear();
    if (from !== 'open' && from !== 'half-open') {
      this.generation += 1;
      return undefined;
    }
    return this.#close('manual');
  }

  /** Take over by hand, or with `undefined` give back: it is then closed and has forgotten everything. */
  force(forced: ForcedState | undefined): CircuitChange | undefined {
    const from = this.state;
    const isForced = from === 'forced-open' || from === 'disabled' || from === 'metrics-only';
    if (forced === undefined) return isForced ? this.#close('released') : undefined;
    const to = forcedStates[forced];
    if (to === from) return undefined;
    this.#clear();
    this.#enter(to);
    return { type: 'forced', payload: { from, to } };
  }

  #recordProbe(
    now: number,
    failed: boolean,
    slow: boolean,
    cause: unknown,
    random: () => number,
  ): CircuitChange | undefined {
    const { calls, failures, slow: slowCalls } = this.#probes;
    this.#probes = {
      calls: calls + 1,
      failures: failures + (failed ? 1 : 0),
      slow: slowCalls + (slow ? 1 : 0),
    };
    const verdict = judgeProbes(this.#probes, failed, this.#settings);
    if (verdict === undefined) return undefined;
    return verdict === 'recovered' ? this.#close('recovered') : this.#open(now, verdict, cause, random);
  }

  #exceeded(): TripReason | undefined {
    if (this.#consecutive >= this.#settings.consecutiveFailures) return 'consecutive-failures';
    return this.#window.calls >= this.#minimum ? rateExceeded(this.#window, this.#settings) : undefined;
  }

  #open(now: number, reason: TripReason, cause: unknown, random: () => number): CircuitChange {
    const from = this.state as 'closed' | 'half-open';
    const asked = Math.min(retryAfterOf(cause), this.#settings.maxRetryAfter);
    const wait = Math.max(asked, this.#settings.openFor(this.#openings + 1, random));
    this.#openings += 1;
    this.#openUntil = now + wait;
    this.#cause = cause;
    this.#enter('open');
    return { type: 'opened', payload: { from, reason, cause, wait, openings: this.#openings } };
  }

  #close(reason: 'recovered' | 'manual' | 'released'): CircuitChange {
    const from = this.state as Exclude<CircuitState, 'closed'>;
    this.#clear();
    this.#enter('closed');
    return { type: 'closed', payload: { from, reason } };
  }

  #warn(reason: TripReason, cause: unknown): CircuitChange | undefined {
    if (this.#warned) return undefined;
    this.#warned = true;
    return { type: 'wouldTrip', payload: { reason, cause } };
  }

  #enter(state: CircuitState): void {
    this.state = state;
    this.generation += 1;
  }

  #clear(): void {
    this.#window.clear();
    this.#probes = noCalls;
    this.#consecutive = 0;
    this.#openings = 0;
    this.#cause = undefined;
    this.#warned = false;
  }
}

const noCalls: Tally = { calls: 0, failures: 0, slow: 0 };

function rateExceeded({ calls, failures, slow }: Tally, settings: CircuitSettings): TripReason | undefined {
  // Divide, do not multiply: 7 / 100 is 0.07 in floating point, but 0.07 * 100 is more than 7.
  if (failures / calls >= settings.failureRate) return 'failure-rate';
  return slow / calls >= settings.slowRate ? 'slow-rate' : undefined;
}

/** What the probes so far say: why to open again, that the dependency recovered, or nothing yet. */
function judgeProbes(
  tally: Tally,
  lastFailed: boolean,
  settings: CircuitSettings,
): TripReason | 'recovered' | undefined {
  if (settings.failFast && lastFailed) return 'first-failure';
  const needed = Math.min(settings.minimumCalls, settings.probes);
  if (tally.calls >= needed) return rateExceeded(tally, settings) ?? 'recovered';
  if (!settings.early) return undefined;
  const ifAllSucceed = rateExceeded({ ...tally, calls: needed }, settings);
  if (ifAllSucceed !== undefined) return ifAllSucceed;
  const left = needed - tally.calls;
  const ifAllFail = { calls: needed, failures: tally.failures + left, slow: tally.slow + left };
  return rateExceeded(ifAllFail, settings) === undefined ? 'recovered' : undefined;
}
