import { isPlainObject } from '../core/json.ts';

const depthLimit = 200;

/**
 * A deep copy of plain objects and arrays, frozen all the way down. A copy, because a schema's result may hold objects
 * that belong to the user, such as its defaults. Instances of classes (a Secret, a Date, a URL) are kept as they are.
 *
 * @throws RangeError when the value contains itself.
 */
export function frozenCopy<T>(value: T): T {
  return copy(value, 0) as T;
}

function copy(value: unknown, depth: number): unknown {
  if (depth > depthLimit)
    throw new RangeError(`it contains itself, or is nested deeper than ${depthLimit} levels`);
  if (Array.isArray(value)) return Object.freeze(value.map((item) => copy(item, depth + 1)));
  if (!isPlainObject(value)) return value;
  const entries = Object.entries(value).map(([key, child]) => [key, copy(child, depth + 1)] as const);
  return Object.freeze(Object.fromEntries(entries));
}
