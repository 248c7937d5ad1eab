/** What recorded outcomes mean: pure judgements over tallies and thresholds. */

import type { Tally } from '../core/window.ts';
import type { CircuitSettings, TripReason } from './circuit-types.ts';

/** The thresholds that open a closed breaker. */
export interface TripRules {
  readonly failureRate: number;
  readonly slowRate: number;
  readonly consecutiveFailures: number;
  /** Calls before which rates mean nothing. */
  readonly minimum: number;
}

/** No calls yet. */
export const noCalls: Tally = { calls: 0, failures: 0, slow: 0 };

/** What opens a closed breaker: the thresholds of its settings, lowered for a while, or none while it warms up. */
export class Thresholds {
  #settings: CircuitSettings;
  /** The rules when nothing is lowered. */
  #usual: TripRules;
  #factor = 1;
  #loweredUntil = 0;
  readonly #warmUntil: number;

  constructor(settings: CircuitSettings, now: number) {
    this.#settings = settings;
    this.#usual = usualRules(settings);
    this.#warmUntil = now + settings.warmUp;
  }

  /** The rules in force. */
  rules(now: number): TripRules {
    return now < this.#loweredUntil ? tripRules(this.#settings, this.#factor) : this.#usual;
  }

  /** Milliseconds until any rule is in force. */
  warmingUp(now: number): number {
    return Math.max(0, this.#warmUntil - now);
  }

  /** Which threshold these outcomes have reached, if any; `consecutive` failures came last. */
  reached(tally: Tally, consecutive: number, now: number): TripReason | undefined {
    // Most windows are flawless, and then there is nothing to divide.
    if ((tally.failures === 0 && tally.slow === 0) || now < this.#warmUntil) return undefined;
    const rules = this.rules(now);
    if (consecutive >= rules.consecutiveFailures) return 'consecutive-failures';
    return tally.calls >= rules.minimum ? rateExceeded(tally, rules) : undefined;
  }

  /** Multiply all by a factor in (0, 1] until then. */
  lower(factor: number, until: number): void {
    this.#factor = factor;
    this.#loweredUntil = until;
  }

  /** Take other settings; what is lowered stays so. */
  reconfigure(settings: CircuitSettings): void {
    this.#settings = settings;
    this.#usual = usualRules(settings);
  }
}

/** Breakers that share settings share what follows from them, too. */
const usual: WeakMap<CircuitSettings, TripRules> = new WeakMap();

function usualRules(settings: CircuitSettings): TripRules {
  let rules = usual.get(settings);
  if (rules === undefined) {
    rules = tripRules(settings, 1);
    usual.set(settings, rules);
  }
  return rules;
}

function tripRules(settings: CircuitSettings, factor: number): TripRules {
  const { minimumCalls, window } = settings;
  // A count window smaller than the minimum could otherwise never trip.
  const minimum = 'calls' in window ? Math.min(minimumCalls, window.calls) : minimumCalls;
  return {
    failureRate: settings.failureRate * factor,
    slowRate: settings.slowRate * factor,
    consecutiveFailures: Math.ceil(settings.consecutiveFailures * factor),
    minimum: Math.ceil(minimum * factor),
  };
}

/** Which rate of the tally has reached its threshold, if any. The tally must not be empty. */
export function rateExceeded(
  { calls, failures, slow }: Tally,
  rules: Pick<TripRules, 'failureRate' | 'slowRate'>,
): TripReason | undefined {
  // Divide, do not multiply: 7 / 100 is 0.07 in floating point, but 0.07 * 100 is more than 7.
  if (failures / calls >= rules.failureRate) return 'failure-rate';
  return slow / calls >= rules.slowRate ? 'slow-rate' : undefined;
}

/** A tally with one outcome more. */
export function withOutcome({ calls, failures, slow }: Tally, failed: boolean, wasSlow: boolean): Tally {
  return { calls: calls + 1, failures: failures + Number(failed), slow: slow + Number(wasSlow) };
}

/** How many outcomes of probes decide. */
export function probesNeeded(settings: CircuitSettings): number {
  return Math.min(settings.minimumCalls, settings.probes);
}

/** What the probes so far say: why to open again, that the dependency recovered, or nothing yet. */
export function judgeProbes(
  tally: Tally,
  lastFailed: boolean,
  settings: CircuitSettings,
): TripReason | 'recovered' | undefined {
  if (settings.failFast && lastFailed) return 'first-failure';
  const needed = probesNeeded(settings);
  if (tally.calls >= needed) return rateExceeded(tally, settings) ?? 'recovered';
  if (!settings.early) return undefined;
  const ifAllSucceed = rateExceeded({ ...tally, calls: needed }, settings);
  if (ifAllSucceed !== undefined) return ifAllSucceed;
  const left = needed - tally.calls;
  const ifAllFail = { calls: needed, failures: tally.failures + left, slow: tally.slow + left };
  return rateExceeded(ifAllFail, settings) === undefined ? 'recovered' : undefined;
}
