import { inspect } from 'node:util';
import { isPlainObject } from '../core/json.ts';
import { z } from '../core/options.ts';
import type { SchemaIssue, SchemaResult, StandardSchema } from '../core/schema.ts';
import { frozenCopy } from './freeze.ts';

/** What is shown in place of a secret. */
export const mask = '[secret]';

/**
 * A value that no print shows: not string conversion, JSON, `util.inspect` (whatever its options), a debugger's log, an
 * error or a diff. Its only way out is {@link Secret.reveal}.
 */
export class Secret<T = string> {
  readonly #value: T;

  /** Hide a value. Plain objects and arrays are copied and frozen. */
  constructor(value: T) {
    this.#value = frozenCopy(value);
    Object.freeze(this);
  }

  /** The value itself. Call it where the value is used, and do not keep what it returns. */
  reveal(): T {
    return this.#value;
  }

  /** `[secret]` */
  toString(): string {
    return mask;
  }

  /** `[secret]` */
  toJSON(): string {
    return mask;
  }

  /** `[secret]` */
  valueOf(): string {
    return mask;
  }

  /** `[secret]`, in template literals, concatenation and comparison. */
  [Symbol.toPrimitive](): string {
    return mask;
  }
}

Object.defineProperty(Secret.prototype, inspect.custom, { value: () => mask });

/** A schema whose result is a {@link Secret}; stands in a zod object like any other zod schema. */
export type SecretSchema<T> = z.ZodType<Secret<T>, unknown>;

/**
 * A field that never prints: a non-empty text, or what the given schema (zod or any other Standard Schema) makes of the
 * value. Messages of that schema which quote the value are replaced.
 *
 * @example `z.object({ password: secret(), key: secret(z.string().length(64)) })`
 */
export function secret(): SecretSchema<string>;
export function secret<T>(schema: StandardSchema<unknown, T>): SecretSchema<T>;
export function secret(schema: StandardSchema = z.string().min(1)): SecretSchema<unknown> {
  return z.unknown().transform((value, context) => {
    const finish = (result: SchemaResult<unknown>): Secret<unknown> => {
      if (result.issues === undefined) return new Secret(result.value);
      for (const issue of result.issues) {
        context.addIssue({ code: 'custom', message: discreet(issue.message, value), path: keysOf(issue) });
      }
      return z.NEVER;
    };
    const fail = (error: unknown): Secret<unknown> => finish({ issues: [{ message: threw(error) }] });
    try {
      const result = schema['~standard'].validate(value);
      return result instanceof Promise ? result.then(finish, fail) : finish(result);
    } catch (error) {
      return fail(error);
    }
  }) as unknown as SecretSchema<unknown>;
}

/** What may be said of an error that a schema threw. Its message may quote the value: `new URL(dsn)` does. */
export function threw(error: unknown): string {
  return `its schema threw ${error instanceof Error ? error.name : 'something'} instead of reporting an issue`;
}

/** The keys of an issue's path, as text. */
export function keysOf(issue: SchemaIssue): string[] {
  return issue.path?.map((part) => String(typeof part === 'object' ? part.key : part)) ?? [];
}

function discreet(message: string, value: unknown): string {
  const quotes = textsOf(value).some(
    (text) => message.includes(text) || message.includes(JSON.stringify(text).slice(1, -1)),
  );
  return quotes ? 'is not acceptable (the message quoted the secret)' : message;
}

/** Every text that a message could quote of a value. */
function textsOf(value: unknown): string[] {
  if (typeof value === 'object' && value !== null) return Object.values(value).flatMap(textsOf);
  return typeof value === 'string' || typeof value === 'number' ? [String(value)].filter(Boolean) : [];
}

/** A copy of a value to be shown to anybody: each secret in it is replaced by `[secret]`. */
export function redact(value: unknown): unknown {
  if (value instanceof Secret) return mask;
  if (Array.isArray(value)) return value.map(redact);
  if (!isPlainObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, redact(child)]));
}
