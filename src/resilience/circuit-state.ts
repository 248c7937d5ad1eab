/**
 * The breaker's state machine. It only decides and remembers: time, chance and outcomes are arguments, what changed is
 * the return value, and telling anybody is the shell's work. Invariants:
 * - Every transition raises `generation`. An outcome that carries another generation is counted in the totals and
 *   touches neither window, permits nor state: a result from before a trip says nothing about after it.
 * - A half-open period admits at most `probes` calls, the one that began it included. A recorded outcome keeps its
 *   permit; an ignored one gives it back. So the period always ends: by its outcomes, or by a lease that expires.
 * - Only recorded successes and failures are in a denominator.
 */

import { type OutcomeWindow, resized, type Tally, tallyOf, windowOf } from '../core/window.ts';
import {
  type Admission,
  type CircuitChange,
  type CircuitSettings,
  type CircuitState,
  type CircuitTotals,
  type ForcedState,
  forcedStates,
  type MachineState,
  type Opening,
  type Outside,
  type TripBy,
  type TripReason,
} from './circuit-types.ts';
import { judgeProbes, noCalls, Thresholds, withOutcome } from './circuit-verdict.ts';
import { retryAfterOf } from './wait.ts';

/** The pure machine behind a circuit breaker. */
export class CircuitMachine {
  /** Where it is. Only {@link refresh} notices that an open wait has passed. */
  state: CircuitState = 'closed';
  /** Whether every call passes, and none as a probe: closed, disabled or metrics-only. */
  admitsAll = true;
  /** Raised by every transition. */
  generation = 0;
  /** What opened it; undefined unless it is open or half-open. */
  opening: Opening | undefined = undefined;
  /** Failures without a success between, up to now. */
  consecutive = 0;
  /** Since construction; the only thing that late outcomes still count in. */
  readonly totals: CircuitTotals = { succeeded: 0, failed: 0, slow: 0, ignored: 0, rejected: 0 };
  #settings: CircuitSettings;
  #window: OutcomeWindow;
  /** What opens it while closed. */
  readonly thresholds: Thresholds;
  #probes: Tally = noCalls;
  #permits = 0;
  #openings = 0;
  #openUntil = 0;
  #warned = false;

  constructor(settings: CircuitSettings, now = 0) {
    this.#settings = settings;
    this.#window = windowOf(settings.window);
    this.thresholds = new Thresholds(settings, now);
  }

  /** What it decides by. */
  get settings(): CircuitSettings {
    return this.#settings;
  }

  /** How many more probes may pass. */
  get permits(): number {
    return this.state === 'half-open' ? Math.max(0, this.#permits) : 0;
  }

  /** How often it has opened since it was last closed. */
  get openings(): number {
    return this.#openings;
  }

  /** Whether it does not matter when a success is recorded: in a window of calls, none of them bad. */
  get isTimeless(): boolean {
    return this.#window.isTimeless;
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
    if (this.admitsAll) return 'free';
    if (this.state === 'half-open' && this.#permits > 0) {
      this.#permits -= 1;
      return 'probe';
    }
    this.totals.rejected += 1;
    return 'refused';
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
    outside: Outside,
  ): CircuitChange | undefined {
    const slow = this.isSlow(duration);
    if (failed) this.totals.failed += 1;
    else this.totals.succeeded += 1;
    if (slow) this.totals.slow += 1;
    if (generation !== this.generation || this.state === 'disabled') return undefined;
    if (this.state === 'half-open') {
      this.#probes = withOutcome(this.#probes, failed, slow);
      return this.#judgeProbes(now, failed, cause, outside);
    }
    this.#window.add(now, failed, slow);
    this.consecutive = failed ? this.consecutive + 1 : 0;
    return this.#decide(now, cause, outside);
  }

  /**
   * Record that a call succeeded that was no probe, and that nobody timed. Does what {@link record} would, in a third of
   * the time: nearly every call ends here.
   */
  recordGood(generation: number, now: number, outside: Outside): CircuitChange | undefined {
    this.totals.succeeded += 1;
    if (generation !== this.generation || this.state === 'disabled') return undefined;
    const window = this.#window;
    window.add(now, false, false);
    this.consecutive = 0;
    return window.failures === 0 && window.slow === 0 ? undefined : this.#decide(now, undefined, outside);
  }

  /** Record that a call of this generation ended in a way that says nothing. */
  ignore(generation: number): void {
    this.totals.ignored += 1;
    if (generation !== this.generation || this.state !== 'half-open') return;
    this.#permits = Math.min(this.#settings.probes, this.#permits + 1);
  }

  /** Record that a probe of this generation did not settle within its lease. */
  expire(generation: number, now: number, cause: unknown, outside: Outside): CircuitChange | undefined {
    this.totals.failed += 1;
    if (generation !== this.generation || this.state !== 'half-open') return undefined;
    return this.#open(now, 'probe-expired', cause, outside);
  }

  /** Open by hand, or because a sibling did. Nothing happens unless it is closed or half-open. */
  trip(
    now: number,
    cause: unknown,
    outside: Outside,
    by: TripBy = { reason: 'manual' },
  ): CircuitChange | undefined {
    if (this.state !== 'closed' && this.state !== 'half-open') return undefined;
    return this.#open(now, by.reason, cause, outside, by.wait);
  }

  /** End an open wait, so that the next call probes. Nothing happens unless it is open. */
  endWait(now: number): void {
    if (this.state === 'open') this.#openUntil = now;
  }

  /** Decide by other settings from now on; what is recorded is kept. The wait of an open breaker stays as it is. */
  reconfigure(settings: CircuitSettings, now: number, outside: Outside): CircuitChange | undefined {
    const taken = this.#settings.probes - this.#permits;
    this.#window = resized(this.#window, this.#settings.window, settings.window, now);
    this.#settings = settings;
    this.thresholds.reconfigure(settings);
    if (this.state !== 'half-open') return undefined;
    // Below 0 when more are under way than may be now: those that are ignored do not make room then.
    this.#permits = settings.probes - taken;
    // Fewer probes may now be needed than have settled already, and no further outcome would come to decide it.
    return this.#judgeProbes(now, false, undefined, outside);
  }

  /** What another machine can take up. Half-open is told as open with its wait over: nobody inherits its probes. */
  export(now: number): MachineState {
    const { state } = this;
    return {
      state: state === 'half-open' ? 'open' : state,
      wait: state === 'open' ? this.retryAfter(now) : 0,
      openings: this.#openings,
      consecutive: this.consecutive,
      reason: this.opening?.reason,
      slices: this.#window.slices(now),
    };
  }

  /** Become what another machine was. */
  import(from: MachineState, now: number): void {
    this.#clear();
    this.#window.load(from.slices, now);
    this.consecutive = from.consecutive;
    this.#openings = from.openings;
    this.#enter(from.state);
    if (from.state !== 'open') return;
    this.#openUntil = now + from.wait;
    const reason = from.reason ?? 'manual';
    this.opening = { reason, cause: undefined, at: now, tally: tallyOf(this.#window) };
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

  #decide(now: number, cause: unknown, outside: Outside): CircuitChange | undefined {
    const reason = this.thresholds.reached(this.#window, this.consecutive, now);
    if (reason === undefined) return undefined;
    return this.state === 'closed' ? this.#open(now, reason, cause, outside) : this.#warn(reason, cause);
  }

  #judgeProbes(now: number, failed: boolean, cause: unknown, outside: Outside): CircuitChange | undefined {
    const verdict = judgeProbes(this.#probes, failed, this.#settings);
    if (verdict === undefined) return undefined;
    return verdict === 'recovered' ? this.#close('recovered') : this.#open(now, verdict, cause, outside);
  }

  #open(now: number, reason: TripReason, cause: unknown, outside: Outside, given?: number): CircuitChange {
    const from = this.state as 'closed' | 'half-open';
    const wait = given ?? this.#waitAfter(cause, outside);
    this.#openings += 1;
    this.#openUntil = now + wait;
    const tally = tallyOf(from === 'closed' ? this.#window : this.#probes);
    this.opening = { reason, cause, at: now, tally };
    this.#enter('open');
    return { type: 'opened', payload: { from, reason, cause, wait, openings: this.#openings } };
  }

  #waitAfter(cause: unknown, outside: Outside): number {
    const asked = Math.min(retryAfterOf(cause, outside.wallTime), this.#settings.maxRetryAfter);
    return Math.max(asked, this.#settings.openFor(this.#openings + 1, outside.random));
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
    this.admitsAll = state === 'closed' || state === 'disabled' || state === 'metrics-only';
    this.generation += 1;
  }

  #clear(): void {
    this.#window.clear();
    this.#probes = noCalls;
    this.consecutive = 0;
    this.#openings = 0;
    this.opening = undefined;
    this.#warned = false;
  }
}
