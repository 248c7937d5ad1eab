import { z } from 'zod';
import { type Duration, durationAccepts, parseDuration } from './duration.ts';
import { InvalidOptionsError, type OptionIssue } from './errors.ts';
import type { Runtime } from './runtime.ts';

export { z };

/**
 * Check options once, at construction. Unknown keys are refused, because a misspelt option that is silently ignored
 * is a breaker that never opens.
 *
 * @throws InvalidOptionsError naming each field, what it got and what it accepts.
 */
export function parseOptions<S extends z.ZodType>(owner: string, schema: S, input: unknown): z.output<S> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  throw new InvalidOptionsError(
    owner,
    result.error.issues.flatMap((issue) => toIssues(issue, input, schema)),
  );
}

/** That there is no option of this name, and which ones there are; names that are not known are left out. */
export function unknownOption(field: string, names: readonly string[]): OptionIssue {
  const known = names.length === 0 ? 'no such option; check its spelling' : `one of ${names.join(', ')}`;
  return { field, received: 'an unknown option', accepts: known };
}

/** What zod tells of a schema, as far as it is needed here. */
interface Told {
  readonly shape?: Readonly<Record<PropertyKey, unknown>>;
  readonly element?: unknown;
  readonly def?: { readonly innerType?: unknown; readonly in?: unknown };
}

/** The names that a schema knows at a place in it; none where that cannot be told. */
function namesAt(schema: z.ZodType, path: readonly PropertyKey[]): readonly string[] {
  let inner = unwrapped(schema);
  for (const key of path) inner = unwrapped(inner.shape?.[key] ?? inner.element);
  return Object.keys(inner.shape ?? {});
}

/** A schema without what is around it: a default, a check, a transformation. */
function unwrapped(schema: unknown): Told {
  const told = (schema ?? {}) as Told;
  const inner = told.def?.innerType ?? told.def?.in;
  return inner === undefined ? told : unwrapped(inner);
}

function toIssues(issue: z.core.$ZodIssue, input: unknown, schema: z.ZodType): OptionIssue[] {
  const path = issue.path.map(String);
  if (issue.code === 'unrecognized_keys') {
    const names = namesAt(schema, issue.path);
    return issue.keys.map((key) => unknownOption([...path, key].join('.'), names));
  }
  const field = path.join('.') || 'options';
  return [{ field, received: describe(valueAt(input, issue.path), field), accepts: accepts(issue) }];
}

function accepts(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return withArticle(issue.expected);
    case 'too_small':
      return `${issue.inclusive ? '≥' : '>'} ${issue.minimum}${unit(issue.origin)}`;
    case 'too_big':
      return `${issue.inclusive ? '≤' : '<'} ${issue.maximum}${unit(issue.origin)}`;
    case 'invalid_union':
      return (
        issue.errors.flatMap(([first]) => (first === undefined ? [] : [accepts(first)])).join(', or ') ||
        issue.message
      );
    case 'invalid_value':
      return issue.values.map((v) => JSON.stringify(v)).join(' | ');
    default:
      return issue.message;
  }
}

function withArticle(type: string): string {
  if (type === 'int') return 'a whole number';
  return /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`;
}

function unit(origin: string): string {
  if (origin === 'string') return ' characters';
  return origin === 'array' ? ' items' : '';
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input;
  for (const key of path) value = (value as Record<PropertyKey, unknown> | undefined)?.[key];
  return value;
}

const secretField = /secret|token|password|passphrase|credential|apikey|\bkey\b/i;

/** A value as it may stand in an error message: short, and never a secret's. */
export function describe(value: unknown, field = ''): string {
  if (value === undefined) return 'nothing';
  if (secretField.test(field)) return 'a redacted value';
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object';
  const text = typeof value === 'string' ? JSON.stringify(withoutPassword(value)) : String(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

/** Connection strings carry passwords: `postgres://user:password@host`. */
function withoutPassword(text: string): string {
  return text.replace(/\/\/[^/\s]*@/g, '//…@');
}

/** An option that takes a {@link Duration}; parsed to milliseconds. */
export function durationOption(
  minimum = 0,
): z.ZodPipe<z.ZodCustom<Duration, Duration>, z.ZodTransform<number, Duration>> {
  const accepted = minimum > 0 ? `${durationAccepts}; at least ${minimum} ms` : durationAccepts;
  return z
    .custom<Duration>((value) => (parseDuration(value) ?? -1) >= minimum, { error: accepted })
    .transform((value) => parseDuration(value) as number);
}

/** An option that takes a function. */
export function functionOption<F>(what = 'a function'): z.ZodCustom<F, F> {
  return z.custom<F>((value) => typeof value === 'function', { error: what });
}

/** An option that takes an object with at least these methods: a port's implementation, a live client. */
export function methodsOption<T>(what: string, ...methods: readonly string[]): z.ZodCustom<T, T> {
  return z.custom<T>(
    (value) =>
      value !== null &&
      (typeof value === 'object' || typeof value === 'function') &&
      methods.every((m) => typeof (value as Record<string, unknown>)[m] === 'function'),
    { error: `${what} (an object with ${methods.map((m) => `${m}()`).join(', ')})` },
  );
}

/** The option `runtime`. */
export function runtimeOption(): z.ZodOptional<z.ZodCustom<Partial<Runtime>, Partial<Runtime>>> {
  return z
    .custom<Partial<Runtime>>((value) => typeof value === 'object' && value !== null, {
      error: 'an object with any of clock, random, id, telemetry',
    })
    .optional();
}

/** Names of services, breakers and sagas: what may stand in a URL, a file name and a metric label. */
export function nameOption(): z.ZodString {
  return z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, {
    error:
      'a name of 1 to 128 letters, digits, dots, dashes and underscores that starts with a letter or digit',
  });
}
