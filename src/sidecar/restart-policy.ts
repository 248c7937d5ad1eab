import { exponential } from '../core/backoff.ts';

/** How often and how fast a crashed app is started again. */
export interface RestartLimits {
  /** Crashes within the window after which it is given up. */
  readonly maxCrashes: number;
  /** The window in milliseconds. */
  readonly window: number;
  /** Longest wait after the first crash, in milliseconds; doubled at each further one. */
  readonly minDelay: number;
  /** Longest wait of all, in milliseconds. */
  readonly maxDelay: number;
}

/** What to do about a crash. */
export type RestartDecision =
  | { readonly action: 'restart'; readonly delay: number; readonly crashes: readonly number[] }
  | { readonly action: 'give-up'; readonly crashes: readonly number[] };

/**
 * Decide after a crash at `now`. Pure. An app that ran longer than the window starts with a clean record, so that one
 * crash a day never adds up.
 *
 * @param earlier when it crashed before, as the last decision returned it.
 */
export function afterCrash(
  earlier: readonly number[],
  now: number,
  limits: RestartLimits,
  random: () => number,
): RestartDecision {
  const crashes = [...earlier.filter((time) => now - time < limits.window), now];
  if (crashes.length >= limits.maxCrashes) return { action: 'give-up', crashes };
  const backoff = exponential({ base: limits.minDelay, max: limits.maxDelay, jitter: 'equal' });
  return { action: 'restart', delay: backoff(crashes.length, random), crashes };
}
