import { createHash, timingSafeEqual } from 'node:crypto';
import { isPlainObject } from '../core/json.ts';
import { Secret } from './secret.ts';

/** One place where two values differ. Undefined stands for absent. */
export interface Difference {
  readonly keys: readonly string[];
  readonly before: unknown;
  readonly after: unknown;
}

/**
 * The places where two values differ, as near to the leaves as both sides have objects: what was added or removed is
 * one difference however much is in it, and so is an array of which any item changed.
 */
export function diff(before: unknown, after: unknown): Difference[] {
  const found: Difference[] = [];
  collect(before, after, [], found);
  return found;
}

function collect(before: unknown, after: unknown, keys: readonly string[], found: Difference[]): void {
  if (isPlainObject(before) && isPlainObject(after)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
      collect(own(before, key), own(after, key), [...keys, key], found);
    }
  } else if (!equal(before, after)) {
    found.push({ keys, before, after });
  }
}

function own(object: Record<string, unknown>, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

/**
 * Whether two values are deeply equal. Secrets are by what they hide; dates, URLs and regular expressions by their text;
 * any other instance of a class only to itself, since its state cannot be seen: a needless change does less harm than a
 * missed one.
 */
export function equal(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (a instanceof Secret) return b instanceof Secret && equalSecrets(a.reveal(), b.reveal());
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((item, index) => equal(item, b[index]));
  }
  if (isPlainObject(a)) return isPlainObject(b) && equalObjects(a, b);
  return isTextual(a) && Object.getPrototypeOf(a) === Object.getPrototypeOf(b) && textOf(a) === textOf(b);
}

function equalObjects(a: Record<string, unknown>, b: Record<string, unknown>): boolean {
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...keys].every((key) => equal(own(a, key), own(b, key)));
}

/** Texts are compared by digest in constant time, so that how long it takes says nothing about them. */
function equalSecrets(a: unknown, b: unknown): boolean {
  if (typeof a !== 'string' || typeof b !== 'string') return equal(a, b);
  return timingSafeEqual(digest(a), digest(b));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function isTextual(value: object): boolean {
  return (
    value instanceof URL ||
    value instanceof RegExp ||
    Object.prototype.toString.call(value) === '[object Date]'
  );
}

/** A date's JSON is exact to the millisecond, its string is not. */
function textOf(value: object): string {
  return value instanceof RegExp ? String(value) : JSON.stringify(value);
}
