import { InvalidPayloadError } from './errors.ts';
import { messageOf } from './holdfast-error.ts';

/** A value that JSON can hold without loss. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;

/** A JSON object. */
export interface JsonObject {
  readonly [key: string]: JsonValue;
}

/** Keys by which a parsed value could reach a prototype; they are refused wherever text comes from outside. */
const prototypeKeys: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

/** Whether a key may stand in data from outside. */
export function isSafeKey(key: string): boolean {
  return !prototypeKeys.has(key);
}

/** Whether a value is an object with keys, and neither an array nor null nor an instance of a class. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/**
 * Parse JSON text from outside.
 *
 * @throws InvalidPayloadError when it is not JSON or has the key `__proto__`. Its message quotes no value.
 */
export function parseJson(text: string, what: string): JsonValue {
  try {
    // To look at every key takes several times as long; only where the key may be, perhaps escaped, is that needed.
    if (!text.includes('__proto__') && !text.includes('\\u')) {
      const value: JsonValue = JSON.parse(text);
      if (text.length <= 2 * deepest || !isNestedDeeper(value, deepest)) return value;
    }
    return JSON.parse(text, refusePrototypeKeys) as JsonValue;
  } catch (error) {
    throw new InvalidPayloadError(what, `is not acceptable JSON: ${syntaxProblem(error)}`);
  }
}

/** Levels that every walk through a value survives. */
const deepest = 1_000;

function isNestedDeeper(value: JsonValue, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (levels === 0) return true;
  return Object.values(value).some((child: JsonValue) => isNestedDeeper(child, levels - 1));
}

const forbiddenKey = 'the key "__proto__" is not allowed';

function refusePrototypeKeys(key: string, value: unknown): unknown {
  if (key === '__proto__') throw new TypeError(forbiddenKey);
  return value;
}

/** What is wrong, without the piece of the document that V8 quotes: it may be a secret. */
function syntaxProblem(error: unknown): string {
  if (error instanceof RangeError) return 'it is nested too deeply';
  const message = messageOf(error);
  if (message === forbiddenKey) return message;
  return (
    /^(?:Unexpected end of|.* at position \d+|Unexpected token '.'|Unexpected \w+)/.exec(message)?.[0] ??
    'a syntax error'
  );
}

/**
 * JSON text of a value that JSON can hold without loss. Unlike `JSON.stringify` it refuses what would silently change:
 * BigInt, functions, symbols, NaN, infinities, cycles, `undefined` in arrays and instances of classes without `toJSON`;
 * and the key `__proto__`, which {@link parseJson} would not take back.
 * A property whose value is undefined is left out.
 *
 * @throws InvalidPayloadError naming the path.
 */
export function stringifyJson(value: unknown, what: string): string {
  const problem = isSerialisable(value, 0) ? undefined : findUnserialisable(value, '', []);
  if (problem !== undefined) throw new InvalidPayloadError(what, `cannot be stored as JSON: ${problem}`);
  try {
    return JSON.stringify(value) ?? 'null';
  } catch (error) {
    // A `toJSON` that throws, or returns what JSON cannot hold.
    throw new InvalidPayloadError(what, `cannot be stored as JSON: ${messageOf(error)}`, error);
  }
}

/** Whether {@link findUnserialisable} would certainly find nothing; quick, since it keeps no path. */
function isSerialisable(value: unknown, depth: number): boolean {
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value !== 'object')
    return typeof value !== 'bigint' && typeof value !== 'function' && typeof value !== 'symbol';
  if (value === null) return true;
  // What contains itself has no end.
  if (depth > 100) return false;
  if (Array.isArray(value)) {
    for (const child of value) if (child === undefined || !isSerialisable(child, depth + 1)) return false;
    return true;
  }
  if (!isPlainObject(value)) return false;
  for (const key in value) if (key === '__proto__' || !isSerialisable(value[key], depth + 1)) return false;
  return true;
}

function findUnserialisable(value: unknown, path: string, above: object[]): string | undefined {
  const at = path || 'the value itself';
  if (typeof value === 'bigint' || typeof value === 'function' || typeof value === 'symbol') {
    return `${at} is a ${typeof value}`;
  }
  if (typeof value === 'number' && !Number.isFinite(value)) return `${at} is ${value}`;
  if (typeof value !== 'object' || value === null) return undefined;
  if (above.includes(value)) return `${at} contains itself`;
  if (above.length > 200) return `${at} is nested deeper than 200 levels`;
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function') return undefined;
  const children = [...above, value];
  if (Array.isArray(value)) return findInArray(value, path, children);
  if (!isPlainObject(value)) return `${at} is an instance of ${value.constructor?.name ?? 'a class'}`;
  for (const [key, child] of Object.entries(value)) {
    // It could be written, but `parseJson` would never take it back.
    if (key === '__proto__') return `${at} has the key "__proto__"`;
    const problem = findUnserialisable(child, path ? `${path}.${key}` : key, children);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function findInArray(array: readonly unknown[], path: string, above: object[]): string | undefined {
  for (const [index, child] of array.entries()) {
    if (child === undefined) return `${path}[${index}] is undefined`;
    const problem = findUnserialisable(child, `${path}[${index}]`, above);
    if (problem !== undefined) return problem;
  }
  return undefined;
}
