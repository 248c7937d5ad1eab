/**
 * Trees of JSON values from outside. Nothing here shares structure with what it was given or looks up an inherited key,
 * so no key can reach a prototype.
 */
import { InvalidPayloadError } from './errors.ts';
import { isPlainObject, isSafeKey, type JsonObject, type JsonValue } from './json.ts';

/** Deeper trees are refused: people do not write them, and recursion has to end somewhere. */
const depthLimit = 100;

/**
 * A deep copy, checked: plain JSON only, no key that reaches a prototype (`__proto__`, `constructor`, `prototype`), at
 * most 100 levels deep. A property whose value is undefined is left out.
 *
 * @throws InvalidPayloadError naming the path, never a value.
 */
export function copyJson(value: unknown, what: string): JsonValue {
  return copy(value, '', 0, what);
}

/** As {@link copyJson}, for a value that must be an object. */
export function copyJsonObject(value: unknown, what: string): JsonObject {
  if (!isPlainObject(value)) throw new InvalidPayloadError(what, `must be an object, not ${kindOf(value)}`);
  return copy(value, '', 0, what) as JsonObject;
}

function copy(value: unknown, path: string, depth: number, what: string): JsonValue {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  const at = path || 'the value itself';
  if (depth >= depthLimit) {
    throw new InvalidPayloadError(what, `${at} is nested deeper than ${depthLimit} levels`);
  }
  if (Array.isArray(value)) {
    return Array.from(value, (item, index) =>
      copy(item, path ? `${path}.${index}` : `${index}`, depth + 1, what),
    );
  }
  if (!isPlainObject(value))
    throw new InvalidPayloadError(what, `${at} is ${kindOf(value)}, which JSON has not`);
  const result: Record<string, JsonValue> = {};
  for (const [key, child] of Object.entries(value)) {
    const below = path ? `${path}.${key}` : key;
    if (!isSafeKey(key))
      throw new InvalidPayloadError(what, `the key ${JSON.stringify(below)} is not allowed`);
    if (child !== undefined) result[key] = copy(child, below, depth + 1, what);
  }
  return result;
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'number') return 'a number that is not finite';
  if (typeof value !== 'object') return `a ${typeof value}`;
  return 'an instance of a class';
}

/** The value at a path of keys, or undefined where the tree has none. Sees own keys only. */
export function valueAt(tree: unknown, keys: readonly string[]): unknown {
  let value = tree;
  for (const key of keys) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}
