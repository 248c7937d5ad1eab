import { InvalidOptionsError } from './errors.ts';

/**
 * A length of time: milliseconds as a number, or a number with a unit.
 *
 * @example `250`, `'250ms'`, `'1.5s'`, `'5m'`, `'2h'`, `'1d'`
 */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`;

/** What a duration may look like, for error messages. */
export const durationAccepts: string =
  "milliseconds as a number ≥ 0, or a string such as '250ms', '10s', '5m', '2h', '1d'";

const unitMilliseconds: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

const pattern = /^(\d{1,15}(?:\.\d{1,6})?)(ms|s|m|h|d)$/;

/** The duration in milliseconds, or `undefined` when it is not a duration. Never throws. */
export function parseDuration(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) && value >= 0 ? value : undefined;
  if (typeof value !== 'string') return undefined;
  const match = pattern.exec(value);
  if (match === null) return undefined;
  return Number(match[1]) * unitMilliseconds[match[2]!]!;
}

/**
 * The duration in milliseconds.
 *
 * @throws InvalidOptionsError when it is negative, not finite, or has no known unit.
 */
export function milliseconds(value: Duration, field = 'duration'): number {
  const parsed = parseDuration(value);
  if (parsed === undefined) {
    throw new InvalidOptionsError('duration', [{ field, received: String(value), accepts: durationAccepts }]);
  }
  return parsed;
}
