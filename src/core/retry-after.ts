import { parseHttpDate } from './clock.ts';

/**
 * How long an HTTP `Retry-After` asks to wait, in milliseconds, or undefined when it asks for nothing: it is absent,
 * empty, negative, fractional or no text of RFC 9110 §10.2.3. A date that has passed asks for 0. Never throws.
 *
 * @param wallTime now, in milliseconds since 1970; needed for dates.
 */
export function parseRetryAfter(header: string | null | undefined, wallTime: number): number | undefined {
  if (typeof header !== 'string') return undefined;
  const text = header.trim();
  // Digits only: `Number` would also take '', '1e9' and 'Infinity'.
  if (/^\d+$/.test(text)) return Math.min(Number.MAX_SAFE_INTEGER, Number(text) * 1_000);
  const date = parseHttpDate(text);
  return date === undefined ? undefined : Math.max(0, date - wallTime);
}
