import { InvalidArgumentError } from 'commander';
import { type Duration, durationAccepts, parseDuration } from '../core/duration.ts';

/** A port as it may be asked to listen on: 0 lets the system choose. */
export function portArgument(text: string): number {
  const port = wholeNumber(text);
  if (port === undefined || port > 65_535)
    throw new InvalidArgumentError('It must be a port from 0 to 65535.');
  return port;
}

/** A count: a whole number from 0. */
export function countArgument(text: string): number {
  const count = wholeNumber(text);
  if (count === undefined) throw new InvalidArgumentError('It must be a whole number from 0.');
  return count;
}

/** A length of time; digits alone are milliseconds. */
export function durationArgument(text: string): Duration {
  const value = wholeNumber(text) ?? text;
  if (parseDuration(value) === undefined) throw new InvalidArgumentError(`It must be ${durationAccepts}.`);
  return value as Duration;
}

/** Collects `NAME=value` pairs of an option that may be given several times. */
export function environmentArgument(
  text: string,
  earlier: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const separator = text.indexOf('=');
  if (separator < 1) throw new InvalidArgumentError('It must be NAME=value.');
  return { ...earlier, [text.slice(0, separator)]: text.slice(separator + 1) };
}

function wholeNumber(text: string): number | undefined {
  return /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}
