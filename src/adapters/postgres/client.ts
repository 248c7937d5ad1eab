import { InvalidPayloadError, StoreError } from '../../core/errors.ts';
import { HoldfastError, messageOf } from '../../core/holdfast-error.ts';

/** A pool or a client of `pg`, as far as it is needed. */
export interface PostgresClient {
  /** Run one statement, or without values several. */
  query(text: string, values?: unknown[]): Promise<{ readonly rows: readonly unknown[] }>;
}

/** What `pg` takes in place of a text: a statement that each connection prepares once, by its name. */
export interface NamedStatement {
  readonly name: string;
  readonly text: string;
  readonly values: unknown[];
}

/** The five characters by which Postgres names an error, or an empty text: then it is not the server's. */
function stateOf(error: unknown): string {
  const { code } = error as { readonly code?: unknown };
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : '';
}

/** Whether the statement did nothing for having met another one, and may be tried again at once. */
export function isCollision(error: unknown): boolean {
  return ['40001', '40P01', '55P03'].includes(stateOf(error));
}

/**
 * Whether the statement did nothing for something in its values: wrong data (22), a broken constraint (23), more than
 * the server takes (54).
 *
 * @see https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
export function isBadValue(error: unknown): boolean {
  return ['22', '23', '54'].includes(stateOf(error).slice(0, 2));
}

/** Whether the store's tables, or their schema, are not there. */
function isMissingTable(error: unknown): boolean {
  return ['42P01', '3F000'].includes(stateOf(error));
}

function withAdvice(cause: unknown): Error {
  const advice = 'the tables are not there: call start() or migrate(), or run: holdfast saga migrate';
  return new Error(`${messageOf(cause)}; ${advice}`, { cause });
}

/** What a caller of the store is to hear. */
export function storeErrorOf(operation: string, error: unknown): HoldfastError {
  if (error instanceof HoldfastError) return error;
  if (isMissingTable(error)) return new StoreError('postgres', operation, withAdvice(error));
  if (!isBadValue(error)) return new StoreError('postgres', operation, error);
  return new InvalidPayloadError(
    'what is to be stored',
    `Postgres does not take it: ${messageOf(error)}`,
    error,
  );
}

/** @throws InvalidPayloadError when a text has the character NUL, which Postgres does not store. */
export function refuseNul(texts: Readonly<Record<string, string | null>>): void {
  for (const [name, text] of Object.entries(texts)) {
    if (text?.includes('\0')) {
      throw new InvalidPayloadError(name, 'has the character NUL, which Postgres does not store as text');
    }
  }
}

/**
 * An array of Postgres as text, which every driver passes on as it is.
 *
 * @see https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
 */
export function arrayLiteral(values: readonly (string | number | null)[]): string {
  let text = '{';
  for (const value of values) {
    if (text.length > 1) text += ',';
    if (typeof value !== 'string') text += value === null ? 'NULL' : String(value);
    else text += `"${value.includes('"') || value.includes('\\') ? value.replace(/["\\]/g, '\\$&') : value}"`;
  }
  return `${text}}`;
}
