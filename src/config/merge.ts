/** Layers of configuration, and how they become one. */
import { isPlainObject, isSafeKey, type JsonObject, type JsonValue } from '../core/json.ts';
import { valueAt } from '../core/json-tree.ts';
import type { ConfigLayer } from '../ports/config-source.ts';

/** A layer and the name of the source that it came from. Its values are a checked copy that nobody else holds. */
export interface SourcedLayer extends ConfigLayer {
  readonly source: string;
}

/**
 * Merge deeply: later wins, objects merge, everything else (arrays and null too) replaces. The result shares nothing
 * with the layers, and a key that reaches a prototype is left out.
 */
export function merge(layers: readonly JsonObject[]): JsonObject {
  const result: Record<string, JsonValue> = {};
  for (const layer of layers) mergeInto(result, layer);
  return result;
}

function mergeInto(target: Record<string, JsonValue>, layer: JsonObject): void {
  for (const [key, value] of Object.entries(layer)) {
    if (!isSafeKey(key)) continue;
    const before = Object.hasOwn(target, key) ? target[key] : undefined;
    // Everything in `target` was made here, so it may be written to.
    if (isPlainObject(value) && isPlainObject(before)) {
      mergeInto(before as Record<string, JsonValue>, value as JsonObject);
    } else {
      target[key] = detach(value);
    }
  }
}

function detach(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(detach);
  return isPlainObject(value) ? merge([value as JsonObject]) : value;
}

/** The last layer that has a value at this path: the one that won. */
export function winner(layers: readonly SourcedLayer[], keys: readonly string[]): SourcedLayer | undefined {
  return layers.findLast((layer) => valueAt(layer.values, keys) !== undefined);
}

/** Where a layer's value stands, in words. */
export function originOf(layer: SourcedLayer, keys: readonly string[]): string {
  const origin = typeof layer.origin === 'function' ? layer.origin(keys) : layer.origin;
  return origin ?? layer.source;
}
