/** What JSON makes of a value, made without its text: for values that are stored again and again. */
import { InvalidPayloadError } from './errors.ts';
import { isInstance, messageOf } from './holdfast-error.ts';
import { isPlainObject, type JsonValue, parseJson } from './json.ts';

/** Deeper values are refused, so that what is accepted can still be put into something that is stored. */
const deepest = 199;

/**
 * A value as JSON brings it back: what `parseJson` makes of `stringifyJson`. It is a copy that nobody else has, and
 * everything in it is frozen. What JSON cannot hold without loss is refused, as by `stringifyJson`; undefined is null.
 *
 * @throws InvalidPayloadError naming the path, or when the JSON of it would be longer than `limit` bytes.
 */
export function toJson(value: unknown, what: string, limit: number): JsonValue {
  try {
    const copy = new JsonCopy(false);
    const json = copy.take(value, '') ?? null;
    if (copy.bytes > limit) assertSize(json, limit);
    return json;
  } catch (error) {
    if (isInstance(error, UnfitError)) throw unfitPayload(value, what, error);
    // A `toJSON` or a getter threw.
    throw new InvalidPayloadError(what, `cannot be stored as JSON: ${messageOf(error)}`, error);
  }
}

/** Paths are made only when one is told, since to make them costs more than all the rest. */
function unfitPayload(value: unknown, what: string, known: UnfitError): InvalidPayloadError {
  let why = known.message;
  try {
    new JsonCopy(true).take(value, '');
  } catch (error) {
    why = messageOf(error);
  }
  return new InvalidPayloadError(what, `cannot be stored as JSON: ${why}`);
}

/** Says why a value cannot be stored. */
class UnfitError extends Error {}

function assertSize(json: JsonValue, limit: number): void {
  const size = Buffer.byteLength(JSON.stringify(json));
  if (size <= limit) return;
  throw new UnfitError(
    `it is ${size} bytes long, and ${limit} are allowed; store it elsewhere and keep where that is`,
  );
}

class JsonCopy {
  /** At least as many as the JSON has: an escaped character may be six. */
  bytes = 0;
  readonly #above: object[] = [];
  readonly #paths: boolean;

  constructor(paths: boolean) {
    this.#paths = paths;
  }

  take(value: unknown, path: string): JsonValue | undefined {
    switch (typeof value) {
      case 'string':
        this.bytes += 6 * value.length + 3;
        return value;
      case 'number':
        if (!Number.isFinite(value)) throw unfit(path, `is ${value}`);
        this.bytes += 26;
        // JSON knows no negative zero.
        return value === 0 ? 0 : value;
      case 'boolean':
        this.bytes += 6;
        return value;
      case 'undefined':
        return undefined;
      case 'object':
        return value === null ? this.#null() : this.#takeObject(value, path);
      default:
        throw unfit(path, `is a ${typeof value}`);
    }
  }

  #null(): null {
    this.bytes += 5;
    return null;
  }

  #takeObject(value: object, path: string): JsonValue | undefined {
    const above = this.#above;
    if (above.includes(value)) throw unfit(path, 'contains itself');
    if (above.length >= deepest) throw unfit(path, `is nested deeper than ${deepest} levels`);
    if (typeof (value as { toJSON?: unknown }).toJSON === 'function') return this.#takeText(value, path);
    this.bytes += 3;
    above.push(value);
    const copy = Array.isArray(value) ? this.#takeArray(value, path) : this.#takeProperties(value, path);
    above.pop();
    return Object.freeze(copy);
  }

  /** What it makes of itself is JSON's own affair. */
  #takeText(value: object, path: string): JsonValue | undefined {
    const text = JSON.stringify(value) as string | undefined;
    if (text === undefined) return undefined;
    return this.take(parseJson(text, path || 'the value itself'), path);
  }

  #takeArray(array: readonly unknown[], path: string): JsonValue[] {
    const copy: JsonValue[] = [];
    for (let index = 0; index < array.length; index += 1) {
      const item = array[index];
      const at = this.#paths ? `${path}[${index}]` : path;
      if (item === undefined) throw unfit(at, 'is undefined');
      copy.push(this.take(item, at) ?? this.#null());
    }
    return copy;
  }

  #takeProperties(value: object, path: string): Record<string, JsonValue> {
    if (!isPlainObject(value)) throw unfit(path, `is an instance of ${value.constructor?.name ?? 'a class'}`);
    const copy: Record<string, JsonValue> = {};
    for (const key of Object.keys(value)) {
      // It could be written, but no parser would take it back.
      if (key === '__proto__') throw unfit(path, 'has the key "__proto__"');
      const item = this.take(value[key], this.#paths && path !== '' ? `${path}.${key}` : key);
      if (item === undefined) continue;
      this.bytes += 6 * key.length + 4;
      copy[key] = item;
    }
    return copy;
  }
}

function unfit(path: string, why: string): UnfitError {
  return new UnfitError(`${path || 'the value itself'} ${why}`);
}

/** Freeze everything in a value that JSON brought; returns it. */
export function freezeJson<T extends JsonValue | undefined>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const item of Object.values(value)) freezeJson(item);
  return Object.freeze(value);
}
