import { InvalidOptionsError } from '../core/errors.ts';
import { isPlainObject } from '../core/json.ts';
import { valueAt } from '../core/json-tree.ts';
import { describe } from '../core/options.ts';
import { originOf, type SourcedLayer } from './merge.ts';
import { parsePath } from './path.ts';
import { mask, redact, Secret } from './secret.ts';
import type { Snapshot } from './snapshot.ts';

/** What one origin says of a path. */
export interface ConfigContribution {
  /** The source's name, such as `file:config/orders`. */
  readonly source: string;
  /** Where in it, such as `config/orders.prod.yaml`. */
  readonly origin: string;
  /**
   * The value there. `[secret]` for a secret, and `[withheld]` where the schema's result leaves open whether it is one:
   * the path is not in the result, or holds another kind of value there.
   */
  readonly value: unknown;
}

/** Why a value is what it is. */
export interface ConfigExplanation {
  /** The path that was asked for. */
  readonly path: string;
  /** The value in force, `[secret]` for a secret; undefined when there is none. */
  readonly value: unknown;
  /** The source that gave it; undefined when none did, so that it is the schema's default or absent. */
  readonly source: string | undefined;
  /** Where in that source. */
  readonly origin: string | undefined;
  /** What was overridden, or merged with when the value is an object; the nearest first. */
  readonly overridden: readonly ConfigContribution[];
}

const withheld = '[withheld]';

/**
 * Explain the value at a path of a snapshot.
 *
 * @throws InvalidOptionsError when the path is not one.
 */
export function explain(snapshot: Snapshot<unknown>, path: string): ConfigExplanation {
  const keys = typeof path === 'string' ? parsePath(path) : undefined;
  if (keys === undefined) {
    const accepts = 'keys joined by dots, such as db.poolSize';
    throw new InvalidOptionsError('explain', [{ field: 'path', received: describe(path), accepts }]);
  }
  const value = resultAt(snapshot.value, keys);
  const contributions = snapshot.layers.flatMap((layer) => contribution(layer, keys, value)).reverse();
  const [first, ...overridden] = contributions;
  return { path, value: redact(value), source: first?.source, origin: first?.origin, overridden };
}

/** The value at a path, or the secret on the way to it. */
function resultAt(value: unknown, keys: readonly string[]): unknown {
  const length = keys.findIndex((_, index) => valueAt(value, keys.slice(0, index)) instanceof Secret);
  return valueAt(value, length < 0 ? keys : keys.slice(0, length));
}

function contribution(layer: SourcedLayer, keys: readonly string[], result: unknown): ConfigContribution[] {
  const value = valueAt(layer.values, keys);
  if (value === undefined) return [];
  return [{ source: layer.source, origin: originOf(layer, keys), value: show(value, result) }];
}

/** A layer's value as far as the schema's result at the same place proves that it is no secret. */
function show(value: unknown, result: unknown): unknown {
  if (result instanceof Secret) return mask;
  if (value === null) return value;
  if (isPlainObject(value)) {
    const known = isPlainObject(result) ? result : {};
    return Object.fromEntries(
      Object.entries(value).map(([key, child]) => [key, show(child, valueAt(known, [key]))]),
    );
  }
  const both = [value, result].map((side) => (Array.isArray(side) ? side : [side]));
  const open =
    Array.isArray(value) === Array.isArray(result) &&
    both.every((side) => side.length > 0 && side.every(isScalar));
  return open ? value : withheld;
}

function isScalar(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}
